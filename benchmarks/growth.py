"""How the cost grows with the number of images, and what it will be for a whole grid.

growth.py measure --minutes 8                      the stages on more and more synthetic frames: seconds, images a second, memory, bytes
growth.py predict --run . --images 28911 --rate frontalizer/liveportrait=3.5 --gpu-rate frontalizer/liveportrait=0.02
                                                   hours of config/paper.yaml from the rates in the logs of a finished run

Seconds an image on one core come from RUN/logs/benchmarks (its longest job of each model, start of the process included); models that the run did not
have need a --rate. A model with a --gpu-rate runs on a GPU where there is one, all else on the cores beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peak import most  # noqa: E402

if TYPE_CHECKING:
    from frontalbench.catalogue.config import Config

STAGES = ("prepare", "detect", "embed", "compare")
MACHINES = (("64 cores", 64, 0), ("1 GPU + 16 cores", 16, 1), ("8 GPUs + 128 cores", 128, 8))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True, dest="what")
    measuring = what.add_parser("measure")
    measuring.add_argument("--minutes", type=float, default=8, metavar="N", help="start no larger size after this (default: 8)")
    measuring.add_argument("--sizes", type=int, nargs="+", default=[250, 500, 1000, 2000, 4000, 8000, 100_000], metavar="N")
    measuring.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    measuring.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    predicting = what.add_parser("predict")
    predicting.add_argument(
        "--run", type=Path, default=ROOT, metavar="DIR", help="folder with logs/benchmarks and results of a finished run"
    )
    predicting.add_argument("--config", type=Path, default=ROOT / "config" / "paper.yaml", metavar="YAML")
    predicting.add_argument("--images", type=int, required=True, metavar="N", help="images of all datasets together")
    predicting.add_argument("--rate", action="append", default=[], metavar="KIND/NAME=SECONDS", help="seconds an image on one core")
    predicting.add_argument("--gpu-rate", action="append", default=[], metavar="KIND/NAME=SECONDS", help="seconds an image on one GPU")
    arguments = parser.parse_args()
    if arguments.what == "predict":
        predict(arguments)
    elif arguments.stage:
        one_stage(arguments.stage, arguments.folder)
    else:
        measure(arguments.sizes, arguments.minutes)
    return 0


def measure(sizes: list[int], minutes: float) -> None:
    began = time.monotonic()
    print(f"one core, load {os.getloadavg()[0]:.1f}; each stage a process of its own, its start included")
    print(
        f"{'images':>8}" + "".join(f"{stage + ' s':>11}{'ms/image':>9}{'MB':>6}" for stage in STAGES) + f"{'kB/image on disk':>18}",
        flush=True,
    )
    last = 0.0
    for size in sizes:
        # Costs grow with the size; a size that would not end in time is not begun.
        if last and time.monotonic() - began + last * 2.2 > 60 * minutes:
            print(f"{size:8,} not begun: {time.monotonic() - began:.0f} s are over")
            break
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            frames(folder / "pictures", size)
            cells = ""
            for stage in STAGES:
                command = [sys.executable, __file__, "measure", "--stage", stage, "--folder", str(folder)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
                out = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                if out.returncode:
                    sys.exit(f"{stage}: {out.stderr}")
                seconds, megabytes = map(float, out.stdout.split()[-2:])
                cells += f"{seconds:11.1f}{seconds / size * 1e3:9.2f}{megabytes:6.0f}"
            disk = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        last = time.monotonic() - start
        print(f"{size:8,}{cells}{disk / size / 1e3:18.1f}", flush=True)


def frames(folder: Path, size: int) -> None:
    """``size`` different frames of 320 pixels of the shipped synthetic people, 20 of each of ``size / 20`` identities."""
    import numpy as np

    from frontalbench import images

    sources = [images.decode(path.read_bytes())[::2, ::2] for path in sorted((ROOT / "demo").rglob("*.jpg"))[:64]]
    rng = np.random.default_rng(0)
    for i in range(size):
        shift = rng.integers(-12, 13, 2)
        image = np.roll(sources[(i // 20) % len(sources)], shift, (0, 1)).astype(np.int16) + int(rng.integers(-25, 26))
        path = folder / f"p{i // 20:05}" / ("GT" if i % 20 == 0 else "Angle") / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_jpeg(np.clip(image, 0, 255).astype(np.uint8)))


def one_stage(stage: str, folder: Path) -> None:
    """Run one stage on the tables in ``folder``; prints its seconds (start of this process included) and its peak memory in MB."""
    from frontalbench import datasets
    from frontalbench.catalogue import cards

    names = {name: folder / f"{name}.parquet" for name in ("images", "crops", "embeddings", "similarity", "scores")}
    if stage == "prepare":
        from frontalbench.stages.prepare import prepare_shard

        prepare_shard(datasets.find("folder").with_options({"root": str(folder / "pictures"), "shards": 1}), None, "0000", names["images"])
    elif stage == "detect":
        from frontalbench.detect import load_detector
        from frontalbench.stages.detect import detect_shard

        detector = cards.find("detector", "scrfd_500m")
        detect_shard(names["images"], names["crops"], detector, lambda: load_detector(detector))
    elif stage == "embed":
        from frontalbench.embed import load_backbone
        from frontalbench.stages.embed import embed_shard

        backbone = cards.find("backbone", "w600k_mbf")
        embed_shard(names["crops"], names["embeddings"], backbone, lambda: load_backbone(backbone))
    else:
        from frontalbench.stages.compare import compare

        compare([names["images"]], [names["embeddings"]], [names["embeddings"]], names["similarity"], names["scores"])
    print(time.process_time(), most())


KINDS = {"detect": "detector", "embed": "backbone", "frontalize": "frontalizer", "enhance": "enhancement", "measure_pose": "pose"}


def logged_rates(run: Path) -> dict[str, float]:
    """Seconds an image of every model, from the benchmark files of a run: its slowest job, divided by the rows of the job's table."""
    import pyarrow.parquet as pq

    from frontalbench.plan import variant

    rates: dict[str, float] = defaultdict(float)
    for rule, kind in KINDS.items():
        for path in (run / "logs" / "benchmarks" / rule).rglob("*.tsv"):
            header, values = (line.split("\t") for line in path.read_text().splitlines()[:2])
            dataset = path.relative_to(run / "logs" / "benchmarks" / rule).parts[0]
            rows = pq.read_metadata(run / "results" / "images" / dataset / f"{path.stem}.parquet").num_rows
            name = variant.parse(path.parent.name).enhancement if rule == "enhance" else "" if rule == "measure_pose" else path.parent.name
            key = f"{kind}/{name}".rstrip("/")
            rates[key] = max(rates[key], float(dict(zip(header, values, strict=True))["s"]) / rows)
    return dict(rates)


def seen(chosen: Config, n: int) -> dict[str, int]:
    """How many images each model of a grid sees, of ``n`` in its datasets: ``kind/name`` -> count."""
    variants = 1 + sum(len(f.enhancements) for f in chosen.frontalizers)
    runs: dict[str, int] = {}
    for frontalizer in chosen.frontalizers:
        runs[f"frontalizer/{frontalizer.name}"] = n
        for chain in frontalizer.enhancements:
            if chain != "none":
                runs[f"enhancement/{chain}"] = runs.get(f"enhancement/{chain}", 0) + n
    runs |= {f"detector/{name}": n * variants for name in chosen.detectors}
    runs |= {f"backbone/{name}": n * variants * len(chosen.detectors) for name in chosen.backbones}
    # Poses are measured on the photographs, for quality on the plain frontals too; expressions need the locator's faces in every variant.
    posed = 1 + ("pose" in chosen.quality.measures) * sum("none" in f.enhancements for f in chosen.frontalizers)
    runs["pose"] = n * posed
    if chosen.locator not in chosen.detectors:
        runs[f"detector/{chosen.locator}"] = n * (variants if "expression" in chosen.quality.measures else posed)
    return runs


def predict(arguments: argparse.Namespace) -> None:
    from frontalbench.catalogue import config

    chosen = config.load(arguments.config, npm=False)
    rates = logged_rates(arguments.run)
    given = {name: float(value) for name, _, value in (text.partition("=") for text in arguments.rate)}
    on_gpu = {name: float(value) for name, _, value in (text.partition("=") for text in arguments.gpu_rate)}
    rates.update(given)
    n = arguments.images
    runs = seen(chosen, n)
    variants = 1 + sum(len(f.enhancements) for f in chosen.frontalizers)
    print(f"{n:,} images, {variants} variants, {len(chosen.detectors)} detectors, {len(chosen.backbones)} backbones")
    print(f"{'':36}{'images':>13}{'s an image, core':>18}{'core hours':>12}{'s an image, GPU':>17}{'GPU hours':>11}")
    missing, core_hours, gpu_hours, beside = [], 0.0, 0.0, 0.0
    for name, count in sorted(runs.items()):
        if name not in rates:
            missing.append(name)
            continue
        hours = count * rates[name] / 3600
        core_hours += hours
        there = f"{on_gpu[name]:17.4f}{count * on_gpu[name] / 3600:11.1f}" if name in on_gpu else ""
        gpu_hours += count * on_gpu.get(name, 0.0) / 3600
        beside += 0.0 if name in on_gpu else hours
        mark = " (given)" if name in given else ""
        print(f"{name + mark:36}{count:13,}{rates[name]:18.4f}{hours:12.1f}{there}")
    for label, cores, gpus in MACHINES:
        hours = max(gpu_hours / gpus, beside / cores) if gpus else core_hours / cores
        print(f"{label}: {hours:.1f} hours" + (f" (GPUs {gpu_hours / gpus:.1f}, cores {beside / cores:.1f}, side by side)" if gpus else ""))
    if missing:
        print(f"not counted, no rate known (give --rate): {', '.join(missing)}")


if __name__ == "__main__":
    raise SystemExit(main())
