"""Layout ``flat``: one folder, the person in the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench.datasets import listing
from frontalbench.errors import BadConfig, BadInput
from tests.unit import datasetkit as kit

NAMES = {
    "cplfw": ("images/Aaron_Eckhart_1.jpg", "Aaron_Eckhart"),
    "calfw": ("aligned images/Aaron_Guiel_0001.jpg", "Aaron_Guiel"),
    "agedb": ("AgeDB/0_MariaCallas_35_f.jpg", "MariaCallas"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_person_is_read_from_the_name(tmp_path: Path, name: str) -> None:
    path, person = NAMES[name]
    kit.put(tmp_path / path, kit.jpeg(1))
    kit.put((tmp_path / path).parent / "readme_no_person.jpg", kit.jpeg(2))
    found = listing.scan(kit.card(name, tmp_path))
    assert [(m.image_id, m.identity, m.subject, m.role) for m in found.members] == [(Path(path).name, person, person, "auto")]
    assert found.refused == 1 and any("1 image left out" in line and "readme_no_person.jpg" in line for line in found.problems)


def test_shards_hold_everybody_once(tmp_path: Path) -> None:
    for number in range(30):
        kit.put(tmp_path / "images" / f"P{number % 10}_{number}.jpg", kit.jpeg(number))
    card = kit.card("cplfw", tmp_path, shards=3)
    from frontalbench.datasets import flat
    from frontalbench.datasets.card import shard_of_identity
    from frontalbench.datasets.filecache import FileCache

    everything = {m.image_id for m in listing.scan(card).members}
    assert len(everything) == 30
    parts = [flat.scan(str(tmp_path), card, FileCache(None, tmp_path), shard_of_identity(f"P{n}", 3)).members for n in range(10)]
    assert {m.image_id for part in parts for m in part} == everything
    assert all(len({m.shard for m in part}) == 1 for part in parts)


def test_a_folder_without_such_names_says_what_was_expected(tmp_path: Path) -> None:
    kit.put(tmp_path / "nothing.jpg", kit.jpeg(0))
    with pytest.raises(BadInput, match=r"nothing of layout 'flat' .*Aaron_Eckhart_1.jpg"):
        listing.scan(kit.card("cplfw", tmp_path))


@pytest.mark.parametrize(("pattern", "said"), [("(((", "not a regular expression"), ("abc", "needs one group in parentheses")])
def test_an_expression_that_finds_nobody_is_one_line(tmp_path: Path, pattern: str, said: str) -> None:
    kit.put(tmp_path / "a_1.jpg", kit.jpeg(0))
    with pytest.raises(BadConfig, match=f"options.identity: {said}"):
        listing.scan(kit.card("cplfw", tmp_path, options={"identity": pattern}))
