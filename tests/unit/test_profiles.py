"""The profiles fit the rules: every job that a cluster runs is tried again with more memory, and no name is left over from an old rule."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml


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
    for name in sorted(set(rules) - local):
        asked = str(profile["set-resources"].get(name, {}).get("mem_mb", ""))
        assert re.fullmatch(r"\d+ \* attempt", asked), f"profiles/slurm: set-resources has no growing mem_mb for rule {name}"
        own = re.search(r"mem_mb=(\d+)", rules[name])
        assert own is None or int(asked.split()[0]) >= int(own[1]), f"{name} asks for less on a cluster than its rule says"


def test_the_profile_names_rules_that_there_are(profile: dict[str, Any], rules: dict[str, str]) -> None:
    grouped = {item.split("=")[0] for item in profile["groups"]}
    assert set(profile["set-resources"]) | grouped <= set(rules)
    names = {item.split("=")[1] for item in profile["groups"]}
    assert {item.split("=")[0] for item in profile["group-components"]} == names
