"""The contract on a frontalizer's card: what the plan asks before anything is loaded is what the loaded model does."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontalbench.catalogue import cards, families
from frontalbench.catalogue.cards import Resources
from frontalbench.errors import BadConfig
from frontalbench.plan.plan import Plan
from frontalbench.plan.resources import LOADING_MINUTES

ALL = {card.name: card for card in cards.all_cards("frontalizer")}
GRID: dict[str, Any] = {
    "datasets": ["synthetic"],
    "detectors": ["scrfd_500m"],
    "backbones": ["w600k_mbf"],
    "enhancements": ["none"],
    "quality": {"measures": []},
}


def test_every_shipped_frontalizer_says_its_contract_and_what_its_jobs_ask_for() -> None:
    without = sorted(name for name, card in ALL.items() if card.contract is None or "resources" not in card.data)
    assert without == [], f"no contract or no resources on the cards of {', '.join(without)}: docs/cards.md says how"


@pytest.mark.parametrize("name", sorted(name for name, card in ALL.items() if card.contract is not None))
def test_a_contract_says_what_the_classes_of_its_family_say(name: str) -> None:
    """Also of models whose weights are not here."""
    card = ALL[name]
    assert card.contract is not None
    if card.family == "whole":  # draws what another card's frontalizer draws
        inner = card.the("frontalizer").contract
        assert inner is not None and (card.contract.face, card.contract.target_pose) == (inner.face, inner.target_pose)
        return
    module = importlib.import_module(families.target(card.kind, card.family)[0])
    own = [value for value in vars(module).values() if isinstance(value, type) and isinstance(getattr(value, "needs_face", None), bool)]
    assert own, f"{module.__name__} has no frontalizer"
    assert card.contract.face in {value.needs_face for value in own}  # type: ignore[attr-defined]
    said = {value.takes_target_pose for value in own if isinstance(getattr(value, "takes_target_pose", None), bool)}  # type: ignore[attr-defined]
    assert not said or (card.contract.target_pose == "any") in said


def test_references_are_turned_only_by_cards_that_take_any_pose() -> None:
    Plan({**GRID, "frontalizers": ["mesh"], "derived": ["pose_matched:mesh.none"]})
    with pytest.raises(BadConfig) as caught:
        Plan({**GRID, "frontalizers": ["mirror"], "derived": ["fuse_mean:mirror.none", "pose_matched:mirror.none"]})
    (line,) = str(caught.value).splitlines()
    assert "'pose_matched:mirror.none'" in line and "'mirror'" in line and "target_pose: frontal" in line


def test_a_malformed_derived_name_is_one_line_with_the_key() -> None:
    with pytest.raises(BadConfig) as caught:
        Plan({**GRID, "frontalizers": ["mesh"], "derived": ["fuse_min:mesh.none"]})
    (line,) = str(caught.value).splitlines()
    assert line.startswith("config: derived: derived variant 'fuse_min:mesh.none'")


def test_a_job_asks_for_what_the_card_says() -> None:
    plan = Plan({**GRID, "frontalizers": ["mirror", "liveportrait", "mesh"]})
    assert plan.resources.mem_mb("mirror") < plan.resources.mem_mb("liveportrait")
    images_there = 200
    for name in ("mirror", "liveportrait"):
        rate = ALL[name].resources.minutes_per_1000
        assert plan.resources.minutes(name, "synthetic", "0000") == LOADING_MINUTES + -(-rate * images_there // 1000)
    bins = len(plan.datasets["synthetic"].yaw_bins) - 1
    turning = plan.resources.minutes("mesh", "synthetic", "0000", turning=True)
    assert turning == LOADING_MINUTES + -(-ALL["mesh"].resources.minutes_per_1000 * images_there * (bins - 1) // 1000)
    assert plan.resources.gpus("liveportrait") == 0


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """``project(contract=..., resources=..., kind=...)``: a card file with these keys."""

    def make(kind: str = "frontalizer", **keys: Any) -> Path:
        path = tmp_path / "models" / cards.FOLDERS[kind] / "toy.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {"name": "toy", "kind": kind, "family": "mirror", "title": "Toy", "weights": {}}
        more = {"licence": {"code": "MIT", "weights": "none"}, "verified": {"level": "none"}}
        path.write_text(yaml.safe_dump({**head, **more, **keys}))
        return path

    return make


def test_a_card_without_a_contract_has_none_and_asks_for_the_usual(project: Callable[..., Path]) -> None:
    card = cards.load(project())
    assert card.contract is None and card.resources == Resources()
    assert cards.load(project(resources={"gpu": "required"})).resources == Resources(gpu="required")


FULL = {"face": True, "target_pose": "any", "gives": "crop", "deterministic": True}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"contract": {**FULL, "target_pose": "left"}}, "contract.target_pose: 'left'"),
        ({"contract": {**FULL, "sise": 3}}, "contract.sise: unknown key; did you mean 'size'?"),
        ({"contract": {"face": True}}, "contract.target_pose: missing"),
        ({"contract": {**FULL, "gives": "photograph", "size": 512}}, "contract.size: a whole photograph"),
        ({"resources": {"mem": 3}}, "resources.mem: unknown key"),
        ({"resources": {"minutes_per_1000": 0}}, "resources.minutes_per_1000: 0"),
        ({"kind": "detector", "contract": FULL}, "contract: only for frontalizers"),
        ({"kind": "detector", "resources": {}}, "resources: only for frontalizers"),
    ],
)
def test_a_mistake_in_a_contract_is_one_line(project: Callable[..., Path], keys: dict[str, Any], said: str) -> None:
    path = project(**keys)
    with pytest.raises(BadConfig) as caught:
        cards.load(path)
    lines = [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]
    assert any(line.startswith(said) for line in lines), lines


def test_contract_and_resources_change_no_result(project: Callable[..., Path]) -> None:
    plain = cards.load(project()).digest()
    assert cards.load(project(contract=FULL, resources={"mem_mb": 9000})).digest() == plain


def test_the_one_card_of_a_kind_is_asked_in_one_place() -> None:
    assert ALL["mirror_ahead"].the("pose").name == "tddfa_pose"
    assert ALL["tddfa"].the("landmarks", "face_landmarker").name == "face_landmarker"
    for card, kind, family, said in (
        (ALL["mirror"], "pose", "", "expected exactly one pose card, names none"),
        (ALL["tddfa"], "landmarks", "", "expected exactly one landmarks card, names tddfa_mb1, face_landmarker"),
        (ALL["frontalbench_rnr"], "frontalizer", "mesh", "expected exactly one frontalizer card of family mesh, names none"),
    ):
        with pytest.raises(BadConfig) as caught:
            card.the(kind, family)
        assert str(caught.value) == f"{card.path}: uses: {said}"
