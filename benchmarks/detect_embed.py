#!/usr/bin/env python3
"""From JPEG files to embeddings: Frontalbench, insightface's FaceAnalysis and bare ONNX Runtime sessions, side by side in one run.

All three use the same two files (SCRFD-500M, w600k_mbf), the same images and the same cores; rounds alternate, so that a disturbance of the
machine meets all of them. Each line says at which size the detector looks:

* insightface: `FaceAnalysis(allowed_modules=["detection", "recognition"])`, `cv2.imread` and `get(image, max_num=1)` in a loop, with det_size
  (640, 640), with its default (det_size None: 128 and 640 together) and with (320, 320). All its sessions get the same thread count.
* frontalbench: `detect_stream`, and the backbone on 64 crops at a time, at 640 and with the sizes of the detector's card.
* bare: only the `run` calls, on inputs prepared beforehand: the detector image by image at the same sizes, then the backbone in batches of 32.
  Decoding, scaling, box decoding and alignment cost nothing here.

Prints images per second (minimum, median and maximum of the rounds), processor time per image, the ratios that matter, how well the embeddings
agree, and the peak memory of a shard job (a process of its own that runs the two stages from Parquet to Parquet).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peak import most  # noqa: E402

BATCH = 32


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--in", dest="source", type=Path, metavar="DIR", help="folder of JPEG files (default: frll and lfw of the test data)"
    )
    parser.add_argument("--images", type=int, default=96, metavar="N", help="images per round, evenly spread over the folder (default: 96)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="cores and threads (default: 2)")
    parser.add_argument(
        "--shard", type=int, default=400, metavar="N", help="images of the shard job whose memory is measured; 0: leave out"
    )
    parser.add_argument("--as-shard-job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.as_shard_job:
        return shard_job(arguments.as_shard_job, arguments.threads)
    files = images(arguments.source)
    step = max(1, len(files) // arguments.images)
    compare(files[::step][: arguments.images], arguments)
    if arguments.shard:
        memory(files[: arguments.shard], arguments.threads)
    return 0


def images(source: Path | None) -> list[Path]:
    if source is not None:
        folders = [source]
    else:
        shared = Path(os.environ.get("FRONTALBENCH_SHARED") or Path(__file__).resolve().parents[2] / "shared")
        folders = [shared / "testdata" / "frll", shared / "testdata" / "lfw"]
    files = sorted(path for folder in folders for path in folder.rglob("*.jp*g"))
    if not files:
        sys.exit(f"no JPEG files in {', '.join(map(str, folders))}; name a folder with --in")
    return files


def compare(files: Sequence[Path], arguments: argparse.Namespace) -> None:
    import cv2
    import numpy as np

    from frontalbench.catalogue import cards
    from frontalbench.detect import load_detector
    from frontalbench.detect.boxes import Sizing
    from frontalbench.detect.scrfd import Scrfd
    from frontalbench.detect.stream import detect_stream
    from frontalbench.embed import load_backbone
    from frontalbench.embed.base import normalise
    from frontalbench.weights import store

    threads = arguments.threads
    cv2.setNumThreads(threads)
    detector_card, backbone_card = cards.find("detector", "scrfd_500m"), cards.find("backbone", "w600k_mbf")
    models = {"det.onnx": store.fetch(detector_card), "rec.onnx": store.fetch(backbone_card)}
    on_card = load_detector(detector_card)
    at_640 = Scrfd("scrfd_500m", models["det.onnx"], sizing=Sizing((640,), border=0.5))
    backbone = load_backbone(backbone_card, threads=threads)

    def ours(detector: Any) -> list[Any]:
        cv2.setNumThreads(1)  # as the stages do: the workers are the threads
        kept: list[int] = []

        def crops() -> Any:
            items = ((str(index), path.read_bytes()) for index, path in enumerate(files))
            for row in detect_stream(items, detector, decode_threads=threads):
                if row.crop is not None:
                    kept.append(int(row.image_id))
                    yield row.crop

        vectors: list[Any] = []
        waiting = crops()
        while held := list(itertools.islice(waiting, 64)):
            vectors += list(backbone.embed(np.stack(held)))
        cv2.setNumThreads(threads)
        result: list[Any] = [None] * len(files)
        for index, vector in zip(kept, vectors, strict=True):
            result[index] = vector
        return result

    # insightface reads the files again at the first image of a size, so the folder stays until the end.
    root = tempfile.TemporaryDirectory()
    folder = Path(root.name) / "models" / "pack"
    folder.mkdir(parents=True)
    for name, path in models.items():
        (folder / name).symlink_to(Path(path).resolve())
    apps = {size: analysis(root.name, size, threads) for size in ((640, 640), None, (320, 320))}

    def loop(size: tuple[int, int] | None) -> list[Any]:
        result = []
        for path in files:
            faces = apps[size].get(cv2.imread(str(path)), max_num=1)
            result.append(faces[0].embedding if faces else None)
        return result

    bare_640, bare_card = Bare(models, at_640, files, threads), Bare(models, on_card, files, threads)
    contestants: dict[str, Callable[[], Any]] = {
        "insightface, det_size (640, 640)": lambda: loop((640, 640)),
        "insightface, default det_size": lambda: loop(None),
        "insightface, det_size (320, 320)": lambda: loop((320, 320)),
        "frontalbench, detector at 640": lambda: ours(at_640),
        "frontalbench, sizes of the card": lambda: ours(on_card),
        "bare sessions, detector at 640": bare_640.run,
        "bare sessions, sizes of the card": bare_card.run,
    }
    results, wall, cpu = {}, {name: [] for name in contestants}, {name: [] for name in contestants}
    for name, run in contestants.items():  # a round to warm up, which also gives the embeddings
        results[name] = run()
    for _ in range(arguments.repeats):
        for name, run in contestants.items():
            before, start = time.process_time(), time.perf_counter()
            run()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - before)
    n = len(files)
    shape = sorted({cv2.imread(str(path)).shape[:2] for path in files})
    print(f"{n} images of {shape[0]} to {shape[-1]} pixels, {threads} threads, {arguments.repeats} alternating rounds")
    print(f"card: sizes {on_card._sizing.sizes}, refine_below {on_card._sizing.refine_below:g}, border {on_card._sizing.border:g}\n")
    print(f"{'':36}{'images/s: min':>14}{'median':>9}{'max':>9}{'CPU ms/image':>15}{'no face':>9}")
    rates = {}
    for name, seconds in wall.items():
        rate = sorted(n / s for s in seconds)
        rates[name] = statistics.median(rate)
        missed = f"{sum(v is None for v in results[name])}" if results[name] is not None else ""
        print(f"{name:36}{rate[0]:14.1f}{rates[name]:9.1f}{rate[-1]:9.1f}{statistics.median(cpu[name]) / n * 1e3:15.1f}{missed:>9}")
    print()

    def ratio(a: str, b: str, target: str = "") -> None:
        # Round by round: two neighbours in time met the same disturbances.
        each = sorted(y / x for x, y in zip(wall[a], wall[b], strict=True))
        print(f"{a}  /  {b}:  {statistics.median(each):.2f}  ({each[0]:.2f} to {each[-1]:.2f}){target}")

    ratio("frontalbench, sizes of the card", "insightface, det_size (640, 640)", "   target 3.5")
    ratio("frontalbench, sizes of the card", "insightface, default det_size", "   target 3.5")
    ratio("frontalbench, sizes of the card", "insightface, det_size (320, 320)")
    ratio("frontalbench, detector at 640", "insightface, det_size (640, 640)")
    ratio("frontalbench, sizes of the card", "bare sessions, sizes of the card", "   target 0.9")
    ratio("frontalbench, detector at 640", "bare sessions, detector at 640", "   target 0.9")
    print("\ncosine similarity of the embeddings of the same image, least and mean:")
    reference = results["insightface, det_size (640, 640)"]
    for name in (
        "frontalbench, detector at 640",
        "frontalbench, sizes of the card",
        "insightface, default det_size",
        "insightface, det_size (320, 320)",
    ):
        both = [(a, b) for a, b in zip(reference, results[name], strict=True) if a is not None and b is not None]
        a, b = (normalise(np.stack(side))[0] for side in zip(*both, strict=True))
        cosine = (a * b).sum(axis=1)
        print(f"  {name:34} to insightface at 640: {cosine.min():.5f}, {cosine.mean():.5f}  ({len(both)} images)")


def analysis(root: str, size: tuple[int, int] | None, threads: int) -> Any:
    import onnxruntime
    from insightface.app import FaceAnalysis

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = FaceAnalysis(
            "pack", root=root, allowed_modules=["detection", "recognition"], providers=["CPUExecutionProvider"], sess_options=options
        )
        app.prepare(ctx_id=-1, det_thresh=0.5, det_size=size)
    warnings.filterwarnings("ignore", category=FutureWarning, module="insightface")
    return app


class Bare:
    """The network runs that our road makes for these images, and nothing else."""

    def __init__(self, models: dict[str, Path], detector: Any, files: Sequence[Path], threads: int) -> None:
        import numpy as np
        import onnxruntime

        from frontalbench import images

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.detector, self.backbone = (
            onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in models.values()
        )
        # The detector's inputs, taken from a run of ours: as many runs per image, of the same sizes.
        self.shapes: list[tuple[int, ...]] = []
        session, run = detector._session, detector._session.run

        class Watched:
            def run(_, names: Any, feed: dict[str, Any]) -> Any:
                self.shapes.append(next(iter(feed.values())).shape)
                return run(names, feed)

        detector._session = Watched()
        for path in files:
            detector.detect(images.decode(path.read_bytes()))
        detector._session = session
        rng = np.random.default_rng(0)
        self.inputs = {shape: rng.uniform(-1, 1, shape).astype(np.float32) for shape in set(self.shapes)}
        self.crops = rng.uniform(-1, 1, (len(files), 3, 112, 112)).astype(np.float32)

    def run(self) -> None:
        name = self.detector.get_inputs()[0].name
        for shape in self.shapes:
            self.detector.run(None, {name: self.inputs[shape]})
        name = self.backbone.get_inputs()[0].name
        for start in range(0, len(self.crops), BATCH):
            self.backbone.run(None, {name: self.crops[start : start + BATCH]})


def memory(files: Sequence[Path], threads: int) -> None:
    from frontalbench import status, tables

    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "images.parquet"
        rows = [
            {"image_id": f"{i:05}", "identity": str(i), "role": "probe", "status": status.OK, "detail": "", "image": path.read_bytes()}
            for i, path in enumerate(files)
        ]
        tables.write(shard, tables.from_rows(rows, tables.IMAGES))
        command = [sys.executable, str(Path(__file__).resolve()), "--threads", str(threads), "--as-shard-job", str(shard)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the shard job failed:\n{done.stderr}")
        print(f"\nshard job, {len(files)} images, Parquet to crops to embeddings: {done.stdout.strip()}")


def shard_job(shard: Path, threads: int) -> int:
    from frontalbench.catalogue import cards
    from frontalbench.detect import load_detector
    from frontalbench.embed import load_backbone
    from frontalbench.stages.detect import detect_shard
    from frontalbench.stages.embed import embed_shard

    detector, backbone = cards.find("detector", "scrfd_500m"), cards.find("backbone", "w600k_mbf")
    crops, out = shard.with_name("crops.parquet"), shard.with_name("embeddings.parquet")
    start = time.perf_counter()
    detect_shard(shard, crops, detector, lambda: load_detector(detector), threads=threads)
    counts = embed_shard(crops, out, backbone, lambda: load_backbone(backbone, threads=threads), threads=threads)
    seconds = time.perf_counter() - start
    print(f"{sum(counts.values()) / seconds:.1f} images/s with loading and tables, peak memory {most():.0f} MB (target: under 1500)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
