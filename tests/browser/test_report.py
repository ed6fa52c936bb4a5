"""The Snakemake report with our figures, captions and start page opens in a browser that has no network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from frontalbench.figures import reported
from tests.browser import chromium
from tests.unit import figure_tables as made

pytestmark = pytest.mark.browser

SNAKEFILE = """
import json
ENTRIES = json.loads({entries!r})
config["told"] = {told!r}
report: "{root}/reports/workflow.rst"
rule all:
    input: [f"results/figures/toy/{{e['path']}}" for e in ENTRIES]
rule figures:
    input: {files!r}
    output:
        [
            report(
                f"results/figures/{{{{dataset}}}}/{{e['path']}}",
                caption="{root}/reports/captions/" + e["caption"] + ".rst",
                category="{{dataset}}", subcategory=e["subcategory"], labels=e["labels"],
            ) if e["caption"] else f"results/figures/{{{{dataset}}}}/{{e['path']}}"
            for e in ENTRIES
        ],
    shell:
        "{python} {root}/workflow/scripts/viz.py --all --examples 1 --notice synthetic --in {{input:q}}"
        " --out results/figures/{{wildcards.dataset:q}}"
"""
TOLD = {
    "datasets": ["toy"],
    "variants": list(made.VARIANTS),
    "derived": ["gate@30:mesh.none"],
    "detectors": ["scrfd_500m", "yunet"],
    "backbones": ["w600k_mbf", "sface"],
    "notices": {"toy": "research"},
    "credits": ["Images: DeBruine_Lisa (CC BY 4.0)"],
}
"""As :meth:`frontalbench.plan.plan.Plan.told` says it."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    chromium.needed()
    folder = tmp_path_factory.mktemp("report")
    files = [str(p) for p in made.write_run(folder / "run")]
    entries = [vars(e) for e in reported.report_entries(made.VARIANTS, made.JUDGES)]
    (folder / "Snakefile").write_text(
        SNAKEFILE.format(entries=json.dumps(entries), told=TOLD, root=project_root, files=files, python=sys.executable), encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": str(project_root / "src")}
    call = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--config",
        "detectors=[scrfd_500m,yunet]",
        "backbones=[sface]",
        "datasets=[toy]",
    ]
    for extra in ([], ["--report", "report.html"]):
        done = subprocess.run([*call, *extra], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert "error" not in done.stderr.lower(), "a caption that docutils cannot read is only a line in the log"
    return folder / "report.html"


def test_report_opens_without_network_and_without_script_errors(report: Path, tmp_path: Path) -> None:
    text = chromium.open_page(report, tmp_path)
    assert "Net Gain" in text and "identity" in text, "the start page is shown"
    assert re.search(r"\btoy\b", text), "the dataset is a category of the menu"
    assert chromium.outside_addresses(text) == []
    assert [line for line in chromium.console(tmp_path) if "rror" in line] == []


def test_report_holds_every_figure_with_its_caption(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    for entry in reported.report_entries(made.VARIANTS, made.JUDGES):
        if entry.caption:
            assert Path(entry.path).name in text, entry.path
    for words in ("The diamond is the mean", "nobody picked them", "the times belong to the machine", "counted as failures to acquire"):
        assert words in text
    assert "{{" not in re.sub(r"<script.*?</script>", "", text, flags=re.S).split("<body")[0]


def test_first_page_names_what_ran_and_whose_images_these_are(report: Path, tmp_path: Path) -> None:
    text = re.sub(r"<script.*?</script>", "", chromium.open_page(report, tmp_path), flags=re.S)
    for words in ("datasets: toy", "backbones: w600k_mbf, sface", "DeBruine_Lisa (CC BY 4.0)", "must not be published"):
        assert words in text
    assert "{'" not in text and "System Message" not in text
    assert "gate@30:mesh.none" in text and "mailto:" not in text, "no address"


def test_report_stays_small(report: Path) -> None:
    assert report.stat().st_size < 8_000_000, "it carries its figures: a selection, few colours, small images"


def test_report_looks_like_something(report: Path, tmp_path: Path) -> None:
    shot = tmp_path / "report.png"
    chromium.open_page(report, tmp_path, shot=shot)
    menu, page = chromium.ink(shot, right=0.2), chromium.ink(shot, left=0.3)
    assert 0.005 < menu < 0.6 and 0.005 < page < 0.6, (
        f"menu and start page are drawn: {menu:.3f}, {page:.3f} of their pixels are no background"
    )
