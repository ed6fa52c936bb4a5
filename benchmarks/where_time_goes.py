"""Where the time of detect + align + embed goes, from a table of images to a table of embeddings, on one core: a bar per step, drawn as SVG.

The steps are timed inside of the two stages while they run; what is in no step is "rest". Bare sessions would be the two dark parts alone.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="source", type=Path, default=ROOT / "demo", metavar="DIR", help="folder of JPEG files (default: demo)")
    parser.add_argument("--images", type=int, default=200, metavar="N")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "where_time_goes.svg", metavar="SVG")
    arguments = parser.parse_args()
    files = sorted(arguments.source.rglob("*.jpg"))[: arguments.images]
    steps = measured(files)
    total = sum(steps.values())
    print(f"{len(files)} images, one core, load {os.getloadavg()[0]:.1f}: {total / len(files) * 1e3:.1f} ms an image")
    for name, seconds in steps.items():
        print(f"{name:28}{seconds / len(files) * 1e3:8.2f} ms{seconds / total:7.0%}")
    draw({name: seconds / len(files) * 1e3 for name, seconds in steps.items()}, arguments.out)


def measured(files: list[Path]) -> dict[str, float]:
    """Seconds of each step over all files."""
    from frontalbench import images, status, tables
    from frontalbench.catalogue import cards
    from frontalbench.detect import load_detector
    from frontalbench.detect import stream as pipeline
    from frontalbench.embed import load_backbone
    from frontalbench.stages.detect import detect_shard
    from frontalbench.stages.embed import embed_shard

    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return run(*given, **named)
            finally:
                spent[name] += time.perf_counter() - start

        return inner

    class Session:
        def __init__(self, session: Any, name: str) -> None:
            self._session, self.run = session, timed(name, session.run)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    detector_card, backbone_card = cards.find("detector", "scrfd_500m"), cards.find("backbone", "w600k_mbf")
    detector, backbone = load_detector(detector_card), load_backbone(backbone_card)
    detector._session = Session(detector._session, "detector network")  # type: ignore[attr-defined]
    backbone._session = Session(backbone._session, "backbone network")  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        shard, crops, out = (Path(folder, f"{name}.parquet") for name in ("images", "crops", "embeddings"))
        rows = [
            {"image_id": f"{i:05}", "identity": "p", "role": "probe", "status": status.OK, "detail": "", "image": path.read_bytes()}
            for i, path in enumerate(files)
        ]
        tables.write(shard, tables.from_rows(rows, tables.IMAGES))
        plain = images.decode, images.encode_png, pipeline.align, tables.Writer._flush, tables.Writer.__exit__
        pipeline.align = timed("align", plain[2])  # type: ignore[assignment]
        images.encode_png = timed("crop to PNG", plain[1])
        tables.Writer._flush = timed("write tables", plain[3])  # type: ignore[method-assign]
        try:
            images.decode = timed("decode JPEG", plain[0])
            start = time.perf_counter()
            detect_shard(shard, crops, detector_card, lambda: detector)
            images.decode = timed("decode PNG", plain[0])
            embed_shard(crops, out, backbone_card, lambda: backbone)
            whole = time.perf_counter() - start
        finally:
            images.decode, images.encode_png, pipeline.align, tables.Writer._flush, _ = plain  # type: ignore[method-assign]
    order = ("decode JPEG", "detector network", "align", "crop to PNG", "decode PNG", "backbone network", "write tables")
    steps = {name: spent[name] for name in order}
    return {**steps, "rest": whole - sum(steps.values())}


def draw(milliseconds: dict[str, float], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 2.9), layout="constrained")
    bars(axes, milliseconds, decimals=2, room=0.1)
    axes.set_xlabel("milliseconds an image, one core (dark: inside of ONNX Runtime)")
    save(figure, path)


def bars(axes: Any, milliseconds: dict[str, float], *, decimals: int, room: float) -> None:
    """A bar per step, the first on top, networks dark, each with its figure; ``room``: share of the width left free beside the longest."""
    names = list(milliseconds)[::-1]
    colours = ["#1b4f72" if "network" in name else "#9db8c9" for name in names]
    drawn = axes.barh(names, [milliseconds[name] for name in names], color=colours)
    axes.bar_label(drawn, [f"{milliseconds[name]:.{decimals}f}" for name in names], padding=3, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=room)


def save(figure: Any, path: Path) -> None:
    """As SVG without a date: the same figures give the same bytes."""
    from frontalbench.files import atomic

    with atomic.replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
