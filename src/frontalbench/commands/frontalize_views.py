"""Make one frontal of all photographs of a person's session, for every photograph of a shard.

example:
  frontalize_views.py --model multiview_tddfa --in results/images/demo/0000.parquet --faces results/crops/demo/original/scrfd_500m/0000.parquet \\
      --pose results/pose/demo/original/0000.parquet --out frontals.parquet
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer, multiview
from frontalbench.stages.views import frontalize_views


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card of family multiview")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FILE", help="images table of the shard")
    parser.add_argument("--faces", type=Path, required=True, metavar="FILE", help="crops table of the same shard")
    parser.add_argument("--pose", type=Path, nargs="*", default=[], metavar="FILE", help="measured pose of the same shard's originals")
    cli.add_roles_option(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    roles = cli.roles_of(args.roles)
    card = cards.find("frontalizer", args.model)
    if card.family != multiview.FAMILY:
        raise BadInput(f"frontalizer '{card.name}' turns one photograph at a time; expected a card of family {multiview.FAMILY}")
    machine = {"threads": args.threads, "device": args.device}

    def load() -> multiview.MultiviewFrontalizer:
        model = load_frontalizer(card, **machine)
        assert isinstance(model, multiview.MultiviewFrontalizer)
        return model

    return cli.report(frontalize_views(args.source, args.faces, args.out, card, load, pose=args.pose, roles=roles, **machine))
