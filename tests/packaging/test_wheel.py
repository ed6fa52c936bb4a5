"""The wheel works without a checkout: its command lays out a folder in which Snakemake plans the demo."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from frontalbench.console import project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


@dataclass
class Installed:
    """A virtual environment with the wheel; libraries come from the environment that runs the tests."""

    wheel: Path
    bin: Path
    home: Path

    def run(self, *command: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("FRONTALBENCH_", "PYTHON"))}
        environment = keep | {"PATH": f"{self.bin}{os.pathsep}{keep['PATH']}", "HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        environment.pop("XDG_CACHE_HOME", None)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done


@pytest.fixture(scope="module")
def installed(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(project_root)], check=True, timeout=600
    )
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True, with_pip=False)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
    python = folder / "venv" / "bin" / "python"
    bare = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True, timeout=600, env=bare)
    # Behind its own packages: the libraries. Only their folder, not its .pth files, one of which leads to the checkout.
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    snakemake = folder / "venv" / "bin" / "snakemake"
    snakemake.write_text(f'#!/bin/sh\nexec "{python}" -m snakemake "$@"\n')
    snakemake.chmod(0o755)
    (folder / "home").mkdir()
    return Installed(wheel, folder / "venv" / "bin", folder / "home")


def test_the_wheel_carries_what_a_working_folder_is_made_of(installed: Installed, project_root: Path) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        inside = {name.removeprefix("frontalbench/project/") for name in archive.namelist() if name.startswith("frontalbench/project/")}
    assert inside == set(project.files(project_root))
    assert sorted(runpy.run_path(str(project_root / "hatch_build.py"))["PROJECT"]) == sorted(project.LAID_OUT)


def test_the_demo_is_planned_in_a_folder_that_the_command_laid_out(installed: Installed, tmp_path: Path) -> None:
    where = installed.run("python", "-c", "import frontalbench; print(frontalbench.__file__)", folder=tmp_path).stdout
    assert str(installed.bin.parent) in where
    assert "next: cd study && snakemake" in installed.run("frontalbench", "init", "study", folder=tmp_path).stderr
    plan = installed.run("snakemake", "--cores", "1", "--dry-run", folder=tmp_path / "study").stdout
    assert re.search(r"^frontalize +\d+$", plan, re.M) and re.search(r"^summarize +1$", plan, re.M)
    one = "results/images/synthetic/0000.parquet"
    assert one in plan
    installed.run("snakemake", "--cores", "1", one, folder=tmp_path / "study")
    assert (tmp_path / "study" / one).is_file()


def test_the_doctor_looks_at_a_laid_out_folder(installed: Installed, tmp_path: Path) -> None:
    installed.run("frontalbench", "init", "study", folder=tmp_path)
    told = installed.run("frontalbench", "doctor", "--offline", folder=tmp_path / "study").stdout
    assert re.search(r"^ok +folder .*laid out by version", told, re.M)
    assert re.search(r"^ok +libraries ", told, re.M)
    assert re.search(r"^note +weights .*MB to fetch", told, re.M)


def test_without_a_folder_cards_come_from_the_package_and_weights_go_to_the_users_cache(installed: Installed, tmp_path: Path) -> None:
    golden = installed.run("frontalbench", "list", "frontalizers", "--verified", "golden", "--names", folder=tmp_path).stdout.split()
    assert "liveportrait" in golden and "mirror" not in golden
    code = "from frontalbench.weights import store; print(store.folder())"
    assert installed.run("python", "-c", code, folder=tmp_path).stdout.strip() == str(
        installed.home / ".cache" / "frontalbench" / "weights"
    )


def test_a_script_s_door_has_its_options_and_exit_codes(installed: Installed, tmp_path: Path) -> None:
    assert "usage: frontalbench embed " in installed.run("frontalbench", "embed", "--help", folder=tmp_path).stdout
    wrong = installed.run("frontalbench", "frontalize", "--model", "nope", "--in", ".", "--out", "out", folder=tmp_path, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: no frontalizer 'nope'")
