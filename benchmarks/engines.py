"""ONNX Runtime and another engine side by side on ONNX files: processor milliseconds an image, start, memory, and how far apart.

    python benchmarks/engines.py [--turns 5] [--beside torch | openvino] [FILE.onnx ... | glintr100 w600k_r50 scrfd_10g]

The other one is PyTorch (``engine_cpu: torch``), or OpenVINO in float32 (``engine: openvino`` of a super-resolution; no other card may ask for it).
Each engine is a process of its own with one thread, as a job runs it (``embed/arcface.py``, ``detect/scrfd.py``); they take turns, and the least of
each counts. Crops and images are the shipped synthetic people. Names stand for files of random weights (``onnx_files.py``), whose boxes and
embeddings mean nothing but must agree all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("onnxruntime", "torch", "openvino")
CROPS, IMAGES = 32, 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "files", nargs="*", default=["glintr100", "w600k_r50", "scrfd_10g"], metavar="FILE", help="(default: the three names)"
    )
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="(default: 5)")
    parser.add_argument("--beside", choices=ENGINES[1:], default=ENGINES[1], help="(default: torch)")
    parser.add_argument("--dimension", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(Path(args.files[0]), args.work, args.dimension)
        return 0
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.files:
            path = Path(name)
            if path.suffix != ".onnx":
                from benchmarks import onnx_files

                path = Path(temporary, f"{name}.onnx")
                onnx_files.write(next(known for known in onnx_files.NAMES if known.endswith(f"/{name}")), path)
            print(side_by_side(path, args.turns, Path(temporary), (ENGINES[0], args.beside)), flush=True)
    return 0


def side_by_side(path: Path, turns: int, folder: Path, engines: tuple[str, str]) -> str:
    """A line for one file."""
    import onnx

    outputs = onnx.load(str(path), load_external_data=False).graph.output
    flat = len(outputs) == 1 and len(outputs[0].type.tensor_type.shape.dim) < 4
    dimension = outputs[0].type.tensor_type.shape.dim[1].dim_value if flat else 0 if len(outputs) > 1 else -1
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    load = os.getloadavg()[0]
    processes = {
        engine: subprocess.Popen(
            [sys.executable, __file__, "--work", engine, "--dimension", str(dimension), str(path)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for engine in engines
    }
    told: dict[str, dict[str, Any]] = {}
    for turn in range(turns + 1):
        for engine, process in processes.items():
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{folder / engine}.npy\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                sys.exit(f"{path}: the process of '{engine}' ended; its message stands above")
            found = json.loads(answer)
            told[engine] = found if turn == 0 else {**found, "ms": min(found["ms"], told[engine]["ms"])}
    for process in processes.values():
        process.communicate("")
    one, other = (told[engine] for engine in engines)
    wanted, got = (np.load(folder / f"{engine}.npy").astype(np.float64) for engine in engines)
    apart = f"not as many faces ({len(wanted)}, {len(got)})" if wanted.shape != got.shape else f"{np.abs(wanted - got).max():.1e} apart"
    if wanted.shape == got.shape and wanted.ndim == 2:
        apart += f", cosine at least {(wanted * got).sum(axis=1).min():.7f}"
    return (
        f"{path.stem:28}{one['ms']:8.1f}{other['ms']:8.1f} ms ({one['ms'] / other['ms']:.2f} times), "
        f"start {one['start']:.1f} and {other['start']:.1f} s, most memory {one['mb']} and {other['mb']} MB, {apart}, load {load:.1f}"
    )


def work(path: Path, engine: str, dimension: int) -> None:
    """The process of one engine: each line on standard input is a file for the results of a turn. ``dimension`` of an embedding, 0: a detector, -1:
    a matte or a super-resolution."""
    clock = time.process_time()
    import cv2

    cv2.setNumThreads(1)
    sys.path.insert(0, str(ROOT))
    from benchmarks.peak import most

    from frontalbench import images

    shipped = sorted((ROOT / "demo" / "synthetic").rglob("*.jpg"))[:CROPS]
    decoded = [images.decode(file.read_bytes()) for file in shipped]
    if engine == "openvino":
        from frontalbench.runtime import sessions

        sessions.onnx_session = lambda model, *, threads=1, **_: sessions.OpenVinoSession(model, threads=threads)  # type: ignore[assignment]
        engine = "onnxruntime"
    if dimension < 0:
        from frontalbench.enhance.matting import Modnet
        from frontalbench.enhance.super_resolution import SuperResolution

        some = decoded[:IMAGES]
        mattes = "modnet" in path.name

        def step() -> Any:
            if mattes:
                return np.stack([matting.matte(image) for image in some])
            return np.stack([one.image for one in larger.enhance(some)])

        if mattes:
            matting = Modnet(path)
        else:
            larger = SuperResolution("card", path, longest=64)  # as the shipped card asks
        count = len(some)
    elif not dimension:
        from frontalbench.detect.boxes import Sizing
        from frontalbench.detect.scrfd import Scrfd

        some = decoded[:IMAGES]
        detector = Scrfd("card", path, sizing=Sizing(border=0), engine=engine)  # one search, as where there is a face
        session = detector._session
        blob = ((some[0].transpose(2, 0, 1)[None, :, :512, :512] - np.float32(127.5)) / 128).astype(np.float32)
        blob = np.pad(blob, ((0, 0), (0, 0), (0, 640 - blob.shape[2]), (0, 640 - blob.shape[3])))
        results = np.concatenate([one.ravel() for one in session.run(None, {session.get_inputs()[0].name: blob})])

        def step() -> Any:
            for image in some:
                detector.detect(image)
            return results  # what the network gives: which of nearly equal scores is the higher one is chance

        count = len(some)
    else:
        from frontalbench.embed.arcface import ArcFaceOnnx
        from frontalbench.embed.base import normalise

        crops = np.stack([cv2.resize(image, (112, 112), interpolation=cv2.INTER_AREA) for image in decoded])
        backbone = ArcFaceOnnx("card", path, dimension=dimension, engine=engine)

        def step() -> Any:
            return normalise(backbone.embed(crops))[0]

        count = len(crops)
    start = time.process_time() - clock
    for line in sys.stdin:
        clock = time.process_time()
        found = step()
        milliseconds = (time.process_time() - clock) / count * 1000
        np.save(line.strip(), found)
        print(json.dumps({"ms": milliseconds, "start": start, "mb": round(most())}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
