"""Core hours of the paper's grid for an earlier commit and for this working tree, from rates that one run measures for both.

    python benchmarks/grid_cost.py --before 53d635a [--options] [--turns 3] [--images 28911] [--keep rates.json] [NAME ...]

Each side lies in a folder of its own and measures in processes of its own, one thread each; they take turns, and the least processor seconds of
each count (wall beside them, the most memory of each process and the load). ``--options`` adds a third side: this working tree with what cards may
ask for and none does by default, ``precision_cpu: bfloat16`` (files of ONNX by OpenVINO). Detectors are measured on frontals: all but a 33rd of their
images are some. Frontalizers turn images of 512 x 512 pixels. Weights out of reach are filled with random numbers of the right size; glintr100,
w600k_r50 and scrfd_10g are files of their published shape (``onnx_files.py``), which each side runs as its card says.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import inspect
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IMAGES = 6
SIDE = 512
"""Frontalizers turn the demo's images, of 256 pixels, enlarged to this many, unless ``--side`` says another number: the size of a frontal."""
OPTIONS = "options"
CROPS = 16
"""Of a recogniser that is a file of random weights; a job gives it 64 at once."""
FILES = "FRONTALBENCH_GRID_COST_FILES"
"""The folder of such files."""
SHAPED = ("backbone/glintr100", "backbone/w600k_r50", "detector/scrfd_10g")
REAL = {
    "detector": ("scrfd_500m", "retinaface_mnet025"),
    "backbone": ("w600k_mbf", "edgeface_s", "sface"),
    "frontalizer": ("mesh", "tddfa", "identity", "mirror"),
    "enhancement": ("sharp", "omit_bg", "upscale"),
}
NETWORKS = ("retinaface_r50", "gfpgan", "gfpgan_finish", "liveportrait", *SHAPED)
NAMES = (*NETWORKS, *(f"{kind}/{name}" for kind, names in REAL.items() for name in names))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"what to measure (default: all): {', '.join(NAMES)}")
    parser.add_argument("--before", metavar="COMMIT", help="what is compared with")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="(default: 3)")
    parser.add_argument("--images", type=int, default=28_911, metavar="N", help="images of all datasets together (default: BIWI + LFW)")
    parser.add_argument(
        "--keep", type=Path, metavar="JSON", help="rates of earlier runs, those measured now put in: the table is made of all of them"
    )
    parser.add_argument("--options", action="store_true", help="also with what cards may ask for")
    parser.add_argument("--side", type=int, default=SIDE, metavar="N", help="pixels of the images that frontalizers turn (default: 512)")
    parser.add_argument("--work", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--asked", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, asked=args.asked, size=args.side)
        return 0
    if not args.before:
        parser.error("--before is needed")
    with tempfile.TemporaryDirectory() as temporary:
        before = Path(temporary)
        packed = subprocess.run(["git", "archive", args.before], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(before, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(before)  # our own commit
        rates = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
        os.environ[FILES] = str(before / "files")
        (before / "files").mkdir()
        for name in args.names:
            if name in SHAPED:
                shaped(name)
            sides = {"before": before, "after": ROOT} | ({OPTIONS: ROOT} if args.options else {})
            rates[name] = rates.get(name, {}) | measured(name, sides, args.turns, args.side)
            if args.keep:
                args.keep.write_text(json.dumps(rates, indent=1))
    if set(rates) >= set(NAMES):
        report(rates, args.images)
    else:
        print(f"no table of core hours yet, not measured: {', '.join(sorted(set(NAMES) - set(rates)))}")
    return 0


def measured(name: str, sides: dict[str, Path], turns: int, size: int) -> dict[str, float]:
    """Least processor seconds an image of each side; ``size``: pixels of the images that frontalizers turn."""
    least = {side: (float("inf"), float("inf"), float("inf")) for side in sides}
    most = dict.fromkeys(sides, 0.0)
    load = os.getloadavg()[0]
    processes = {}
    for side, folder in sides.items():
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(folder / "src"), str(ROOT)]), OMP_NUM_THREADS="1")
        environment.setdefault("FRONTALBENCH_STORE", str(ROOT / "weights"))
        processes[side] = subprocess.Popen(
            [sys.executable, __file__, "--work", name, "--side", str(size), *["--asked"] * (side == OPTIONS)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    for _ in range(turns):
        for side, process in processes.items():
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                sys.exit(f"{name}: the process of '{side}' ended; its message stands above")
            found = tuple(json.loads(answer))
            least[side], most[side] = min(least[side], found), max(most[side], found[2])
    for process in processes.values():
        process.communicate("")
    seconds = {side: one[0] for side, one in least.items()}
    line = "".join(f"{one:10.4f}" for one in seconds.values())
    walls = ", ".join(f"{wall:.4f}" for _, wall, _ in least.values())
    ratios = ", ".join(f"{seconds['before'] / one:.2f}" for side, one in seconds.items() if one and side != "before")
    memory = ", ".join(f"{one:.0f}" for one in most.values())
    print(f"{name:28}{line} s an image (wall {walls}); {ratios} times; at most {memory} MB; load {load:.1f}", flush=True)
    return seconds


def shaped(name: str) -> Path:
    """The ONNX file of random weights of one of :data:`SHAPED`, written at the first call."""
    path = Path(os.environ[FILES], f"{name.partition('/')[2]}.onnx")
    if not path.exists():
        sys.path.insert(0, str(ROOT))
        from benchmarks import onnx_files

        onnx_files.write(name, path)
    return path


def ours(*names: str) -> Any:
    """The first of these modules that this side has."""
    for name in names:
        try:
            return importlib.import_module(f"frontalbench.{name}")
        except ModuleNotFoundError as error:
            if error.name is None or not f"frontalbench.{name}".startswith(error.name):
                raise
    raise ModuleNotFoundError(f"none of {names}")


def work(name: str, *, asked: bool, size: int) -> None:
    """The process of one side: each line on standard input is a turn, its answer processor seconds and seconds an image."""
    import cv2

    cv2.setNumThreads(1)  # as a job does
    sys.path.insert(0, str(ROOT))
    from benchmarks.peak import most

    step, images = made(name, asked=asked, size=size)
    step()
    for _ in sys.stdin:
        clocks = time.process_time(), time.perf_counter()
        step()
        spent = [(time.process_time() - clocks[0]) / images, (time.perf_counter() - clocks[1]) / images]
        print(json.dumps([*spent, most()]), flush=True)


def asking(wanted: bool) -> Any:
    """Within it networks are made ready in bfloat16, where that is ``wanted``."""
    if not wanted:
        return contextlib.nullcontext()
    import torch

    from frontalbench.networks import precision

    return precision.asking("a benchmark", torch.bfloat16)


def made(name: str, *, asked: bool = False, size: int = SIDE) -> tuple[Callable[[], Any], int]:
    """What a turn does, and for how many images; ``asked``: with what cards may ask for."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    if name == "retinaface_r50":
        module = ours("networks.retinaface", "detect.retinaface")
        network = filled(module.RetinaFaceNet("resnet50"))
        with asking(asked):
            network = module.ready(network) if hasattr(module, "ready") else network
        x = torch.rand(1, 3, 640, 640)
        return (lambda: network(x)), 1
    if name == "gfpgan":
        module = ours("networks.gfpgan", "enhance.gfpgan_network")
        network = filled(next(getattr(module, each) for each in ("Gfpgan", "GFPGAN") if hasattr(module, each))())
        with asking(asked):
            network = module.ready(network) if hasattr(module, "ready") else network
        x = torch.rand(1, 3, 512, 512)
        return (lambda: network(x)), 1
    if name == "gfpgan_finish":
        return finishing(np), 1
    if name == "liveportrait":
        pipeline = ours("liveportrait.pipeline")
        portrait = pipeline.LivePortrait(state, precision="bfloat16" if asked else "float32")
        crop = np.random.default_rng(0).integers(0, 255, (512, 512, 3), dtype=np.uint8)

        def turned() -> None:
            source = portrait.observe([crop])
            portrait.render(source, portrait.drive(source))

        return turned, 1
    kind, _, card = name.partition("/")
    return as_its_card_says(kind, card, asked=asked) if name in SHAPED else real(kind, card, asked=asked, size=size)


def as_its_card_says(kind: str, name: str, *, asked: bool) -> tuple[Callable[[], Any], int]:
    """A model that is a file of random weights, loaded and run as its card on this side says."""
    import numpy as np

    file = shaped(f"{kind}/{name}")
    ours("weights.store").fetch = lambda *_, **__: file
    random = np.random.default_rng(0)
    card = card_of(ours("catalogue.cards", "cards"), kind, name, asked)
    if asked:  # OpenVINO's bfloat16 is faster than PyTorch's
        card = dataclasses.replace(card, params={key: value for key, value in card.params.items() if key != "engine_cpu"})
    if kind == "detector":
        from frontalbench.detect import load_detector

        # One search, as where there is a face: random weights find none, and would look again with a border.
        detector = load_detector(dataclasses.replace(card, params={**card.params, "border": 0}))
        images = random.integers(0, 256, (2, 512, 512, 3), np.uint8)
        return (lambda: [detector.detect(image) for image in images]), len(images)
    from frontalbench.embed import load_backbone

    backbone = load_backbone(card)
    crops = random.integers(0, 256, (CROPS, 112, 112, 3), np.uint8)
    return (lambda: backbone.embed(crops)), CROPS


def filled(network: Any) -> Any:
    """``network`` with random numbers that keep the size of what passes."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for key, value in [*network.named_parameters(), *network.named_buffers()]:
        if value.is_floating_point():
            ones = key.endswith(("running_var", "bn.weight")) or (value.dim() == 1 and key.endswith("weight"))
            fan = max(1, value[0].numel()) if value.dim() > 1 else 1
            value.data.copy_(torch.ones_like(value) if ones else torch.randn(value.shape, generator=generator) * (0.5 / fan) ** 0.5)
    return network.eval().requires_grad_(False)


def state(network: str) -> dict[str, Any]:
    """The state dict of one of LivePortrait's networks, random."""
    import torch

    keys = ours("networks.liveportrait.keys", "liveportrait.keys")
    generator = torch.Generator().manual_seed(0)
    values = {}
    for key, shape in keys.expected(network).items():
        if key.endswith("num_batches_tracked"):
            values[key] = torch.zeros(shape, dtype=torch.int64)
        elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            values[key] = torch.ones(shape)
        else:
            fan = max(1, int(torch.tensor(shape[1:]).prod())) if len(shape) > 1 else max(1, *shape, 1)
            values[key] = torch.randn(shape, generator=generator) * (0.5 / fan) ** 0.5
    for key in [key for key in values if key.endswith("weight_u")]:
        weight = values[key.replace("weight_u", "weight_orig")].flatten(1)
        u, s, v = torch.linalg.svd(weight, full_matrices=False)
        del s
        values[key], values[key.replace("weight_u", "weight_v")] = u[:, 0].contiguous(), v[0].contiguous()
    return values


def finishing(np: Any) -> Callable[[], Any]:
    """The second step of an enhancement in two: read the drawn face, put it into the image. Nothing on a side where both steps are one."""
    try:
        from frontalbench import images
        from frontalbench.catalogue import cards
        from frontalbench.enhance import drawn, load_finisher
    except ImportError:
        return lambda: None
    del cards
    finisher = load_finisher("gfpgan_detail")
    random = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(random.uniform(60, 200, (64, 64, 3)), 8, 0), 8, 1) + random.normal(0, 3, (512, 512, 3))
    pixels = np.clip(smooth, 0, 255).astype(np.float32)
    image, matrix = np.rint(pixels).astype(np.uint8), np.array([[1.0, 0, 3], [0, 1.0, 2]])

    def step() -> None:
        # Half of the packing: it is done once for two cards.
        encoded = images.encode_png(drawn.packed(pixels))
        finisher.finish(image, drawn.Drawn(drawn.unpacked(images.decode(encoded)), matrix))

    return step


def real(kind: str, name: str, *, asked: bool, size: int) -> tuple[Callable[[], Any], int]:
    """A model with its real weights on shipped images of synthetic people, as its job runs it."""
    import numpy as np

    from frontalbench import images
    from frontalbench.detect import load_detector
    from frontalbench.detect.select import choose
    from frontalbench.geometry.similarity import align

    cards = ours("catalogue.cards", "cards")
    paths = sorted((ROOT / "demo" / "synthetic").rglob("*.jpg"))[
        :: max(1, len(list((ROOT / "demo" / "synthetic").rglob("*.jpg"))) // IMAGES)
    ]
    decoded = [images.decode(path.read_bytes()) for path in paths[:IMAGES]]
    if kind == "frontalizer":
        import cv2

        decoded = [cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC) for image in decoded]
    if kind == "detector":
        detector = load_detector(card_of(cards, "detector", name, asked))
        try:
            find_face = importlib.import_module("frontalbench.detect.upright").find_face
            known = {"upright": True} if "upright" in inspect.signature(find_face).parameters else {}
            return (lambda: [find_face(image, detector, "largest", **known) for image in decoded]), len(decoded)
        except ModuleNotFoundError:
            return (lambda: [choose(detector.detect(p), (p.shape[1], p.shape[0])) for p in decoded]), len(decoded)
    finder = load_detector(cards.find("detector", "scrfd_500m"))
    faces = [choose(finder.detect(p), (p.shape[1], p.shape[0])) for p in decoded]
    if kind == "backbone":
        from frontalbench.embed import load_backbone

        backbone, crops = (
            load_backbone(card_of(cards, "backbone", name, asked)),
            np.stack([align(p, f.points) for p, f in zip(decoded, faces, strict=True) if f is not None]),
        )
        return (lambda: backbone.embed(crops)), len(decoded)
    if kind == "frontalizer":
        from frontalbench.frontalize import load_frontalizer
        from frontalbench.frontalize.base import View

        frontalizer = load_frontalizer(cards.find("frontalizer", name))
        views = [View(p, f) for p, f in zip(decoded, faces, strict=True)]
        return (lambda: frontalizer.frontalize(views)), len(decoded)
    from frontalbench.enhance import load_enhancement

    if asked and name == "upscale":
        families = importlib.import_module("frontalbench.catalogue.families")
        upscale = families.load(card_of(cards, "enhancement", name, asked))
        return (lambda: upscale.enhance(decoded)), len(decoded)
    enhancement = load_enhancement(name)
    return (lambda: enhancement.enhance(decoded)), len(decoded)


def card_of(cards: Any, kind: str, name: str, asked: bool) -> Any:
    card = cards.find(kind, name)
    return dataclasses.replace(card, params={**card.params, "precision_cpu": "bfloat16"}) if asked else card


def report(rates: dict[str, dict[str, float]], images: int) -> None:
    """Both sides' core hours, model by model."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.growth import seen

    from frontalbench.catalogue import config

    chosen = config.load(ROOT / "config" / "paper.yaml", npm=False)
    sides = ["before", "after", *[OPTIONS] * all(OPTIONS in rates[name] for name in NAMES)]
    total = dict.fromkeys(sides, 0.0)
    missing = []
    print(f"\n{images:,} images\n{'':32}{'images':>12}core hours" + "".join(f"{side:>10}" for side in sides))
    for name, count in sorted(seen(chosen, images).items()):
        card = name.partition("/")[2]
        if card in ("gfpgan_full", "gfpgan_detail"):
            # The network once for both.
            rate = {side: rates["gfpgan"][side] / 2 + rates["gfpgan_finish"][side] for side in sides} | {
                "before": rates["gfpgan"]["before"]
            }
        elif card in ("liveportrait", "liveportrait_raw", "facepoke"):
            rate = rates["liveportrait"]
        elif name in rates or card in rates:
            rate = rates.get(name, rates.get(card, {}))
        else:
            missing.append(name)
            continue
        hours = {side: count * rate[side] / 3600 for side in total}
        total = {side: total[side] + hours[side] for side in total}
        print(f"{name:32}{count:12,}{'':10}" + "".join(f"{hours[side]:10.1f}" for side in sides))
    shares = ", ".join(f"{total[side] / total['before']:.2f}" for side in sides[1:])
    print(f"{'together':54}" + "".join(f"{total[side]:10.1f}" for side in sides) + f": {shares}")
    if missing:
        print(f"not counted, no rate measured here: {', '.join(missing)}")


if __name__ == "__main__":
    sys.exit(main())
