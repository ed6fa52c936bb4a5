#!/usr/bin/env python3
"""The site of 200 cells x 200 probes: seconds to build (at most 60), and how long Chromium takes to show the table of all numbers (at most 1 s).

The cells are made up (names of real cards, drawn images); what is timed is reading the master tables, the probe browser, and every page.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from frontalbench import images, tables
from frontalbench.catalogue import cards
from frontalbench.figures import inputs
from frontalbench.plan.variant import parse
from frontalbench.site import build, master
from frontalbench.stages.summarize import summarize
from frontalbench.tabulate import TableSettings

VARIANTS = ("original", "mesh.none", "mesh.sharp", "mesh.omit_bg", "tddfa.none", "tddfa.sharp", "identity.none", "mirror.none")
MARK = (
    "<script>addEventListener('load',()=>{document.body.getBoundingClientRect();const p=document.createElement('pre');"
    "p.id='result';p.textContent=performance.now();document.body.append(p);});</script></body>"
)
"""Runs after the page's own scripts have drawn the table, and makes the browser lay it out first."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--people", type=int, default=50, help="people with 4 probes and 1 reference each (default: 50, that is 200 probes)"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the site here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        files, n_cells = write_cells(root, arguments.people)
        start = time.perf_counter()
        summarize([f for f in files if "/similarity/" in str(f)], root / "master", settings=TableSettings())
        summary = time.perf_counter() - start
        start = time.perf_counter()
        written = build.Site(master.read(root / "master"), root / "site", inputs=inputs.by_dataset(files)).build()
        seconds = time.perf_counter() - start
        rows = len(master.read(root / "master").rows("master", yaw_axis="all"))
        shown = loaded(root / "site" / "numbers.html")
        if arguments.keep:
            shutil.copytree(root / "site", arguments.keep, dirs_exist_ok=True)
    page = "no Chromium here" if shown is None else f"{shown:8.2f} s   ({rows} rows; from opening until drawn and laid out; at most 1 s)"
    sys.stdout.write(
        f"{n_cells} cells x {4 * arguments.people} probes ({summary:.1f} s for their master tables)\n"
        f"site           {seconds:8.1f} s   ({len(written)} files; at most 60 s)\n"
        f"table page     {page}\n"
    )
    return 0 if seconds <= 60 and (shown is None or shown <= 1.0) else 1


def write_cells(root: Path, people: int) -> tuple[list[Path], int]:
    """Images, frontals, variants and similarity tables of every detector x backbone that has a card."""
    detectors, backbones = (sorted(p.stem for p in (cards.cards_root() / kind).glob("*.yaml")) for kind in ("detectors", "backbones"))
    rng = np.random.default_rng(0)
    heads = [
        {
            "image_id": f"{p:03d}/{k}",
            "identity": f"p{p:03d}",
            "subject": f"p{p:03d}",
            "role": "probe" if k else "reference",
            "yaw": 20.0 * k,
        }
        for p in range(people)
        for k in range(5)
    ]
    files = []

    def write(path: str, rows: list[dict[str, object]], schema: object) -> None:
        tables.write(root / path, tables.from_rows(rows, schema))
        files.append(root / path)

    def image(tint: int) -> bytes:
        drawn = np.full((256, 256, 3), 210, np.uint8)
        cv2.circle(drawn, (128, 128), 90, (tint % 200 + 40, 120, 90), -1)
        return images.encode_png(drawn)

    pixels = [image(7 * i) for i in range(len(heads))]
    made = [{**h, "status": "ok", "detail": "", "image": data} for h, data in zip(heads, pixels, strict=True)]
    write(
        "images/synthetic/0000.parquet",
        [{**row, "pose_source": "ground_truth", "sha256": str(row["image_id"])} for row in made],
        tables.IMAGES,
    )
    plain = [{**{k: v for k, v in row.items() if k not in ("subject", "yaw")}, "seconds": 0.1} for row in made]
    cells = 0
    for variant in VARIANTS:
        frontalizer, enhancement = parse(variant).frontalizer, parse(variant).enhancement
        if variant != "original":
            where = f"frontals/synthetic/{frontalizer}" if enhancement == "none" else f"variants/synthetic/{variant}"
            write(f"{where}/0000.parquet", plain, tables.FRONTALS)
        for detector in detectors:
            for backbone in backbones:
                values = rng.normal(0.5, 0.1, (2, len(heads)))
                rows = [
                    {
                        **h,
                        "status": "ok",
                        "detail": "",
                        "yaw_source": "ground_truth",
                        "genuine": g,
                        "impostor": 0.1 * i,
                        "rank": 1,
                        "within": 0.5,
                    }
                    | {"n_references": 1, "n_impostors": people - 1, "n_within": 3, "to_original": 0.9, "n_same_photo": 0}
                    for h, g, i in zip(heads, *values.tolist(), strict=True)
                ]
                write(f"similarity/synthetic/{variant}/{detector}/{backbone}.parquet", rows, tables.SIMILARITY)
                cells += 1
    return files, cells


def loaded(page: Path) -> float | None:
    """Seconds from opening the page until it is drawn and laid out; the best of three; None without Chromium."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        return None
    copy = page.with_name("timed.html")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", MARK), encoding="utf-8")
    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as profile:
            call = [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
            call += ["--host-resolver-rules=MAP * ~NOTFOUND", "--timeout=20000", "--dump-dom", copy.resolve().as_uri()]
            dom = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True).stdout
        found = re.search(r'<pre id="result">(.*?)</pre>', dom)
        if found is None:
            raise SystemExit("the table page did not come up in Chromium")
        times.append(float(html.unescape(found[1])) / 1000)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
