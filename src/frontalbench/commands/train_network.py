"""Train frontalbench_rnr or scaleway_synth on pairs of people who do not exist, in slices: call it again and it goes on.

Minutes on two cores:  train_network.py refiner --pairs results/train/pairs --out results/train/refiner --preset tiny
An hour on two cores:  train_network.py refiner --pairs results/train/pairs --out results/train/refiner --preset short --bfloat16 --threads 2
On a GPU, a slice:     train_network.py refiner --pairs PAIRS --out OUT --preset full --device cuda --bfloat16 --minutes 9
At 256 pixels:         train_network.py refiner --pairs PAIRS --out OUT --preset short_256 --begin-with OUT/frontalbench_rnr.safetensors
Measure only:          train_network.py refiner --pairs results/train/pairs --out results/train/refiner --preset full --minutes 0
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

from frontalbench import cli
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.files import atomic


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("network", choices=("refiner", "scaleway"), help="which network: frontalbench_rnr or scaleway_synth")
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR", help="shards, as make_pairs.py writes them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the checkpoint, the weights and report.json")
    parser.add_argument(
        "--preset",
        choices=("tiny", "short", "polish", "short_256", "full", "full_256"),
        default="tiny",
        help="size and length of the run (default: tiny)",
    )
    parser.add_argument("--steps", type=cli.positive, metavar="N", help="train to this step (default: the preset's)")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), metavar="M", help="stop after this long; the next call goes on (default: never)"
    )
    parser.add_argument("--begin-with", type=Path, metavar="FILE", help="trained weights for the first step, where names and shapes agree")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of weights and batches (default: 0)")
    parser.add_argument(
        "--backbones",
        nargs="*",
        default=["w600k_mbf", "arcface_y1"],
        metavar="CARD",
        help="backbones of the report and, for refiner, of the losses; declare them on the card",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--bfloat16", action="store_true", help="convolutions in bfloat16")
    parser.add_argument("--threads", type=cli.positive, default=1, metavar="N", help="CPU threads (default: 1)")
    args = parser.parse_args()

    import torch

    from frontalbench.embed.gradient import load_recognizer
    from frontalbench.synth.pairs import read_shards
    from frontalbench.train import refiner, scaleway
    from frontalbench.train.trainer import split

    torch.set_num_threads(args.threads)
    training_of: ModuleType = {"refiner": refiner, "scaleway": scaleway}[
        args.network
    ]  # imported by name, so that a change of theirs counts
    if not hasattr(training_of, args.preset.upper()):
        raise BadInput(f"--preset {args.preset}: {args.network} has no such configuration; take tiny or full")
    settings = replace(getattr(training_of, args.preset.upper()), seed=args.seed)
    if args.steps:
        settings = replace(settings, steps=args.steps)
    backbones = [load_recognizer(cards.find("backbone", name)) for name in args.backbones]
    trainer = training_of.Trainer(settings, backbones, device=args.device, bfloat16=args.bfloat16)
    if not trainer.resume(args.out) and args.begin_with:
        sys.stderr.write(f"begun with {args.begin_with}; new: {', '.join(trainer.begin_with(args.begin_with)) or 'nothing'}\n")
    training, held_out = split(trainer.prepared(read_shards(args.pairs)))
    first = trainer.step

    def report(step: int, said: dict[str, float]) -> None:
        if step % 50 == 0 or step == first + 1:
            sys.stderr.write(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in said.items()) + "\n")

    trainer.run(training, settings.steps, seconds=60.0 * args.minutes, report=report)
    trainer.save(args.out)
    trainer.network.eval()
    draws = {"network": trainer.network, **trainer.baselines(training)}
    scores = {name: asdict(trainer.evaluate(draw, held_out)) for name, draw in draws.items()}
    said = {"settings": asdict(settings), "step": trainer.step, "backbones": args.backbones, "held_out": scores}
    atomic.write_text(args.out / "report.json", json.dumps(said, indent=1) + "\n")
    sys.stdout.write(json.dumps(scores) + "\n")
    return cli.EXIT_OK
