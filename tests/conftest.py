"""Fixtures that all tests share."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests import rooms, skips
from tests.project import COLD, Project, copy_checkout, people, write_card
from tests.project import at as project_at

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("FRONTALBENCH_SHARED") or ROOT.parent / "shared").absolute()

# The same examples every time, so that a check is red because of a change; HYPOTHESIS_PROFILE=explore looks for new ones.
# No deadlines: a busy machine is not a fault.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", print_blob=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


_MISPLACED = pytest.StashKey[list[str]]()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Everything in ``tests/models``, and what asks for weights or photographs elsewhere, has the mark of tests that need them."""
    if item.nodeid.startswith("tests/models/") or not set(getattr(item, "fixturenames", ())).isdisjoint(rooms.NEEDS):
        item.add_marker(rooms.MARKER)
    if item.get_closest_marker("xdist_group") is None and _shares_a_fixture(item):
        item.add_marker(
            pytest.mark.xdist_group(item.nodeid.partition("::")[0].removeprefix("tests/").removesuffix(".py").replace("/", "."))
        )


def _shares_a_fixture(item: pytest.Item) -> bool:
    """Whether the test uses what is made once for its module: then the module's tests run in one worker of xdist, or each worker would make it."""
    made = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(definitions[-1].scope == "module" for definitions in made.values())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before anything is deselected: remember what stands in the wrong folder."""
    asked = (
        rooms.Asked(
            item.nodeid.partition("::")[0],
            item.nodeid.partition("::")[2].partition("[")[0],
            frozenset(getattr(item, "fixturenames", ())),
            frozenset(mark.name for mark in item.iter_markers()),
        )
        for item in items
    )
    config.stash[_MISPLACED] = rooms.misplaced(asked)
    items.sort(key=lambda item: next((number for number, start in enumerate(LONG) if item.nodeid.startswith(start)), len(LONG)))


LONG = (
    "tests/slurm/",
    "tests/e2e/test_external.py",
    "tests/e2e/test_elsewhere.py",
    "tests/e2e/test_survival.py",
    "tests/faults/",
    "tests/e2e/",
    "tests/packaging/",
    "tests/browser/",
    "tests/models/test_train.py",
    "tests/models/",
    "tests/golden/",
)
"""What takes minutes begins first, so that the workers of xdist end together. (Without --no-loadscope-reorder it begins with the most tests.)"""


def _misplaced(config: pytest.Config) -> list[str]:
    """In the process that gathers all results; with xdist the tests were collected by its workers, who sent them."""
    return config.stash.get(_MISPLACED, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """What a worker of xdist has found in the wrong folder."""
    output = getattr(node, "workeroutput", {})
    node.config.stash[_MISPLACED] = sorted({*_misplaced(node.config), *output.get("misplaced", ())})


def _outcomes(config: pytest.Config) -> list[skips.Outcome]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter is not None else {}
    ran = {one.nodeid: skips.Outcome(one.nodeid, ran=True, passed=True) for one in stats.get("passed", ()) if one.when == "call"}
    ran |= {one.nodeid: skips.Outcome(one.nodeid, ran=True) for word in ("failed", "error") for one in stats.get(word, ())}
    skipped = {one.nodeid: str(one.longrepr[2] if isinstance(one.longrepr, tuple) else one.longrepr) for one in stats.get("skipped", ())}
    return [*ran.values(), *(skips.Outcome(name, ran=False, reason=reason) for name, reason in skipped.items())]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says what did not run."""
    outcomes = _outcomes(terminalreporter.config)
    misplaced = rooms.complaint(_misplaced(terminalreporter.config))
    for line in filter(None, [skips.summary(outcomes), *skips.complaints(outcomes, os.environ), misplaced]):
        terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run that skipped more than its variables allow has failed (in the process that gathers all results)."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["misplaced"] = _misplaced(session.config)
    elif skips.complaints(_outcomes(session.config), os.environ) or (rooms.STRICT and _misplaced(session.config)):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _own_project() -> Iterator[None]:
    """Cards and weights of this checkout, whatever the shell that runs the tests has set; the weights beside the test photographs are a mirror."""
    with pytest.MonkeyPatch.context() as patch:
        beside = sorted(str(folder) for folder in (SHARED / "weights").glob("*/"))
        patch.setenv("FRONTALBENCH_WEIGHTS", os.pathsep.join(filter(None, [os.environ.get("FRONTALBENCH_WEIGHTS"), *beside])))
        patch.delenv("FRONTALBENCH_STORE", raising=False)
        patch.setenv("FRONTALBENCH_HOME", str(ROOT))
        patch.setenv("INSIGHTFACE_HOME", str(ROOT / "no packs"))
        yield


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test photographs; the test is skipped where it is not there."""
    if not (SHARED / "testdata").is_dir():
        pytest.skip(f"{skips.SHARED}: {SHARED}/testdata is not there (set FRONTALBENCH_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def weight() -> Callable[..., Path]:
    """``weight(kind, name, key="model")``: the verified path of a real weight, fetched if need be; the test is skipped where it is out of reach."""
    from frontalbench.catalogue import cards
    from frontalbench.errors import WeightsMissing
    from frontalbench.weights import store

    def get(kind: str, name: str, key: str = "model") -> Path:
        try:
            return store.fetch(cards.find(kind, name), key)
        except WeightsMissing as error:
            pytest.skip(str(error))

    return get


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One finished run of the tiny grid, made once for all workers of xdist; copy it with ``fresh`` before changing anything."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, whole = base / "finished", base / "finished.whole"
    with (base / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            project = copy_checkout(folder)
            write_card(project, "tiny", people(project.folder / "data" / "tiny"))
            project.configure()
            project.snakemake(program=COLD)
            whole.touch()
    return project_at(folder)


@pytest.fixture
def fresh(finished_run: Project, tmp_path: Path) -> Iterator[Callable[..., Project]]:
    """``fresh(results=True)``: an own copy of the tiny project, with or without the finished results."""

    def make(*, results: bool = True) -> Project:
        folder = tmp_path / "project"
        ignore = None if results else shutil.ignore_patterns("results", ".snakemake", "logs")
        shutil.copytree(finished_run.folder, folder, ignore=ignore, symlinks=True)
        environment = dict(finished_run.environment, PYTHONPATH=str(folder / "src"))
        project = Project(folder, environment)
        card = folder / "config" / "datasets" / "tiny.yaml"
        card.write_text(card.read_text().replace(str(finished_run.folder), str(folder)))
        return project

    yield make
    shutil.rmtree(tmp_path / "project", ignore_errors=True)
