"""README's model table is the cards'."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench.catalogue import cards, modeltable
from frontalbench.errors import BadInput


def test_every_card_stands_in_the_readme(project_root: Path) -> None:
    assert modeltable.put_into(project_root / "README.md", modeltable.model_table(), check=True), (
        "run: python workflow/scripts/model_table.py"
    )
    text = (project_root / "README.md").read_text()
    for card in cards.all_cards():
        assert f"| `{card.name}` | {card.kind} |" in text


def test_a_readme_without_marks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no table here")
    with pytest.raises(BadInput, match="marks"):
        modeltable.put_into(tmp_path / "README.md", "x")


def test_every_row_says_how_its_weights_come() -> None:
    weights = {row.split("|")[1].strip(" `"): row.split("|")[4].strip() for row in modeltable.model_table().splitlines()[2:]}
    assert weights["arcface_y1"] == "4.0 MB, by hand"
    assert weights["frontalbench_rnr"].endswith(" MB, local file")
    assert weights["mirror"] == "none"
    assert weights["feature_sface"].endswith(" kB, local file")
    assert all(weights.values())
