"""What is missing on this machine, card by card, in the order in which one would mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench.catalogue import cards
from frontalbench.console import lacking
from frontalbench.errors import BadConfig


@pytest.fixture(autouse=True)
def _empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("FRONTALBENCH_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)


def one(name: str, *, gpu: bool = False) -> lacking.Standing:
    (found,) = lacking.standings([name], gpu=gpu)
    return found


def test_a_foreign_system_lacks_everything_in_order_on_an_empty_machine() -> None:
    standing = one("xportrait")
    words = [(line.what, line.word) for line in standing.lines]
    assert words == [
        ("weights", lacking.OK),
        ("weights", lacking.MISSING),
        ("environment", lacking.MISSING),
        ("repository", lacking.MISSING),
        ("gpu", lacking.MISSING),
        ("licence", lacking.ASKED),
    ]
    assert not standing.ready
    shown = str(standing).splitlines()
    assert shown[0].startswith("MEND") and len(shown) == 6 and "frontalbench prepare-environments xportrait" in shown[2]


def test_a_gpu_that_is_there_is_not_asked_for() -> None:
    assert ("gpu", lacking.MISSING) not in [(line.what, line.word) for line in one("xportrait", gpu=True).lines]


def test_a_frontalizer_that_needs_nothing_is_ready_in_one_line() -> None:
    assert one("identity").ready and len(str(one("identity")).splitlines()) == 1


def test_weights_that_only_their_makers_give_are_named_by_file() -> None:
    absent = [line for line in one("fsgan").lines if line.what == "weights" and line.word == lacking.MISSING]
    assert absent and "frontalbench fetch-weights --card frontalizer/fsgan" in absent[0].text


def test_every_frontalizer_has_a_standing_and_a_wrong_name_is_refused() -> None:
    assert len(list(lacking.standings(gpu=False))) == len(cards.all_cards("frontalizer"))
    with pytest.raises(BadConfig, match="no frontalizer 'xportait'; did you mean 'xportrait'"):
        list(lacking.standings(["xportait"], gpu=False))
