"""Tables of the documentation are the cards' and the code's."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from frontalbench.catalogue import cards, families, modeltable
from frontalbench.errors import BadConfig
from frontalbench.frontalize import liveportrait

CARDS = cards.all_cards()


def test_every_card_stands_in_the_readme(project_root: Path) -> None:
    text = (project_root / "README.md").read_text()
    for card in CARDS:
        assert f"| `{card.name}` | {card.kind} |" in text


def test_every_row_says_how_its_weights_come() -> None:
    weights = {row.split("|")[1].strip(" `"): row.split("|")[4].strip() for row in modeltable.model_table().splitlines()[2:]}
    assert weights["arcface_y1"] == "4.0 MB, by hand"
    assert weights["frontalbench_rnr"].endswith(" MB, local file")
    assert weights["mirror"] == "none"
    assert weights["feature_sface"].endswith(" kB, local file")
    assert all(weights.values())


def test_the_frontalizers_table_says_what_each_contract_says() -> None:
    rows = {
        row.split("|")[1].strip(" `"): [cell.strip() for cell in row.split("|")[3:6]] for row in modeltable.frontalizer_table().splitlines()
    }
    assert rows["mesh"] == ["yes", "any", "a square"]
    assert rows["ffwm"] == ["yes", "frontal", "a square of 128 pixels"]
    assert rows["mirror"] == ["no", "frontal", "the photograph"]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.kind}/{card.name}")
def test_every_param_that_a_family_takes_is_explained_in_the_docs(card: cards.ModelCard, project_root: Path) -> None:
    """What the family knows stands in the message that refuses anything else."""
    with pytest.raises(BadConfig) as refused:
        families.load(replace(card, params=MappingProxyType({**card.params, "mispelt_key": 1})))
    found = re.search(r"; known: (.*)", str(refused.value))
    if found:
        known = [key for key in found[1].split(", ") if key != "none"]
    else:
        assert "see docs/liveportrait.md" in str(refused.value)
        known = [
            field.name
            for part in (liveportrait.Params(), liveportrait.Params().settings)
            for field in fields(part)
            if field.name != "settings"
        ]
    words = modeltable.params_words(card.kind, card.family)
    text = words + (project_root / "docs/cards.md").read_text().split("The sizing, of all three:")[1].split("\n")[0] * ("sizing" in words)
    for page in re.findall(r"\((\w+\.md)\)", words):
        text += (project_root / "docs" / page).read_text()
    missing = [key for key in known if not re.search(rf"`(params\.)?{re.escape(key)}\b", text)]
    assert not missing, (
        f"{', '.join(missing)}: put a paragraph 'Params: ``{missing[0]}`` ...' into the docstring of load of family {card.family}, "
        "and run: python workflow/scripts/write_pages.py"
    )


def test_a_module_with_a_function_load_in_the_room_of_its_kind_is_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "frontalbench" / "frontalize"
    room.mkdir(parents=True)
    (room / "toy.py").write_text("def load(card, *, threads=1, device='cpu'):\n    ...\n")
    (room / "helper.py").write_text("def loaded(card):\n    ...\n")
    (room / "driver.py").write_text("def load(card):\n    ...\n")  # of another kind, under another name
    monkeypatch.setattr(families, "PACKAGE", tmp_path / "frontalbench")
    families.of_kind.cache_clear()
    try:
        assert dict(families.of_kind("frontalizer")) == {"toy": "frontalbench.frontalize.toy:load"}
        assert families.target("frontalizer", "toy") == ("frontalbench.frontalize.toy", "load")
        with pytest.raises(BadConfig, match=r"family 'helper' of kind 'frontalizer' is not known; known: toy$"):
            families.target("frontalizer", "helper")
    finally:
        families.of_kind.cache_clear()


def test_what_is_named_otherwise_exists() -> None:
    for kind, named in families.NAMED.items():
        for family, target in named.items():
            module, _, function = target.partition(":")
            path = families.PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
            assert f"\ndef {function}(" in path.read_text(encoding="utf-8"), f"{kind} {family}: {target}"
