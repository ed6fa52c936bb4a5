"""Every recipe for an environment says the same: pyproject.toml, constraints.txt, envs/*.yaml, Dockerfile."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import frontalbench

FOREIGN = {"gfpgan": "gfpgan_package"}
"""Environments of foreign packages -> the adapter whose pins they take."""
ENVIRONMENTS = sorted(path for path in (Path(__file__).parents[2] / "envs").glob("*.yaml") if path.stem not in FOREIGN)


@pytest.fixture(scope="module")
def pyproject(project_root: Path) -> dict:  # type: ignore[type-arg]
    return tomllib.loads((project_root / "pyproject.toml").read_text())["project"]


PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def pins_of(project_root: Path, python: str) -> dict[str, str]:
    """Canonical name -> version of what constraints.txt pins for a Python."""
    lines = [line for line in (project_root / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    found: dict[str, str] = {}
    for line in lines:
        requirement = Requirement(line)
        assert [each.operator for each in requirement.specifier] == ["=="], f"{line}: constraints.txt holds exact versions only"
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            found[name] = line.split(";")[0].split("==")[1].strip()
    return found


@pytest.fixture(scope="module")
def pins(project_root: Path) -> dict[str, str]:
    return pins_of(project_root, PYTHONS[0])


def test_the_supported_pythons_are_said_once_and_checked(pyproject: dict) -> None:  # type: ignore[type-arg]
    named = [line.rsplit(" ", 1)[1] for line in pyproject["classifiers"] if line.startswith("Programming Language :: Python :: ")]
    assert tuple(named) == PYTHONS
    assert pyproject["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.parametrize("python", PYTHONS)
def test_no_package_is_pinned_twice_or_not_at_all_for_a_python(project_root: Path, python: str) -> None:
    """(``pins_of`` asserts the first half.)"""
    assert set(pins_of(project_root, python)) >= set(pins_of(project_root, PYTHONS[0]))


def test_every_dependency_is_pinned(pyproject: dict, pins: dict[str, str]) -> None:  # type: ignore[type-arg]
    wanted = [*pyproject["dependencies"], *(name for extra in pyproject["optional-dependencies"].values() for name in extra)]
    missing = {Requirement(text).name for text in wanted if canonicalize_name(Requirement(text).name) not in pins}
    assert missing == set()


def test_versions_that_are_called_held_are_the_pinned_ones(project_root: Path, pins: dict[str, str]) -> None:
    """(The oldest Python is the one that is held back most.)"""
    text = (project_root / "docs" / "dependencies.md").read_text().split("## What holds a version back")[1]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ") and not line.startswith("| held")]
    held = [tuple(re.fullmatch(r"\s*(\S+) ([\d.]+)(?: on Python [\d.]+)?\s*", one).groups()) for cell in cells for one in cell.split(",")]  # type: ignore[union-attr]
    assert len(held) >= len(cells) > 5
    assert [(name, version) for name, version in held if not f"{pins[canonicalize_name(name)]}.".startswith(f"{version}.")] == []


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


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_package_s_environment_takes_python_and_packages_from_its_adapter(name: str, project_root: Path) -> None:
    path, adapter = project_root / "envs" / f"{name}.yaml", project_root / "adapters" / FOREIGN[name]
    content = yaml.safe_load(path.read_text())
    assert content["channels"][-1] == "nodefaults"
    pins = (adapter / "requirements.txt").read_text()
    said = re.search(r"^# python: (\S+)$", pins, re.M)
    assert said and f"python ={said[1]}" in content["dependencies"]
    [line] = next(item["pip"] for item in content["dependencies"] if isinstance(item, dict))
    assert (path.parent / line.removeprefix("-r ")).resolve() == adapter / "requirements.txt"
    packages = [Requirement(each) for each in pins.splitlines() if each and not each.startswith("#")]
    assert all(re.fullmatch(r"==[\w.]+", str(one.specifier)) for one in packages), "every package is pinned"
    assert {"gfpgan", "basicsr", "torch", "torchvision"} <= {one.name for one in packages}


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
    assert image and pyproject["requires-python"] == f">={image[1]}"
    assert "--constraint constraints.txt" in text


def _bootstrap(project_root: Path) -> dict:  # type: ignore[type-arg]
    return runpy.run_path(str(project_root / "workflow" / "scripts" / "bootstrap.py"), run_name="bootstrap")


@pytest.mark.parametrize(("version", "word"), [((3, 10, 13), "3.11 or newer"), ((2, 7, 18), "3.11 or newer")])
def test_a_python_that_is_too_old_is_told_what_to_do(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], word: str
) -> None:
    look = _bootstrap(project_root)["python_problem"]
    monkeypatch.setattr(sys, "version_info", version)
    assert word in look() and "apt-get install" in look()


@pytest.mark.parametrize("version", [(3, 11, 2), (3, 12, 3), (3, 13, 5)])
def test_every_supported_python_is_taken(project_root: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int]) -> None:
    look = _bootstrap(project_root)["python_problem"]
    monkeypatch.setattr(sys, "version_info", version)
    assert look() is None


def test_python_3_14_without_a_compiler_is_told_what_to_install(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    look = _bootstrap(project_root)["python_problem"]
    monkeypatch.setattr(sys, "version_info", (3, 14, 1))
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "immutables" else there(name))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "needs a C compiler and Python.h" in look() and "python3.14-dev" in look()
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert look() is None


def test_what_the_ecosystem_reads_says_what_the_package_says(project_root: Path, pyproject: dict) -> None:  # type: ignore[type-arg]
    citation = yaml.safe_load((project_root / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (frontalbench.__version__, pyproject["license"])
    catalog = yaml.safe_load((project_root / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert catalog["report"] is True and 'report: "reports/workflow.rst"' in (project_root / "Snakefile").read_text()
    ways = catalog["software-stack-deployment"]
    assert ways["conda"] is any("conda:" in rules.read_text() for rules in (project_root / "rules").glob("*.smk"))
    assert ways["apptainer"] is bool(re.search(r"^container: ", (project_root / "Snakefile").read_text(), re.M))


def test_the_front_page_names_systems_by_pythons_that_are_supported(project_root: Path) -> None:
    text = (project_root / "README.md").read_text()
    named = re.findall(r"(?:Debian|Ubuntu) [\d.]+(?: has)? (3\.\d+)", text)
    assert set(named) == set(PYTHONS)
