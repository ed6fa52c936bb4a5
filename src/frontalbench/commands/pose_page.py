"""A page in the browser: drop a photograph, drag yaw, pitch and roll, see the new view and how much like the original it is.

    pose_page.py [--frontalizer mesh] [--port 7860]

Runs until Ctrl-C. Needs the extra `page`:  pip install -c constraints.txt -e ".[page]"
"""

from __future__ import annotations

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput

EXAMPLES = ("synth_10/Angle/synth_10_l26.jpg", "synth_12/Angle/synth_12_r39.jpg", "synth_17/GT/synth_17_front.jpg")


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--frontalizer", default="mesh", metavar="NAME", help="frontalizer card that is chosen first (default: mesh)")
    parser.add_argument("--detector", default="scrfd_500m", metavar="NAME", help="detector card (default: scrfd_500m)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=cli.positive, default=7860, help="port (default: 7860)")
    cli.add_machine_options(parser)
    args = parser.parse_args()
    cards.find("frontalizer", args.frontalizer)
    try:
        from frontalbench.page import blocks
    except ModuleNotFoundError as error:
        raise BadInput(f'the pose page needs {error.name}: pip install -c constraints.txt -e ".[page]"') from error
    from frontalbench.page.session import Session

    shipped = cards.project_root() / "demo" / "synthetic"
    session = Session(detector=args.detector, threads=args.threads, device=args.device)
    page = blocks.build(session, [shipped / name for name in EXAMPLES if (shipped / name).is_file()], frontalizer=args.frontalizer)
    print(f"pose page: http://{args.host}:{args.port}  (Ctrl-C ends it)", flush=True)
    blocks.launch(page, args.host, args.port)
    return cli.EXIT_OK
