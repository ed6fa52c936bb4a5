"""Each configuration keeps its own results: what a run is called, and that no other is called so by accident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from frontalbench import load_master
from frontalbench.errors import BadConfig, BadInput
from frontalbench.plan import runs
from tests.unit import site_run

SHIPPED: dict[str, Any] = {"name": "demo", "datasets": ["synthetic"]}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "paper.yaml").write_text("datasets: [biwi, lfw]\n")
    (tmp_path / "my study.yaml").write_text("datasets: [mine]\n")
    (tmp_path / "named.yaml").write_text("name: pilot\ndatasets: [mine]\n")
    (tmp_path / "config.yaml").write_text("name: demo\ndatasets: [synthetic]\n")
    (tmp_path / "broken.yaml").write_text("datasets: [\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given_files", "given", "name"),
    [
        ([], {}, "demo"),
        (["config.yaml"], {}, "demo"),
        (["paper.yaml"], {}, "paper"),
        (["my study.yaml"], {}, "my-study"),
        (["named.yaml"], {}, "pilot"),
        (["paper.yaml", "named.yaml"], {}, "pilot"),
        (["named.yaml", "paper.yaml"], {}, "pilot"),
        (["broken.yaml"], {}, "broken"),
        ([], {"datasets": ["mine"]}, "mine"),
        ([], {"datasets": [{"name": "lfw", "limit": 10}, "biwi"]}, "lfw-biwi"),
        (["paper.yaml"], {"datasets": ["lfw"]}, "paper-lfw"),
        (["paper.yaml"], {"name": "first"}, "first"),
        ([], {"datasets": ["mine"], "name": 2026}, "2026"),
        ([], {"backbones": ["sface"]}, "demo"),
    ],
)
def test_a_run_is_called_like_what_was_asked_for(files: Path, given_files: list[str], given: dict[str, Any], name: str) -> None:
    """``name: demo`` of config.yaml is merged into every configuration, and is not its name."""
    assert runs.name_of({**SHIPPED, **given}, [files / file for file in given_files], given) == name


@pytest.mark.parametrize("bad", ["", "a/b", "..", ".hidden", "captions", "two words", "x" * 101, "-rf"])
def test_a_name_that_is_no_folder_name_is_refused_in_one_line(bad: str) -> None:
    with pytest.raises(BadConfig, match=r"^name: '.*' cannot be a run's name.*$"):
        runs.name_of(SHIPPED, [], {"name": bad})


def test_two_runs_share_no_place() -> None:
    one, other = (runs.Places(name) for name in ("demo", "paper"))
    places = ("master", "figures", "cost", "references", "probes", "frontals", "site", "report")
    assert not {getattr(one, place) for place in places} & {getattr(other, place) for place in places}
    assert len({getattr(one, place) for place in places}) == len(places)


def test_the_tables_of_one_run_are_read_from_the_folder_of_all_and_of_several_only_when_one_is_named(tmp_path: Path) -> None:
    site_run.write_run(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "master").rename(tmp_path / "runs" / "demo")
    alone = load_master(tmp_path / "runs")
    assert alone["master"].equals(load_master(tmp_path / "runs" / "demo")["master"])
    (tmp_path / "runs" / "paper").mkdir()
    (tmp_path / "runs" / "paper" / "master.parquet").write_bytes((tmp_path / "runs" / "demo" / "master.parquet").read_bytes())
    with pytest.raises(BadInput, match=r"2 run\(s\); give one: .*demo, .*paper"):
        load_master(tmp_path / "runs")
    (tmp_path / "runs" / "paper" / "master.parquet").rename(tmp_path / "runs" / "master.parquet")
    with pytest.raises(BadInput, match=r"1 run\(s\) beside tables of an older version; give one: .*demo"):
        load_master(tmp_path / "runs")


def test_the_end_of_a_run_says_where_its_pages_are_and_how_the_report_is_made(tmp_path: Path) -> None:
    place = runs.Places("demo")
    assert place.ready(tmp_path) == []
    for name in (f"{place.master}/master.parquet", f"{place.site}/index.html"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    site, tables, report = place.ready(tmp_path)
    assert (site, tables) == ("site:   reports/demo/site/index.html", "tables: results/master/demo")
    assert "make_report.sh" in report
    (tmp_path / place.report).touch()
    assert place.ready(tmp_path)[-1] == "report: reports/demo/report.html"
