"""The documented Python access: the page's code runs as it stands, five lines a question, and answers with numbers of the tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import frontalbench
from frontalbench.errors import BadInput
from frontalbench.tabulate import TABLES
from tests.unit import site_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
BLOCKS = re.findall(r"## (.*?)\n.*?```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("api")
    site_run.write_run(root / "results")
    return root


def test_there_are_five_questions_of_at_most_five_lines() -> None:
    assert len(BLOCKS) == 5
    for question, code in BLOCKS:
        assert len([line for line in code.splitlines() if line.strip()]) <= 5, question


@pytest.mark.parametrize(("question", "code"), BLOCKS, ids=[question for question, _ in BLOCKS])
def test_every_answer_of_the_page_comes_out(run: Path, question: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    names: dict[str, Any] = {}
    exec(code, names)
    answer = names["answer"]
    assert isinstance(answer, pd.DataFrame) and len(answer) and answer.select_dtypes("number").notna().any().any()


def test_an_answer_is_the_number_of_the_table(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    names: dict[str, Any] = {}
    exec(BLOCKS[0][1], names)
    table = pd.read_csv(run / "results/master/table1_net_gain.csv").query("leak == 'no'")
    assert len(names["answer"]) == len(table)
    for row in table.to_dict("records"):
        found = names["answer"].loc[(row["dataset"], row["detector"], row["backbone"], row["variant"])]
        for column in ("identity_gain", "identity_gain_low", "identity_gain_high", "n_subjects"):
            assert found[column] == pytest.approx(row[column], abs=1e-6, nan_ok=True), "as printed, not averaged over judges"


def test_no_answer_averages_intervals_judges_or_datasets_and_gains_come_with_interval_and_n() -> None:
    for question, code in BLOCKS:
        assert "mean()" not in code and "pivot_table" not in code, question
        if "gain" in code and "identities" not in code:
            assert "_low" in code and "_high" in code and "n_subjects" in code, question


def test_every_table_has_its_documented_columns(run: Path) -> None:
    found = frontalbench.load_master(run / "results/master")
    assert {name: list(frame.columns) for name, frame in found.items()} == {name: list(columns) for name, columns in TABLES.items()}
    with pytest.raises(BadInput, match=r"results/master"):
        frontalbench.load_master(run / "nowhere")
