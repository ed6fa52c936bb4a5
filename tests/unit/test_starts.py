"""What a job of the grid loads before its card asks for it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from frontalbench.plan import fingerprint

HEAVY = ("torch", "pandas", "matplotlib", "scipy.stats", "onnxruntime")
"""torch alone takes two seconds, as long as a small job."""


def test_no_job_of_the_grid_brings_a_library_that_its_card_may_not_need(project_root: Path) -> None:
    rules = "\n".join(path.read_text() for path in (project_root / "rules").glob("*.smk"))
    scripts = sorted(set(re.findall(r'PLAN\.reruns\.code\(\s*"\w+",\s*"(\w+\.py)"', rules)))
    assert len(scripts) >= 10
    modules = [fingerprint.commands(project_root / "workflow" / "scripts" / script)[0] for script in scripts]
    look = "\n".join(
        (
            "import importlib, sys",
            f"for name in {modules!r}:",
            "    importlib.import_module(name)",
            f"    brought = [heavy for heavy in {HEAVY!r} if heavy in sys.modules]",
            "    assert not brought, f'{name} brings {brought}'",
        )
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]
