"""A clip of 1,000 frames against the same images as single files: memory and rate, in one run.

  python benchmarks/clip.py --frames 1000 --model tddfa --judge w600k_mbf

The clip is a shipped image of a synthetic person that sways in its frame, 512 pixels. Single files: decoded, detected, turned, embedded one after
the other by the same models on the same thread, without tracks and without a clip to write.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import DEFAULT_POLICY, load_detector
from frontalbench.detect.upright import find_face, upright
from frontalbench.embed import load_backbone
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.plain import clips
from frontalbench.sequences import video

SOURCE = "demo/synthetic/synth_10/Angle"


def memory() -> float:
    """Resident memory of this process now, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def shifted(number: int) -> Iterator[images.RGB]:
    files = sorted(Path(cards.project_root(), SOURCE).glob("*.jpg"))
    own = [cv2.resize(images.decode(path.read_bytes()), (512, 512), interpolation=cv2.INTER_CUBIC) for path in files]
    for k in range(number):
        shift = np.float32([[1, 0, 12 * np.sin(k / 20)], [0, 1, 6 * np.cos(k / 15)]])
        yield np.asarray(cv2.warpAffine(own[k // 100 % len(own)], shift, (512, 512), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--singles", type=int, default=200, help="so many of the frames as single files (default: 200)")
    parser.add_argument("--model", default="tddfa")
    parser.add_argument("--judge", default="w600k_mbf")
    args = parser.parse_args()
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    model, judge = load_frontalizer(cards.find("frontalizer", args.model)), load_backbone(cards.find("backbone", args.judge))
    judged = clips.Judge(detector, judge)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "a.mp4")
        with video.Writer(clip, 25.0) as writer:
            for k, image in enumerate(shifted(args.frames)):
                writer.add(image, k / 25)
                if k < args.singles:
                    Path(folder, f"{k:06d}.jpg").write_bytes(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())
        peaks: dict[str, float] = {}

        def watched(frames: Iterable[video.Frame], label: str) -> Iterator[video.Frame]:
            for k, frame in enumerate(frames):
                if k in (100, args.frames - 1):
                    peaks[f"{label} {k + (k > 100)}"] = memory()
                    print(f"{label}: {memory():.0f} MB at frame {k}", flush=True)
                yield frame

        began, wall = time.process_time(), time.perf_counter()
        counts, notes = clips.frontalize_clip(clip, Path(folder, "front.mp4"), detector, model, judge=judged, progress=watched)
        in_clip = (time.process_time() - began) / args.frames
        wall = time.perf_counter() - wall
        began = time.process_time()
        for path in sorted(Path(folder).glob("*.jpg")):
            image = images.decode(path.read_bytes())
            face, _ = find_face(image, detector, DEFAULT_POLICY)
            (outcome,) = model.frontalize([View(*upright(image, face))])
            images.encode_png(outcome.image)
            judged.of(image, face)
            judged.of(outcome.image, None)
        single = (time.process_time() - began) / args.singles
    print(f"{args.frames:,} frames: {counts}; {wall:.0f} s")
    print(*notes, sep="\n")
    print("memory, MB: " + ", ".join(f"{label} {value:.0f}" for label, value in peaks.items()))
    print(
        f"processor seconds a frame: clip {in_clip:.4f}, single files {single:.4f}; rate of the clip {single / in_clip:.2f} of single files"
    )


if __name__ == "__main__":
    main()
