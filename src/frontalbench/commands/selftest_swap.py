"""Self-test of the networks that no card uses: FSGANv2's completion and blending, on a swap of two shipped people who do not exist.

example:
  selftest_swap.py                                              with numbers that mean nothing: is everything wired as it should be?
  selftest_swap.py --completion Gc.pth --blending Gb.pth        with the published files: do they do what they were trained for?

One line per check, exit code 1 when one fails. Each network is drawn with twice: about half a minute of one core. A frontalizer's own self-test is
selftest.py NAME. Swapping faces is no feature of this program (docs/sequences.md says why).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from frontalbench import cli, images
from frontalbench.catalogue import cards
from frontalbench.detect import DEFAULT_POLICY, load_detector
from frontalbench.detect.upright import find_face
from frontalbench.errors import BadInput
from frontalbench.frontalize import check
from frontalbench.fsgan import swap
from frontalbench.networks import checkpoints
from frontalbench.networks.fsgan import BLENDING, COMPLETION, Generator
from frontalbench.networks.inference import folded

PEOPLE = ("demo/synthetic/synth_01/GT/synth_01_front.jpg", "demo/synthetic/synth_02/GT/synth_02_front.jpg")


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--completion", type=Path, metavar="FILE", help="weights of the completion network (nfv_msrunet_256_1_2_inpainting_v2.pth)"
    )
    parser.add_argument(
        "--blending", type=Path, metavar="FILE", help="weights of the blending network (nfv_msrunet_256_2_0_blending_v2.pth)"
    )
    cli.add_machine_options(parser)
    args = parser.parse_args()
    if (args.completion is None) != (args.blending is None):
        raise BadInput("give both --completion and --blending, or neither")
    torch.set_num_threads(args.threads)
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    seen = []
    for name in PEOPLE:
        image = images.decode((cards.project_root() / name).read_bytes())
        face, _ = find_face(image, detector, DEFAULT_POLICY)
        assert face is not None, name
        seen.append((image, face))
    networks = [_network(inputs, path) for inputs, path in ((COMPLETION, args.completion), (BLENDING, args.blending))]
    if args.completion is None:
        sys.stderr.write(
            "note: no weights were given, so the networks hold numbers that mean nothing; checks of what they draw are left out\n"
        )
    lines, passed = check.verdict(swap.checks(swap.pair_of(seen[0], seen[1]), *networks, trained=args.completion is not None))
    cli.said(lines)
    return cli.EXIT_OK if passed else 1


def _network(inputs: int, path: Path | None) -> Generator:
    if path is None:
        torch.manual_seed(inputs)
        made = Generator(inputs)
    else:
        made = checkpoints.unfilled(lambda: Generator(inputs))
        checkpoints.fill(made, checkpoints.load(path), path)
    whole = folded(made)
    assert isinstance(whole, Generator)
    return whole
