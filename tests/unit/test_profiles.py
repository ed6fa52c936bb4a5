"""The profiles fit the rules: every job that a cluster runs is tried again with more memory, and no name is left over from an old rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml


class Once(yaml.SafeLoader):
    """Refuses a key that is given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]  # type: ignore[no-untyped-call]
        assert len(keys) == len(set(keys)), f"a key is given twice: {keys}"
        return super().construct_mapping(node, deep=deep)


@pytest.fixture(scope="module")
def profile(project_root: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((project_root / "profiles" / "slurm" / "config.yaml").read_text())
    return content


@pytest.fixture(scope="module")
def rules(project_root: Path) -> dict[str, str]:
    """Name of every rule -> its text."""
    text = "\n".join(path.read_text() for path in sorted((project_root / "rules").glob("*.smk")))
    parts = re.split(r"^(?:use rule \w+ as|rule) (\w+)(?: with)?:$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_rule_of_a_cluster_asks_for_more_memory_when_it_is_tried_again(
    profile: dict[str, Any], rules: dict[str, str], project_root: Path
) -> None:
    texts = [path.read_text() for path in (project_root / "rules").glob("*.smk")]
    listed = [names for text in texts for names in re.findall(r"^localrules:\n((?:    \w+,\n)+)", text, re.M)]
    assert listed
    local = set(re.findall(r"\w+", "".join(listed))) | {name for name, text in rules.items() if "localrule: True" in text}
    assert profile["retries"] >= 1
    by_card = {name for name, text in rules.items() if re.search(r"mem_mb=lambda wildcards, attempt: attempt\s+\* PLAN", text)}
    assert by_card == {"frontalize", "frontalize_external", "frontalize_views", "turn_references"} and not by_card & set(
        profile["set-resources"]
    )
    assert all(re.search(r"runtime=lambda wildcards, attempt: attempt\s+\* PLAN", rules[name]) for name in by_card)
    for name in sorted(set(rules) - local - by_card):
        asked = str(profile["set-resources"].get(name, {}).get("mem_mb", ""))
        assert re.fullmatch(r"\d+ \* attempt", asked), f"profiles/slurm: set-resources has no growing mem_mb for rule {name}"
        own = re.search(r"mem_mb=(\d+)", rules[name])
        assert own is None or int(asked.split()[0]) >= int(own[1]), f"{name} asks for less on a cluster than its rule says"


def test_every_rule_of_a_cluster_asks_for_more_time_when_it_is_tried_again(profile: dict[str, Any], rules: dict[str, str]) -> None:
    """A TIMEOUT that is tried again with the same limit is a TIMEOUT again."""
    for name, asked in profile["set-resources"].items():
        minutes = re.fullmatch(r"(\d+) \* attempt", str(asked.get("runtime", "")))
        assert minutes, f"profiles/slurm: set-resources has no growing runtime for rule {name}"
        own = re.search(r"runtime=(\d+)", rules[name])
        assert own is None or int(minutes[1]) >= int(own[1]), f"{name} asks for less time on a cluster than its rule says"
    for key in ("mem_mb", "runtime"):
        assert str(profile["default-resources"][key]).endswith("* attempt")


def test_the_lines_marked_here_can_be_switched_on_without_losing_another(project_root: Path, profile: dict[str, Any]) -> None:
    text = (project_root / "profiles" / "slurm" / "config.yaml").read_text()
    switched = re.sub(r"^( *)# ((?:gpu|gpu_model|slurm_\w+|qos): \S+)$", r"\1\2", text, flags=re.M)
    switched = re.sub(r"^( *)# ((?:frontalize|turn_references): \{.*\})$", r"\1\2", switched, flags=re.M)
    assert switched.count("gpu: 1") >= 1
    on = yaml.load(switched, Loader=Once)
    for name, asked in profile["set-resources"].items():
        assert asked.items() <= on["set-resources"][name].items(), f"{name} loses a line when another is switched on"
    assert on["set-resources"]["frontalize"] == {"gpu": 1, "gpu_model": "a100", "slurm_partition": "gpu"}
    assert on["set-resources"]["enhance"] == {
        "mem_mb": "4000 * attempt",
        "runtime": "240 * attempt",
        "gpu": 1,
        "gpu_model": "a100",
        "slurm_partition": "gpu",
    }
    assert on["default-resources"].items() >= profile["default-resources"].items()


def test_no_profile_and_no_configuration_names_a_key_twice(project_root: Path) -> None:
    """YAML keeps the last of two without a word."""
    for path in [*project_root.glob("profiles/*/config.yaml"), *project_root.glob("config/*.yaml")]:
        yaml.load(path.read_text(), Loader=Once)
    with pytest.raises(AssertionError, match="twice"):
        yaml.load("a: {x: 1}\nb: 2\na: {y: 1}", Loader=Once)


def test_the_jobs_of_a_group_are_asked_for_in_turn(profile: dict[str, Any]) -> None:
    """What that comes to in CPUs, memory and minutes is asked of a real SLURM in tests/slurm/test_requests.py."""
    assert profile["default-resources"]["in_turn"] == 1
    assert profile["resources"] == ["in_turn=1"]
    assert profile["set-resource-scopes"] == ["in_turn=local"]


def test_every_rule_whose_script_may_use_a_gpu_says_how_many_were_counted_for_it(rules: dict[str, str], project_root: Path) -> None:
    """One that does not would start on the first GPU beside another job's."""
    scripts = {
        path.name for path in (project_root / "src" / "frontalbench" / "commands").glob("*.py") if "add_machine_options" in path.read_text()
    }
    using = {name for name, text in rules.items() if scripts & set(re.findall(r"(\w+\.py) ", text))}
    assert using == {
        "detect",
        "embed",
        "measure_pose",
        "frontalize",
        "frontalize_external",
        "frontalize_views",
        "enhance",
        "draw_faces",
        "turn_references",
        "measure_distribution",
    }
    for name in using:
        assert "--gpus {resources.gpu}" in rules[name], name
        assert "gpu=0" in rules[name] or "gpu=lambda wildcards: PLAN.resources.gpus(wildcards.frontalizer)" in rules[name], name
    workstation = yaml.safe_load((project_root / "profiles" / "workstation" / "config.yaml").read_text())
    assert {name for name, asked in workstation["set-resources"].items() if asked == {"gpu": 1}} == using
    assert workstation["resources"] == ["gpu=2"]


def test_the_profile_names_rules_that_there_are(profile: dict[str, Any], rules: dict[str, str]) -> None:
    grouped = {item.split("=")[0] for item in profile["groups"]}
    assert set(profile["set-resources"]) | grouped <= set(rules)
    names = {item.split("=")[1] for item in profile["groups"]}
    assert {item.split("=")[0] for item in profile["group-components"]} == names
