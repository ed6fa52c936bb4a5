#!/usr/bin/env python3
"""Look whether this machine has what Frontalbench needs, and say in one line what is missing and how to get it. Standard library only."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import sysconfig

LOWEST = (3, 11)
COMPILES = (3, 14)
"""From this Python on, a package that is needed comes without a wheel (constraints.txt, 2026-11-27)."""

MODULES = ("numpy", "cv2", "onnxruntime", "torch", "pyarrow", "PIL", "ai_edge_litert.interpreter", "matplotlib", "snakemake")
# Shared library -> Debian package that brings it.
DEBIAN = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
}


def python_problem() -> str | None:
    """Why this interpreter will not do, or None."""
    here = "{}.{}".format(*sys.version_info[:2])
    if sys.version_info[:2] < LOWEST:
        return (
            f"Python {LOWEST[0]}.{LOWEST[1]} or newer is needed, this is {sys.version.split()[0]}; Debian 12 and 13, Ubuntu 24.04 and 26.04 have one"
            " (apt-get install python3 python3-venv); or name another: make PYTHON=python3.12 run"
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return f"the venv module is missing; on Debian and Ubuntu: apt-get install python{here}-venv"
    lacking = _lacking_to_compile() if sys.version_info[:2] >= COMPILES and importlib.util.find_spec("immutables") is None else []
    if lacking:
        return (
            f"Snakemake's dependency immutables has no wheel for Python {here} and is compiled, which needs {' and '.join(lacking)}; on Debian and"
            f" Ubuntu: apt-get install gcc python{here}-dev; or take an older Python: make PYTHON=python3.13 run"
        )
    return None


def _lacking_to_compile() -> list[str]:
    """What is missing to compile an extension for this interpreter."""
    lacking = [] if any(map(shutil.which, ("cc", "gcc", "clang"))) else ["a C compiler"]
    if not os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h")):  # noqa: PTH113, PTH118 - also for Pythons that are too old
        lacking.append("Python.h")
    return lacking


def library_problem() -> str | None:
    """The first library that does not load, with the apt line that mends it, or None."""
    for module in MODULES:
        try:
            importlib.import_module(module)
        except ImportError as error:
            for library, package in DEBIAN.items():
                if library in str(error):
                    return f"{module} needs the system library {library}; install it with: apt-get install {package}"
            return f"{module} does not import: {error}"
    return None


def main() -> int:
    problem = python_problem()
    if problem is None and "--python-only" not in sys.argv:
        problem = library_problem()
    if problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
