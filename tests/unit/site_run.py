"""A small run with master tables, for the tests of the site."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path

from frontalbench import images, tables
from frontalbench.figures import dataset, inputs
from frontalbench.site import build, master
from frontalbench.stages.compare import compare
from frontalbench.stages.summarize import summarize
from frontalbench.tabulate import TableSettings, cost
from tests.unit import figure_tables as made

NAME = "synthetic"
"""A dataset that has a card, whose people do not exist."""


def write_run(root: Path, name: str = NAME) -> list[Path]:
    """The toy run of :mod:`figure_tables` with similarities and master tables computed from its embeddings; returns the run's files.

    It is computed once in a process and copied to whoever asks for it.
    """
    whole, files = _made(name)
    shutil.copytree(whole.name, root, dirs_exist_ok=True)
    return [root / file.relative_to(whole.name) for file in files]


@functools.cache
def _made(name: str) -> tuple[tempfile.TemporaryDirectory[str], list[Path]]:
    folder = tempfile.TemporaryDirectory(prefix="site_run")
    return folder, _computed(Path(folder.name), name)


def _computed(root: Path, name: str) -> list[Path]:
    files = made.write_run(root, name)
    cells = [path for path in files if "/similarity/" in str(path)]
    shards = [path for path in files if "/images/" in str(path)]
    for table in cells:
        detector, backbone = table.parts[-2], table.stem
        vectors = {v: [root / f"embeddings/{name}/{v}/{detector}/{backbone}/0000.parquet"] for v in ("original", table.parts[-3])}
        scores = table.with_name(f"{backbone}.scores.parquet")
        compare(shards, vectors[table.parts[-3]], vectors["original"], table, scores, variant=table.parts[-3])
    judged = [write_quality(root, variant, name) for variant in ("original", *made.VARIANTS)]
    summarize(cells, root / "master", settings=TableSettings(), measured=judged)
    return files


def write_quality(root: Path, variant: str, name: str = NAME) -> Path:
    """A quality table of made-up numbers: frontals are a little more like their reference than the photographs are."""
    rows = []
    for row in made.similarity_rows(variant):
        kept = {key: row[key] for key in ("image_id", "identity", "subject", "role", "status", "detail")}
        if row["status"] == "ok":
            kept |= {"ssim": 0.5 if variant == "original" else 0.625, "psnr": 20.0, "sharpness": 100.0, "yaw": -8.0, "pose_error": 8.0}
        rows.append(kept)
    path = root / f"quality/{name}/{variant}/{made.JUDGES[0][0]}.parquet"
    tables.write(path, tables.from_rows(rows, tables.QUALITY))
    return path


def write_figures(out: Path, name: str = NAME) -> None:
    """Stand-ins for two kinds of figures, for the pages that show them."""
    for request in dataset.requests(made.VARIANTS, made.JUDGES[:1]):
        for kind in request.formats if request.name in ("triples", "distributions") else ():
            path = out / name / f"{request.stem}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5"><rect width="9" height="5" fill="#ccc"/></svg>'
            path.write_bytes({"svg": svg, "jpg": images.encode_jpeg(made.face(90, 0))}.get(kind, b""))


def site(root: Path, files: list[Path], out: Path) -> build.Site:
    """The site of the run, not yet built."""
    read = master.read(root / "master")
    images = inputs.by_dataset(files)
    (name,) = images
    rows = [cost.cost_row(cost.Made(name, v, images[name].images[v])) for v in made.VARIANTS]
    compared = cost.comparison_rows(rows, read.rows("table1_net_gain"), read.rows("quality"))
    return build.Site(read, out, inputs=images, figures=root / "figures", costs={"cost": rows, "comparison": compared}, people=6)
