"""What computes here: versions of the libraries that make numbers, and what the processor can do.

Another OpenCV moves embeddings by up to .003 (cosine .9998 between 4.12 and 5.0), another processor the last bits. So every table says with what it
was computed, and everything that it was made from, and a comparison that mixes versions can be told.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from frontalbench.errors import BadInput

LIBRARIES = {
    "numpy": ("numpy", ("numpy",)),
    "scipy": ("scipy", ("scipy",)),
    "opencv": ("cv2", ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")),
    "pillow": ("PIL", ("pillow",)),
    "onnxruntime": ("onnxruntime", ("onnxruntime", "onnxruntime-gpu")),
    "torch": ("torch", ("torch",)),
    "numba": ("llvmlite", ("numba",)),
    "litert": ("ai_edge_litert", ("ai-edge-litert",)),
    "openvino": ("openvino", ("openvino",)),
}
"""Word in records -> module, packages that may bring it."""
_FLAGS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "asimd", "sve")
CPU = "cpu"

Software = dict[str, list[str]]
"""Word -> versions, sorted; one unless tables of different versions met."""


def software() -> Software:
    """Versions of the libraries that this process has imported, Python's, ours, and the processor's kind."""
    from frontalbench import __version__

    found: Software = {"frontalbench": [__version__], "python": [platform.python_version()], CPU: [cpu()]}
    for word, (module, packages) in LIBRARIES.items():
        if module in sys.modules:
            found[word] = [_version(packages)]
    return found


@functools.cache
def _version(packages: tuple[str, ...]) -> str:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


@functools.cache
def cpu() -> str:
    """Architecture and the instruction sets that numeric libraries choose their code by, such as ``x86_64 avx2 fma avx512f``."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.lower().startswith(("flags", "features"))), [])
    return " ".join([platform.machine(), *(flag for flag in _FLAGS if flag in flags)])


def union(records: Iterable[Mapping[str, Iterable[str]]]) -> Software:
    """All versions in ``records`` by word."""
    found: dict[str, set[str]] = {}
    for record in records:
        for word, versions in record.items():
            found.setdefault(word, set()).update(versions)
    return {word: sorted(versions) for word, versions in sorted(found.items())}


def mixed(found: Mapping[str, Iterable[str]]) -> Software:
    """The words with more than one version."""
    return {word: sorted(versions) for word, versions in found.items() if len(set(versions)) > 1}


def told(found: Mapping[str, Iterable[str]]) -> str:
    """``numpy 2.4.6, opencv 5.0.0.93 or 4.12.0.88`` for people."""
    return ", ".join(f"{word} {' or '.join(sorted(versions))}" for word, versions in sorted(found.items()))


def provider(device: str) -> str:
    """Where networks really run when ``device`` is asked for: ``cpu`` or ``cuda:N``. Raises :class:`BadInput` for an unknown device."""
    from frontalbench.runtime.sessions import provider as of_runtime

    return of_runtime(device)


def of_record(record: Mapping[str, Any], path: str | os.PathLike[str] = "") -> Software:
    """The versions that the provenance record of the table ``path`` names, its inputs' with it (none: an older table).

    Raises :class:`BadInput` for an entry that is no list of versions for each library.
    """
    kept = record.get("software", {})
    if not isinstance(kept, Mapping) or not all(
        isinstance(versions, list) and all(isinstance(version, str) for version in versions) for versions in kept.values()
    ):
        raise BadInput(
            f"{path or 'provenance'}: software should be a list of versions for each library, is {str(kept)[:80]}; make the table anew"
        )
    return {str(word): list(versions) for word, versions in kept.items()}
