#!/usr/bin/env python3
"""Look whether this machine has what Frontalbench needs, and say in one line what is missing and how to get it. Standard library only."""

from __future__ import annotations

import importlib
import importlib.util
import sys

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
    if sys.version_info[:2] != (3, 11):
        return (
            f"Python 3.11 is needed, this is {sys.version.split()[0]}; on Debian 12: apt-get install python3.11 python3.11-venv,"
            " then: make PYTHON=python3.11 run"
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return "the venv module is missing; on Debian: apt-get install python3.11-venv"
    return None


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
