"""Write the networks of a LivePortrait card as ONNX files, for programs without PyTorch.

    export_onnx.py --model liveportrait --out onnx/

One file per network (appearance, motion, warping, generator, stitching, lip, eye), batch 1, float32. What goes in
and comes out: docs/liveportrait.md.
"""

from __future__ import annotations

from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--model", default="liveportrait", metavar="NAME", help="frontalizer card of family liveportrait (default: liveportrait)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    args = parser.parse_args()
    card = cards.find("frontalizer", args.model)
    if card.family != "liveportrait":
        raise BadInput(f"frontalizer '{card.name}' is of family '{card.family}'; only LivePortrait's networks can be exported")

    from frontalbench.liveportrait import export
    from frontalbench.networks.liveportrait import files as official
    from frontalbench.weights import store

    files = {name: store.locate(card, name if name in card.weights else "stitching") for name in export.SIGNATURES}
    for name, file in cli.progress(files.items(), total=len(files), label="export", unit="network"):
        path = export.write(name, official.load(name, file), args.out)
        print(f"{path}  {path.stat().st_size / 2**20:.1f} MiB")
    return cli.EXIT_OK
