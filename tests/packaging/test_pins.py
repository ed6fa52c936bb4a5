"""The pins can be installed under every supported Python, from wheels alone.

Two tools, because each knows what the other does not: uv judges the markers of another Python but takes packages that refuse it (Requires-Python has
an upper bound), pip refuses these but judges markers as of the Python it runs on. Both read metadata; nothing large is downloaded.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from frontalbench.weights import packages
from tests.unit.test_environments import PYTHONS, pins_of

EXTRAS = ("dev", "synth", "page")
SOURCE_ONLY = {"connection-pool": PYTHONS, "immutables": ("3.14",)}
"""Packages (of Snakemake) without a wheel -> for which Pythons. connection_pool is plain Python; immutables needs a compiler."""
BROUGHT_BY_TORCH = re.compile(r"nvidia-.*|cuda-.*|triton")
OUT_OF_REACH = re.compile(r"error sending request|dns error|Connection refused|timed out|tunnel|NewConnectionError", re.IGNORECASE)


def _stand_in(folder: Path, name: str, version: str) -> None:
    """An empty wheel, so that pip's check of wheels goes past a package that has none."""
    base = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{base}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{base}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{base}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{base}.dist-info/RECORD", "")


def _indexes() -> list[str]:
    """Where pip looks on this machine; the rest of its configuration (constraints of somebody's own) is left out."""
    settings = packages.pip_settings()
    options = [f"--cert={settings.cert}"] if settings.cert else []
    options += [f"--{'extra-' if number else ''}index-url={index}" for number, index in enumerate(settings.indexes)]
    return [*options, *(f"--find-links={link}" for link in settings.find_links)]


def _run(command: list[str], folder: Path) -> str:
    environment = dict(os.environ, UV_SYSTEM_CERTS="1", UV_CACHE_DIR=str(folder / "uv"), PIP_CONFIG_FILE=os.devnull)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode and OUT_OF_REACH.search(done.stderr):
        pytest.skip("the package index is out of reach, so nobody knows what it has")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.xdist_group("pins")
@pytest.mark.parametrize("python", PYTHONS)
def test_the_pins_resolve_from_wheels(project_root: Path, tmp_path: Path, python: str) -> None:
    without = [name for name, pythons in SOURCE_ONLY.items() if python in pythons]
    compiling = f"pip compile --python-version {python} --quiet --no-header --no-annotate --only-binary :all:".split()
    extras = [f"--extra={extra}" for extra in EXTRAS]
    sources = [f"--no-binary={name}" for name in without]
    files = ["--constraint", str(project_root / "constraints.txt"), str(project_root / "pyproject.toml")]
    resolved = _run([sys.executable, "-m", "uv", *compiling, *extras, *sources, *files], tmp_path)
    chosen = {canonicalize_name(Requirement(line).name): Requirement(line) for line in resolved.splitlines() if "==" in line}
    pins = pins_of(project_root, python)
    loose = {name for name in chosen if name not in pins and not BROUGHT_BY_TORCH.fullmatch(name)}
    assert loose == set(), f"not in constraints.txt for Python {python}"

    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in without:
        _stand_in(wheels, name, pins[name])
    (tmp_path / "all.txt").write_text("".join(f"{name}=={pins[name]}\n" for name in sorted(set(chosen) & set(pins))))
    only = ["--only-binary=:all:", "--no-deps", "--python-version", python, "--target", "none", "--find-links", "wheels", *_indexes()]
    _run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--use-feature=fast-deps", "--quiet", *only, "--requirement", "all.txt"],
        tmp_path,
    )
