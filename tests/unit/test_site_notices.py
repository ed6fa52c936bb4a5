"""What the site must say of a run: that images must not be published, that people do not exist, and which rows are controls."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from frontalbench.site import build, filters, master
from tests.unit import site_run

FORBIDDEN = "must not be published"
DOES_NOT_EXIST = "SYNTHETIC"


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> master.Master:
    folder = tmp_path_factory.mktemp("notices")
    site_run.write_run(folder)
    return master.read(folder / "master")


def renamed(read: master.Master, dataset: str) -> master.Master:
    """The same tables as if they were of another dataset, one of people who exist."""
    tables = {
        name: [{**row, "dataset": dataset} if row.get("dataset") == site_run.NAME else dict(row) for row in rows]
        for name, rows in read.tables.items()
    }
    return dataclasses.replace(read, tables=tables, datasets=(dataset,), synthetic=frozenset())


def pages(made: master.Master, out: Path) -> dict[str, str]:
    build.Site(made, out).build()
    return {path.relative_to(out).as_posix(): path.read_text(encoding="utf-8") for path in out.rglob("*.html")}


def of_dataset(found: dict[str, str]) -> dict[str, str]:
    """The pages that show numbers or images of one dataset."""
    return {name: text for name, text in found.items() if name == "index.html" or name.startswith(("datasets/", "frontalizers/"))}


@pytest.mark.parametrize("dataset", ["lfw", "a_dataset_without_a_card_here"])
def test_every_page_of_a_dataset_says_that_it_must_not_be_published(read: master.Master, tmp_path: Path, dataset: str) -> None:
    found = of_dataset(pages(renamed(read, dataset), tmp_path / "site"))
    assert len(found) >= 3
    assert [name for name, text in found.items() if FORBIDDEN not in text] == []
    assert [name for name, text in found.items() if DOES_NOT_EXIST in text] == []


def test_every_page_of_people_who_do_not_exist_says_so_and_forbids_nothing(read: master.Master, tmp_path: Path) -> None:
    found = of_dataset(pages(read, tmp_path / "site"))
    assert [name for name, text in found.items() if DOES_NOT_EXIST not in text] == []
    assert [name for name, text in found.items() if FORBIDDEN in text] == []


def test_a_control_is_called_one_in_the_ranking_and_a_method_is_not(read: master.Master, tmp_path: Path) -> None:
    rows = read.tables["table1_net_gain"]
    first = rows[0]
    as_control = [
        {**row, "variant": "mirror.none", "frontalizer": "mirror"} if row["variant"] == first["variant"] else dict(row) for row in rows
    ]
    for name, said, wanted in (("method", rows, False), ("control", as_control, True)):
        made = dataclasses.replace(read, tables={**read.tables, "table1_net_gain": said})
        text = pages(made, tmp_path / name)["index.html"]
        tagged = re.findall(r'<tr class="control"', text)
        assert bool(tagged) is wanted, name


def test_a_derived_control_is_a_control_though_its_frontalizer_is_a_method() -> None:
    assert filters.tag({"variant": "control_meanshift:mesh.none", "recipe": "control_meanshift"}) == "control"
    assert filters.tag({"variant": "fuse_mean:mesh.none", "recipe": "fuse_mean"}) == "derived"
    assert filters.tag({"variant": "mesh.none", "recipe": ""}) == ""
