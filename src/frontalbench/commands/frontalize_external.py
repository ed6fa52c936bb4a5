"""Turn the faces of a shard to the front with a foreign system in its own environment.

example:
  frontalize_external.py --model tddfa_external --in results/images/synthetic/0000.parquet \\
      --faces results/crops/synthetic/original/scrfd_500m/0000.parquet --out frontals.parquet --keep look_at_it

The workflow runs this for every shard. With --keep the job's folder stays: what the adapter was given, what it wrote, what it printed (log.txt).
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards, external
from frontalbench.frontalize.external import ExternalFrontalizer, load
from frontalbench.stages.external import frontalize_external


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--model", required=True, metavar="NAME", help="frontalizer card of family external")
    parser.add_argument("--in", dest="source", type=Path, required=True, metavar="FILE", help="images table of the shard")
    parser.add_argument("--faces", type=Path, required=True, metavar="FILE", help="crops table of the same shard")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="table to write")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the job's folder in DIR, to look at it")
    parser.add_argument(
        "--made-of", default="", metavar="HASH", help="what the rules say of commit, environment and adapter, for the record"
    )
    cli.add_machine_options(parser)
    args = parser.parse_args()
    card = cards.find("frontalizer", args.model)
    made_of = args.made_of or external.read(card).digest()[:16]

    def make() -> ExternalFrontalizer:
        return load(card, threads=args.threads, device=args.device, keep=args.keep)

    return cli.report(
        frontalize_external(args.source, args.faces, args.out, card, make, made_of=made_of, threads=args.threads, device=args.device)
    )
