"""Search and slices as parts of a run: asked for by the configuration, made by rules, shown on pages of their own."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from frontalbench.errors import BadInput
from frontalbench.plan.plan import Plan
from frontalbench.site import build, master
from frontalbench.tabulate import asked, search, slices
from frontalbench.tabulate.write import csv_rows
from tests.unit import site_run
from tests.unit.test_config_and_grid import SMALL

HEAD = {"dataset": site_run.NAME, "variant": "original", "detector": "scrfd_500m", "backbone": "w600k_mbf"}


def test_nothing_of_it_is_made_unless_it_is_asked_for() -> None:
    plain, whole = Plan({**SMALL, "if_npm": {}}), Plan({**SMALL, "if_npm": {}, "search": {"draws": 7}, "slices": ["pitch", "glasses"]})
    assert plain.files.asked_tables() == [] == plain.files.asked_folders()
    assert [Path(path).name for path in whole.files.asked_tables()] == [
        *("open_set.csv", "lineup.csv", "thresholds.csv", "det.csv", "slices.csv", "slice_pairs.csv")
    ]
    assert (whole.config.search.draws, whole.config.search.enrolled, whole.config.slices) == (7, 0.5, ("pitch", "glasses"))
    judged = len(whole.config.detectors) * len(whole.config.backbones) * len(whole.variants)
    assert len(whole.files.searched_embeddings()) == judged * sum(map(len, whole.shards.values()))


def test_only_columns_of_a_table_wait_for_the_table() -> None:
    assert Plan({**SMALL, "if_npm": {}, "slices": ["pitch"]}).sources.indexes() == []
    plan = Plan({**SMALL, "datasets": ["synthetic"], "if_npm": {}, "slices": ["pitch", "nominal_step"]})
    assert [Path(path).name for path in plan.sources.indexes()] == ["index.csv"]
    assert plan.sources.index_options()[0].startswith("--index synthetic=")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    low_high = {"fnmr": 0.2, "fnmr_low": 0.1, "fnmr_high": 0.35, "threshold": 0.3, "threshold_low": 0.25, "threshold_high": 0.36}
    det = [{**HEAD, **low_high, "fmr_target": 10.0**-d, "supported": True, "fmr": 10.0**-d} for d in (1, 2, 3)]
    one = {
        **HEAD,
        "fpir_target": 0.01,
        "supported": False,
        "threshold": 0.4,
        "fpir": 0.01,
        "fnir": 0.125,
        "fnir_low": 0.05,
        "fnir_high": 0.25,
    }
    rows: dict[str, tuple[Any, list[dict[str, Any]]]] = {
        "open_set": (search.OPEN_SET, [{**one, "n_mated": 80.0, "n_nonmated": 79.0, "n_enrolled": 10.0, "draws": 20}]),
        "lineup": (search.LINEUP, [{**HEAD, "n_images": 80, "n_fta": 2, "right": 0.875, "right_low": 0.8, "right_high": 0.95}]),
        "thresholds": (search.THRESHOLDS, det[:1]),
        "det": (search.DET, det),
        "slices": (
            slices.SLICES,
            [{**HEAD, "by": "glasses", "measure": "margin", "slice": word, "n_images": 9, "mean": 0.4} for word in ("<yes>", "no")],
        ),
        "slice_pairs": (
            slices.PAIRS,
            [{**HEAD, "by": "glasses", "measure": "margin", "slice": "no", "other": "<yes>", "difference": -0.1}],
        ),
    }
    for name, (columns, found) in rows.items():
        (tmp_path / f"{name}.csv").write_text(csv_rows(columns, found), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_tables_have_pages_of_their_own_and_every_page_leads_there(folder: Path) -> None:
    site_run.write_run(folder / "run")
    read = master.read(folder / "run" / "master")
    given = {"search": asked.read(folder, asked.SEARCH), "slices": asked.read(folder, asked.SLICES)}
    build.Site(read, folder / "site", **given).build()  # type: ignore[arg-type]
    page = (folder / "site" / "search.html").read_text(encoding="utf-8")
    assert "12.5 %" in page and "[5.0, 25.0] %" in page and "87.5 %" in page and "[0.250, 0.360]" in page and "<svg" in page
    cut = (folder / "site" / "slices.html").read_text(encoding="utf-8")
    assert "&lt;yes&gt;" in cut and "<yes>" not in cut and "\N{MINUS SIGN}0.100" in cut
    assert 'href="search.html"' in (folder / "site" / "index.html").read_text(encoding="utf-8")
    build.Site(read, folder / "plain").build()
    assert not (folder / "plain" / "search.html").exists()
    assert "search.html" not in (folder / "plain" / "index.html").read_text(encoding="utf-8")


def test_a_table_that_is_another_one_is_told_in_one_line(folder: Path) -> None:
    with (folder / "det.csv").open("a", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerow(["toy", "original", "a", "b", "much"])
    with pytest.raises(BadInput, match=r"det\.csv: column 'fmr_target': 'much' is no number"):
        asked.read(folder, asked.SEARCH)
    (folder / "lineup.csv").unlink()
    with pytest.raises(BadInput, match=r"lineup\.csv: not there"):
        asked.read(folder, asked.SEARCH)
