"""Several GPUs on one machine, as Snakemake hands them out."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

pytestmark = [pytest.mark.e2e]


def test_snakemake_spreads_jobs_over_a_pretend_machine_of_three(tmp_path: Path) -> None:
    """The shipped profile's limit and the jobs' own locks together: as many at once as there are devices, each on one of its own."""
    (tmp_path / "job.py").write_text(
        "import argparse, os, sys, time\nfrom frontalbench import cli\np = argparse.ArgumentParser()\ncli.add_machine_options(p)\n"
        "p.add_argument('out')\na = p.parse_args()\nt = time.time()\ntime.sleep(0.7)\n"
        "open(a.out, 'w').write(f'{t} {time.time()} ' + (os.environ['CUDA_VISIBLE_DEVICES'] or 'none'))\n"
    )
    (tmp_path / "Snakefile").write_text(
        "import os\nfrom frontalbench.runtime import devices\ndevices.prepare(workflow.global_resources.get('gpu').value, os.environ)\n"
        "rule all:\n    input: expand('out/{n}', n=range(7)), expand('cpu/{n}', n=range(2))\n"
        "rule detect:\n    output: 'out/{n}'\n    resources: gpu=0\n"
        f"    shell: '{sys.executable} job.py --gpus {{resources.gpu}} {{output}}'\n"
        "rule other:\n    output: 'cpu/{n}'\n    resources: gpu=0\n"
        f"    shell: '{sys.executable} job.py --gpus {{resources.gpu}} {{output}}'\n"
    )
    environment = dict(os.environ, FRONTALBENCH_GPUS="0,1,2", PYTHONPATH=str(ROOT / "src"), TMPDIR=str(tmp_path))
    profile = ["--profile", str(ROOT / "profiles" / "workstation")]
    for limit, code in ((4, 1), (3, 0)):
        command = [sys.executable, "-m", "snakemake", "--cores", "8", *profile, "--resources", f"gpu={limit}"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=1200)
        assert done.returncode == code, done.stderr[-2000:]
        if code:
            assert "resources: gpu=4, but there are 3 GPUs (FRONTALBENCH_GPUS=0,1,2)" in done.stderr
            assert not (tmp_path / "out").exists()
    spans = [path.read_text().split() for path in (tmp_path / "out").iterdir()]
    assert {device for _, _, device in spans} == {"0", "1", "2"}
    for device in "012":
        mine = sorted((float(begin), float(end)) for begin, end, name in spans if name == device)
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(mine))
    assert {path.read_text().split()[2] for path in (tmp_path / "cpu").iterdir()} == {"none"}
