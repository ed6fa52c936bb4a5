"""Loops over pixels as machine code: compiled by Numba in a process of its own, once a machine, and run without it.

Numba takes a third of a second and 40 MB in every process that imports it. What it makes are plain functions of C, so that is asked of it once;
their object code is kept beside the loops' file (or in the user's cache, where that folder cannot be written) and linked by llvmlite, 5 MB.

A loop is a function of module level that uses nothing but its arguments and the numbers of its own file, and makes no array: what it needs for
itself is handed to it. Its arrays are C-contiguous.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import numpy as np

from frontalbench.networks.memory import unmapped

Loop = TypeVar("Loop", bound=Callable[..., None])

_COMPILER: Final = "libllvmlite"
_OPTIONS: Final = {"fastmath": {"contract"}, "error_model": "numpy", "forceinline": True}
"""Products and sums may be one step; nothing else is rearranged. Nothing is raised, so that no interpreter is needed."""
_HARMLESS: Final = ("memset", "memcpy", "memmove")
"""What object code may ask of the C library."""
_DIGEST: Final = hashlib.sha256().digest_size
_PATIENCE: Final = 600.0
"""Seconds that compiling may take."""
_FREED: Final = "NRT_MemInfo_call_dtor"
"""What Numba calls for an array of its own whose last use is over: never, here."""


class Array(NamedTuple):
    """An argument that is a C-contiguous array."""

    dimensions: int
    dtype: str = "float32"


Kind = Array | type[int] | type[float]
"""Of an argument."""


class Compiled(Generic[Loop]):
    """A loop and the kinds of its arguments. Calling it runs its machine code, without the interpreter's lock."""

    def __init__(self, loop: Loop, kinds: tuple[Kind, ...]) -> None:
        self.loop, self.kinds = loop, kinds
        self._arrays = [(np.dtype(kind.dtype), kind.dimensions) if isinstance(kind, Array) else None for kind in kinds]
        functools.update_wrapper(self, loop)

    @functools.cached_property
    def _code(self) -> Callable[..., None]:
        address = _engine(self.loop.__module__).get_function_address(self.loop.__name__)
        types: list[Any] = []
        for kind in self.kinds:
            if isinstance(kind, Array):
                types += [ctypes.c_void_p, *[ctypes.c_int64] * kind.dimensions]
            else:
                types.append(ctypes.c_int64 if kind is int else ctypes.c_double)
        return cast("Callable[..., None]", ctypes.CFUNCTYPE(None, *types)(address))

    def __call__(self, *arguments: Any) -> None:
        """Raises TypeError for an argument of another kind."""
        flat: list[Any] = []
        for argument, array in zip(arguments, self._arrays, strict=True):
            if array is None:
                flat.append(argument)
                continue
            dtype, dimensions = array
            if argument.dtype != dtype or argument.ndim != dimensions or not argument.flags.c_contiguous:
                had = f"{argument.dtype} {argument.shape}, strides {argument.strides}"
                raise TypeError(f"{self.loop.__name__}: a contiguous {dtype} array of {dimensions} dimensions is needed, got {had}")
            flat.append(argument.__array_interface__["data"][0])
            flat += argument.shape
        self._code(*flat)


def compiled(*kinds: Kind) -> Callable[[Loop], Loop]:
    """``loop`` as machine code, its arguments of ``kinds``."""

    def of(loop: Loop) -> Loop:
        return cast("Loop", Compiled(loop, kinds))

    return of


def load(module: str) -> None:
    """Reads the machine code of the loops of ``module``, or has it made; nothing when that has been done."""
    _engine(module)


_loading = threading.Lock()


def _engine(module: str) -> Any:
    with _loading:
        return _linked(module)


@functools.cache
def _linked(module: str) -> Any:
    """The loops of ``module``, linked, under their names."""
    import llvmlite.binding as llvm

    unmapped(_COMPILER)  # importing it reads 36 MB
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target(llvm))
    engine.add_object_file(llvm.ObjectFileRef.from_data(_kept(module)))
    engine.finalize_object()
    unmapped(_COMPILER)
    return engine


def _target(llvm: ModuleType) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    host = {"cpu": llvm.get_host_cpu_name(), "features": llvm.get_host_cpu_features().flatten()}
    return llvm.Target.from_default_triple().create_target_machine(**host, opt=3, jit=True)


def _kept(module: str) -> bytes:
    """The object code of ``module`` as it was kept, or made now. A file that is not whole is made anew."""
    loops = sys.modules[module]
    name = _name(loops)
    folders = [folder / name for folder in _folders(loops)]
    for path in folders:
        code = _read(path)
        if code:
            return code
    code = _made(module)
    for path in folders:
        try:
            _write(path, code)
        except OSError:  # a folder that cannot be written: the next one, or made by every process
            continue
        break
    return code


def _folders(loops: ModuleType) -> list[Path]:
    """Where the code of ``loops`` may lie, never relative to where somebody happens to work."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - Path raises where there is no home
    both = [Path(str(loops.__file__)).absolute().parent / "__pycache__", Path(cache) / "frontalbench"]
    return [folder for folder in both if folder.is_absolute()]


def _name(loops: ModuleType) -> str:
    """Of the file for these loops, this compiler and this processor."""
    import llvmlite.binding as llvm

    versions = [importlib.metadata.version(library) for library in ("numba", "llvmlite")]
    about = [Path(str(loops.__file__)).read_text(), Path(__file__).read_text(), *versions, llvm.get_host_cpu_name()]
    key = hashlib.sha256("\0".join([*about, llvm.get_host_cpu_features().flatten(), llvm.get_default_triple()]).encode()).hexdigest()
    return f"{loops.__name__.rpartition('.')[2]}.{key[:16]}.o"


def _read(path: Path) -> bytes:
    """The code in ``path``; empty where there is none that is whole and may be read."""
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""
    return content[_DIGEST:] if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST] else b""


def _write(path: Path, code: bytes) -> None:
    """Puts ``code`` behind its digest, whole or not at all; others who use this installation may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.write_bytes(hashlib.sha256(code).digest() + code)
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _made(module: str) -> bytes:
    """The object code of ``module``, by a process that goes with all that Numba holds. Where none can be started, or it fails, by this one."""
    script = f"import sys; from pathlib import Path; from {__name__} import _write, make; _write(Path(sys.argv[2]), make(sys.argv[1]))"
    # Numba's own variables would change what is made, and kept for processes that know nothing of them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    environment["PYTHONPATH"] = os.pathsep.join(str(path) for path in sys.path if str(path))
    with contextlib.suppress(OSError, subprocess.SubprocessError), tempfile.TemporaryDirectory() as folder:
        # A file and not its standard output, where others may print.
        path = Path(folder) / "code.o"
        command = [sys.executable or os.devnull, "-P", "-c", script, module, str(path)]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True, env=environment, timeout=_PATIENCE)
        if code := _read(path):
            return code
    return make(module)


def make(module: str) -> bytes:
    """Object code of all loops of ``module`` for this machine, functions of C under the loops' names.

    An array is its address and its shape. Raises RuntimeError for a loop that asks for more than its arguments (makes an array, raises).
    """
    import llvmlite.binding as llvm

    loops = [loop for loop in vars(importlib.import_module(module)).values() if isinstance(loop, Compiled)]
    whole = llvm.parse_assembly(f"define void @{_FREED}(ptr %0) {{ ret void }}")
    for loop in loops:
        callback = _callback(loop)
        part = llvm.parse_assembly(callback.inspect_llvm())
        part.get_function(callback.native_name).name = loop.loop.__name__
        whole.link_in(part)
    missing = {f.name for f in whole.functions if f.is_declaration and not f.name.startswith("llvm.")} - set(_HARMLESS)
    if missing:
        raise RuntimeError(f"{module}: a loop asks for {', '.join(sorted(missing))}; it may only use its arguments")
    code: bytes = _target(llvm).emit_object(whole)
    return code


def _callback(loop: Compiled[Any]) -> Any:
    """``loop`` as Numba's callback of C. Numba wants a function of just as many arguments as C's has, so that is written as source."""
    import numba

    names: list[str] = []
    arguments: list[str] = []
    types: list[Any] = []
    for place, kind in enumerate(loop.kinds):
        name = f"a{place}"
        if isinstance(kind, Array):
            shape = [f"{name}_{dimension}" for dimension in range(kind.dimensions)]
            names += [name, *shape]
            types += [numba.types.CPointer(getattr(numba.types, kind.dtype)), *[numba.types.int64] * kind.dimensions]
            arguments.append(f"carray({name}, ({', '.join(shape)},))")
        else:
            names.append(name)
            types.append(numba.types.int64 if kind is int else numba.types.float64)
            arguments.append(name)
    known = {"carray": numba.carray, "loop": numba.njit(**_OPTIONS)(loop.loop)}
    exec(f"def callback({', '.join(names)}):\n    loop({', '.join(arguments)})\n", known)  # nothing in it comes from outside
    return numba.cfunc(numba.types.void(*types), **_OPTIONS)(known["callback"])
