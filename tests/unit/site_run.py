"""A small run with master tables, for the tests of the site."""

from __future__ import annotations

from pathlib import Path

from frontalbench import images
from frontalbench.figures import dataset, inputs
from frontalbench.site import build, master
from frontalbench.stages.compare import compare
from frontalbench.stages.summarize import summarize
from frontalbench.tabulate import Settings
from tests.unit import figure_tables as made

NAME = "synthetic"
"""A dataset that has a card, whose people do not exist."""


def write_run(root: Path) -> list[Path]:
    """The toy run of :mod:`figure_tables` with similarities and master tables computed from its embeddings; returns the run's files."""
    files = made.write_run(root, NAME)
    tables = [path for path in files if "/similarity/" in str(path)]
    shards = [path for path in files if "/images/" in str(path)]
    for table in tables:
        detector, backbone = table.parts[-2], table.stem
        vectors = {v: [root / f"embeddings/{NAME}/{v}/{detector}/{backbone}/0000.parquet"] for v in ("original", table.parts[-3])}
        scores = table.with_name(f"{backbone}.scores.parquet")
        compare(shards, vectors[table.parts[-3]], vectors["original"], table, scores, variant=table.parts[-3])
    summarize(tables, root / "master", settings=Settings(resamples=100))
    return files


def write_figures(out: Path) -> None:
    """Stand-ins for two kinds of figures, for the pages that show them."""
    for request in dataset.requests(made.VARIANTS, made.JUDGES[:1]):
        for kind in request.formats if request.name in ("triples", "distributions") else ():
            path = out / NAME / f"{request.stem}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5"><rect width="9" height="5" fill="#ccc"/></svg>'
            path.write_bytes({"svg": svg, "jpg": images.encode_jpeg(made.face(90, 0))}.get(kind, b""))


def site(root: Path, files: list[Path], out: Path) -> build.Site:
    """The site of the run, not yet built."""
    return build.Site(master.read(root / "master"), out, inputs=inputs.by_dataset(files), figures=root / "figures", people=6)
