"""Every recipe for an environment says the same: pyproject.toml, constraints.txt, envs/*.yaml, Dockerfile."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVIRONMENTS = sorted((Path(__file__).parents[2] / "envs").glob("*.yaml"))


@pytest.fixture(scope="module")
def pyproject(project_root: Path) -> dict:  # type: ignore[type-arg]
    return tomllib.loads((project_root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(project_root: Path) -> dict[str, str]:
    lines = [line for line in (project_root / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all("==" in line for line in lines), "constraints.txt holds exact versions only"
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}


def test_every_dependency_is_pinned(pyproject: dict, pins: dict[str, str]) -> None:  # type: ignore[type-arg]
    wanted = [*pyproject["dependencies"], *(name for extra in pyproject["optional-dependencies"].values() for name in extra)]
    missing = {Requirement(text).name for text in wanted if canonicalize_name(Requirement(text).name) not in pins}
    assert missing == set()


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environments_take_python_and_packages_from_the_project(
    path: Path,
    pyproject: dict,  # type: ignore[type-arg]
    pins: dict[str, str],
    project_root: Path,
) -> None:
    content = yaml.safe_load(path.read_text())
    assert content["channels"][-1] == "nodefaults"
    python = next(item for item in content["dependencies"] if isinstance(item, str) and item.startswith("python "))
    floor = re.search(r">=(\d+\.\d+)", pyproject["requires-python"])
    assert floor and python == f"python ={floor[1]}"
    lines = next(item["pip"] for item in content["dependencies"] if isinstance(item, dict))
    constraint = next(line.removeprefix("-c ") for line in lines if line.startswith("-c "))
    assert (path.parent / constraint).resolve() == project_root / "constraints.txt"
    project = next(line.removeprefix("-e ") for line in lines if line.startswith("-e "))
    folder, _, extras = project.partition("[")
    assert (path.parent / folder).resolve() == project_root
    assert set(filter(None, extras.rstrip("]").split(","))) <= set(pyproject["optional-dependencies"])
    for line in lines:
        if not line.startswith("-"):
            requirement = Requirement(line)
            assert not requirement.specifier, f"{path.name}: the version of {requirement.name} belongs into constraints.txt"
            assert canonicalize_name(requirement.name) in pins


def test_every_rule_names_an_environment_that_is_there(project_root: Path) -> None:
    named = {name for rules in (project_root / "rules").glob("*.smk") for name in re.findall(r'"\.\./envs/(.*?)"', rules.read_text())}
    assert named
    assert named <= {path.name for path in ENVIRONMENTS}


def test_the_container_recipe_is_sound_and_of_the_same_python(project_root: Path, pyproject: dict) -> None:  # type: ignore[type-arg]
    linter = shutil.which("hadolint")
    assert linter, "hadolint comes with the extra dev (make test)"
    done = subprocess.run([linter, "--no-color", str(project_root / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (project_root / "Dockerfile").read_text()
    image = re.search(r"^FROM python:(\d+\.\d+)", text, re.M)
    assert image and f">={image[1]}," in pyproject["requires-python"]
    assert "--constraint constraints.txt" in text
