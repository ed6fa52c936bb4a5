"""What a plan tells the rules: that a fetch may work now, and what has to stand on a dataset's figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frontalbench.catalogue import external
from frontalbench.plan import grid
from frontalbench.plan.plan import Plan
from tests.unit import weightkit

SMALL: dict[str, Any] = {
    "datasets": ["synthetic", "lfw"],
    "frontalizers": [{"name": "mirror", "enhancements": ["none"]}],
    "enhancements": ["none"],
    "detectors": ["yunet"],
    "backbones": ["edgeface_s"],
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """``toy(status)``: what the plan says of a card whose fetch ended so; the working folder and the weight store are empty at first."""
    plan = Plan(SMALL)
    monkeypatch.chdir(tmp_path)
    card = weightkit.make_card(weightkit.new_project(tmp_path / "project", monkeypatch))
    monkeypatch.setattr(plan.cards, "card", lambda kind, name: card)
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("FRONTALBENCH_WEIGHTS", str(tmp_path / "mirror"))

    def state(status: str = "") -> str:
        if status:
            receipt = Path(grid.RESULTS, "weights", "backbone", "toy.json")
            receipt.parent.mkdir(parents=True, exist_ok=True)
            receipt.write_text(json.dumps({"status": status}), encoding="utf-8")
        return plan.reruns.weights_state("backbone", "toy")

    return state


def test_a_weight_brought_by_hand_reruns_the_fetch_that_failed(toy: Callable[[str], str], tmp_path: Path) -> None:
    before = toy("weights_missing")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "toy.onnx").write_bytes(weightkit.TOY)
    assert toy("weights_missing") != before


def test_what_a_fetch_was_made_anew_for_stays_so_once_it_worked(toy: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "toy.onnx").write_bytes(weightkit.TOY)
    asked = toy("weights_missing")
    toy("ok")
    receipt = Path(grid.RESULTS, "weights", "backbone", "toy.json")
    receipt.write_text(json.dumps({"status": "ok", "state": asked}), encoding="utf-8")
    assert asked == "present" and toy("") == asked, "another text would rerun what has just run"


def test_a_weight_that_is_still_missing_reruns_nothing(toy: Callable[[str], str], tmp_path: Path) -> None:
    before = toy("weights_missing")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "toy.onnx").write_bytes(weightkit.TOY[:-1])
    assert toy("weights_missing") == before, "another file of that name is not the weight"


def test_a_fetch_that_worked_or_never_ran_is_not_asked_for_again(toy: Callable[[str], str], tmp_path: Path) -> None:
    never = toy("")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "toy.onnx").write_bytes(weightkit.TOY)
    assert toy("") == never == toy("ok")


def test_figures_of_people_who_must_not_be_published_and_of_people_who_do_not_exist_say_so() -> None:
    plan = Plan(SMALL)
    assert plan.datasets["lfw"].data["licence"]["publish"] is False
    assert (plan.notice("lfw"), plan.notice("synthetic")) == ("research", "synthetic")


def test_figures_that_may_be_published_have_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(SMALL)
    licence = {**plan.datasets["lfw"].data["licence"], "publish": True}
    monkeypatch.setitem(plan.datasets["lfw"].data, "licence", licence)
    assert plan.notice("lfw") == "none"


def test_a_measure_beyond_the_crops_asks_for_its_tables_and_an_enhancement_for_no_pose_of_its_own() -> None:
    chosen = [{"name": "mirror", "enhancements": ["none", "sharp"]}]
    plan = Plan({**SMALL, "datasets": ["synthetic"], "frontalizers": chosen, "quality": {"measures": ["pose", "expression"]}})
    plain, sharp, original = (plan.files.beyond_crops("synthetic", name) for name in ("mirror.none", "mirror.sharp", "original"))
    assert plain["pose"] == plan.files.pose("synthetic", "mirror.none") != []
    assert sharp["pose"] == [] and sharp["whole_images"] == ["results/variants/synthetic/mirror.sharp/0000.parquet"]
    assert original["pose"] == plan.files.pose("synthetic", "original") and original["whole_images"] == original["faces"] == []
    assert plain["original_whole_images"] == plan.files.images("synthetic") and plain["original_faces"] == sharp["original_faces"] != []


def test_what_a_job_reruns_for_is_asked_of_one_part_and_that_part_makes_no_path() -> None:
    plan = Plan(SMALL)
    assert plan.reruns.digest("backbone", "edgeface_s") == plan.cards.card("backbone", "edgeface_s").digest()[:16]
    assert plan.resources.gpus("mirror") == 0 and plan.resources.mem_mb("mirror") > 0
    assert plan.files.crops("synthetic", "original", "yunet") == ["results/crops/synthetic/original/yunet/0000.parquet"]


@pytest.mark.parametrize("rule", ["turn_references", "frontalize_external"])
def test_commit_environment_and_adapter_of_a_foreign_system_rerun_what_it_turned(rule: str, project_root: Path) -> None:
    plan = Plan(SMALL)
    stranger = plan.cards.card("frontalizer", "tddfa_external")
    assert plan.reruns.made_of("tddfa_external") == external.read(stranger).digest()[:16]
    assert plan.reruns.made_of("mirror") == ""
    text = "".join((project_root / "rules" / name).read_text() for name in ("frontalize.smk", "turned.smk"))
    wiring = text.partition(f"rule {rule}:")[2].partition("\nrule ")[0]
    assert "made_of=lambda wildcards: PLAN.reruns.made_of(wildcards.frontalizer)" in wiring
