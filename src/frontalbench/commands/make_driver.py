"""Make a driver card: images of a person who does not exist, from the front and turned, and the poses measured in them.

make_driver.py --name synth_17 --number 50                    # config/models/drivers/synth_17.yaml and its images
make_driver.py --name mine --number 36 --seed 7 --out DIR     # somewhere else

A search draws each image some ten times, a second or two each on a core. Look at the images before you use them: adults, mouth closed, eyes
open.
"""

from __future__ import annotations

import sys
from pathlib import Path

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.synth import directions, drivers, people

DETECTOR, LANDMARKS = "scrfd_500m", "tddfa_mb1"


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--name", required=True, metavar="NAME", help="of the card")
    parser.add_argument(
        "--number", type=int, required=True, metavar="N", help="which candidate of the seed (make_synthetic.py --sheet shows them)"
    )
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="people of another seed are other people (default: 7)")
    parser.add_argument("--out", type=Path, default=None, metavar="DIR", help="folder of the card (default: config/models/drivers)")
    parser.add_argument("--threads", type=cli.positive, default=1, metavar="N", help="CPU threads (default: 1)")
    args = parser.parse_args()
    from frontalbench.catalogue import families
    from frontalbench.detect import load_detector
    from frontalbench.synth.torch_generator import TorchDraws
    from frontalbench.weights import store

    detector, landmarks = cards.find("detector", DETECTOR), cards.find("landmarks", LANDMARKS)
    store.fetch_all([detector, landmarks])
    try:
        made = drivers.make(
            TorchDraws(),
            directions.load(None),
            load_detector(detector, threads=args.threads),
            families.load(landmarks, threads=args.threads),
            seed=args.seed,
            number=args.number,
        )
    except people.Rejected as reason:
        raise BadInput(f"candidate {args.number} of seed {args.seed}: {reason}; take another --number") from None
    folder = args.out or cards.cards_root() / cards.FOLDERS["driver"]
    for image in made:
        atomic.write_bytes(folder / drivers.file_name(args.name, image.step), image.data)
    atomic.write_text(folder / f"{args.name}.yaml", drivers.card_text(args.name, made, seed=args.seed, number=args.number))
    sys.stderr.write(f"{folder / args.name}.yaml: {len(made)} images, frontal one {made[len(made) // 2].off:.2f} degrees off\n")
    return cli.EXIT_OK
