"""Loops as machine code: made once, kept, linked without the compiler."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from frontalbench.networks import machine_code, minimal_tiles, prelu

LOOPS = '''
import numpy as np
from frontalbench.networks.machine_code import Array, compiled

TWO = np.float32(2)

@compiled(Array(2), Array(1, "int64"), int, float)
def scaled(values, places, first, factor):
    """Documented."""
    for place in range(first, places.shape[0]):
        for k in range(values.shape[1]):
            values[places[place], k] *= TWO * np.float32(factor)
'''


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A module of one loop, in a folder of its own; nothing of it has been made."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "loops_of_a_test.py").write_text(LOOPS)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield importlib.import_module("loops_of_a_test")
    del sys.modules["loops_of_a_test"]


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("loops_of_a_test.*.o"))


@pytest.fixture(scope="module")
def made() -> bytes:
    """The object code of loops that every process of this machine keeps anyway."""
    return machine_code._kept(prelu.__name__)


def test_a_loop_is_made_by_another_process_kept_and_read_the_next_time(
    loops: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever that process prints, whatever lies where the user works, whatever Numba is told by the environment."""
    (tmp_path / "code" / "sitecustomize.py").write_text("print('noise')\n")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "hashlib.py").write_text("raise SystemExit('read from where the user works')\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.setattr(machine_code, "make", lambda module: pytest.fail("made here"))
    values, places = np.ones((3, 2), np.float32), np.array([0, 2, 1])
    loops.scaled(values, places, 1, 3.0)
    assert values.tolist() == [[1.0, 1.0], [6.0, 6.0], [6.0, 6.0]]
    assert loops.scaled.__doc__ == "Documented."
    (file,) = kept(tmp_path)
    assert file.parent.name == "__pycache__"
    assert file.stat().st_mode & 0o777 == 0o644, "others who use this installation read it"
    monkeypatch.setattr(machine_code, "_made", lambda module: pytest.fail("made twice"))
    first = machine_code._kept("loops_of_a_test")
    assert first
    assert hashlib.sha256(first).digest() + first == file.read_bytes()
    assert [path.name for path in file.parent.glob("*.o*")] == [file.name], "nothing half written stays"


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100, hashlib.sha256(b"").digest()])
def test_a_file_that_is_not_whole_is_made_anew(content: bytes, loops: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    path = machine_code._folders(loops)[0] / machine_code._name(loops)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    monkeypatch.setattr(machine_code, "_made", lambda module: b"whole")
    assert machine_code._kept("loops_of_a_test") == b"whole"
    assert path.read_bytes()[32:] == b"whole"


def test_a_folder_that_cannot_be_written_gives_way_to_the_users_own_and_none_to_making_it_every_time(
    loops: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_code, "_made", lambda module: b"code")
    refused: list[Path] = []
    write: Callable[[Path, bytes], None] = machine_code._write

    def only(allowed: Path | None) -> None:
        def attempt(path: Path, content: bytes) -> None:
            if allowed is None or not path.is_relative_to(allowed):
                refused.append(path)
                raise PermissionError(path)
            write(path, content)

        monkeypatch.setattr(machine_code, "_write", attempt)

    only(None)
    assert machine_code._kept("loops_of_a_test") == b"code"
    assert [path.parent.name for path in refused] == ["__pycache__", "frontalbench"]
    assert not kept(tmp_path)
    only(tmp_path / "cache")
    assert machine_code._kept("loops_of_a_test") == b"code"
    assert [path.parent for path in kept(tmp_path)] == [tmp_path / "cache" / "frontalbench"]


def test_a_file_that_may_not_be_read_is_as_if_it_was_not_there(loops: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(path)

    path = machine_code._folders(loops)[0] / machine_code._name(loops)
    machine_code._write(path, b"kept")
    monkeypatch.setattr(machine_code, "_made", lambda module: b"made")
    assert machine_code._kept("loops_of_a_test") == b"kept"
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert machine_code._kept("loops_of_a_test") == b"made"


def test_nothing_is_kept_or_read_relative_to_where_somebody_works(loops: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert [folder.name for folder in machine_code._folders(loops)] == ["__pycache__"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no HOME, and a user that the system does not know
    assert [folder.name for folder in machine_code._folders(loops)] == ["__pycache__"]


def test_another_processor_another_compiler_and_another_text_have_files_of_their_own(
    loops: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [machine_code._name(loops)]
    monkeypatch.setattr(machine_code.importlib.metadata, "version", lambda library: "0.0.1")
    names.append(machine_code._name(loops))
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: "another")
    names.append(machine_code._name(loops))
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: types.SimpleNamespace(flatten=lambda: "+something"))
    names.append(machine_code._name(loops))
    own = tmp_path / "machine_code.py"
    own.write_text("another")
    monkeypatch.setattr(machine_code, "__file__", str(own))
    names.append(machine_code._name(loops))
    Path(str(loops.__file__)).write_text(f"{LOOPS}\n")
    names.append(machine_code._name(loops))
    assert len(set(names)) == 6


def test_where_no_process_can_be_started_this_one_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "make", lambda module: module.encode())
    for executable in (None, "", "/bin/true", "/nowhere"):
        monkeypatch.setattr(sys, "executable", executable)
        assert machine_code._made("some.module") == b"some.module"
    for error in (OSError("no more processes"), subprocess.CalledProcessError(1, "python"), subprocess.TimeoutExpired("python", 600)):

        def run(*args: object, failure: Exception = error, **options: object) -> None:
            raise failure

        monkeypatch.setattr(machine_code.subprocess, "run", run)
        monkeypatch.setattr(machine_code, "make", lambda module: module.encode())
        assert machine_code._made("some.module") == b"some.module"


@pytest.mark.parametrize(
    "line",
    ["out[0] = np.empty(3, np.float32)[0]", "out[0] = values[0]\n    if values[0] > 3:\n        raise ValueError"],
)
def test_a_loop_that_asks_for_more_than_its_arguments_is_refused(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "greedy.py").write_text(
        "import numpy as np\nfrom frontalbench.networks.machine_code import Array, compiled\n\n"
        f"@compiled(Array(1), Array(1))\ndef greedy(values, out):\n    {line}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        with pytest.raises(RuntimeError, match=r"^greedy: a loop asks for .*; it may only use its arguments$"):
            machine_code.make("greedy")
    finally:
        del sys.modules["greedy"]


@pytest.mark.parametrize(
    "values",
    [np.ones((4, 4), np.float32)[:, ::2], np.ones((4, 2)), np.ones(8, np.float32)],
    ids=["not contiguous", "another type", "another shape"],
)
def test_an_array_of_another_kind_is_refused_before_its_memory_is_touched(values: np.ndarray) -> None:
    with pytest.raises(TypeError, match="a contiguous float32 array of 2 dimensions is needed"):
        prelu.prelu_(values, np.ones(2, np.float32))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux only")
def test_a_process_that_runs_the_loops_holds_neither_numba_nor_the_compiler_s_pages(made: bytes) -> None:
    script = """
import sys
from pathlib import Path
import numpy as np
from frontalbench.networks import minimal, prelu
values = -np.ones((1, 2), np.float32)
prelu.prelu_(values, np.array([2, 3], np.float32))
minimal.load()
assert values.tolist() == [[-2.0, -3.0]]
maps = Path("/proc/self/smaps").read_text(errors="replace").split("VmFlags")
print("numba" in sys.modules, sum(int(part.split("Rss:")[1].split()[0]) for part in maps if "libllvmlite" in part))
"""
    assert made
    machine_code._kept(minimal_tiles.__name__)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    imported, resident = done.stdout.split()
    assert imported == "False"
    assert int(resident) < 10_000, f"{resident} kB of the compiler's library"
