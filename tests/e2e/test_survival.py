"""What a run must survive: kills, bad images, missing weights, a full disk, typing errors."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from tests.project import COLD, ROOT, Project, kill_tree, people, write_card

pytestmark = [pytest.mark.e2e, pytest.mark.weights]

Fresh = Callable[..., Project]
TABLES = "summarize"
"""The target of runs of which only the master tables are looked at: everything up to them."""


def leftovers(project: Project) -> list[str]:
    return [str(p) for p in (project.folder / "results").rglob("*.part")]


def test_two_runs_give_the_same_master_tables_byte_for_byte(finished_run: Project, fresh: Fresh) -> None:
    again = fresh(results=False)
    again.snakemake(TABLES, program=COLD)
    assert again.tables() == finished_run.tables()
    assert finished_run.tables()


def finished_files(project: Project) -> int:
    return sum(1 for path in (project.folder / "results").rglob("*.parquet") if not path.name.startswith("."))


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_killed_in_the_middle_and_run_again_it_gives_the_same_tables(finished_run: Project, fresh: Fresh, share: float) -> None:
    project = fresh(results=False)
    running = project.start(TABLES)
    while finished_files(project) < share * finished_files(finished_run):
        assert running.poll() is None, "the run was over before it was killed"
        time.sleep(0.05)
    kill_tree(running)
    assert finished_files(project) < finished_files(finished_run)
    project.snakemake("--unlock")
    project.snakemake("--rerun-incomplete", TABLES)
    assert project.tables() == finished_run.tables()


def test_threads_change_no_value(finished_run: Project, fresh: Fresh) -> None:
    project = fresh(results=False)
    made = sorted((finished_run.folder / "results" / "embeddings").rglob("*.parquet"))
    assert made
    project.snakemake("--set-threads", "embed=2", "detect=2", "--", *(str(path.relative_to(finished_run.folder)) for path in made))
    for path in made:
        other = project.folder / path.relative_to(finished_run.folder)
        ours = pq.read_table(path).column("embedding").to_pylist()
        theirs = pq.read_table(other).column("embedding").to_pylist()
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert np.abs(np.array(a) - np.array(b)).max() < 1e-5


def zoo(folder: Path) -> dict[str, str]:
    """Images that people really have, good and bad, in one identity; file name -> expected status after detection."""
    folder.mkdir(parents=True, exist_ok=True)
    face = Image.open(next((ROOT / "demo" / "synthetic").glob("*/GT/*.jpg"))).convert("RGB")

    def saved(name: str, **options: object) -> bytes:
        out = io.BytesIO()
        face.save(out, name, **options)
        return out.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    turned = io.BytesIO()
    face.transpose(Image.Transpose.ROTATE_90).save(turned, "JPEG", exif=exif, quality=95)
    grey16 = io.BytesIO()
    Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257).save(grey16, "PNG")
    cmyk = io.BytesIO()
    face.convert("CMYK").save(cmyk, "JPEG", quality=95)
    alpha = io.BytesIO()
    face.convert("RGBA").save(alpha, "PNG")
    moving = io.BytesIO()
    face.save(moving, "GIF", save_all=True, append_images=[face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)])
    huge = io.BytesIO()
    Image.new("L", (12000, 9000), 100).save(huge, "JPEG", quality=20)
    dot = io.BytesIO()
    Image.new("RGB", (1, 1)).save(dot, "PNG")
    jpeg = saved("JPEG", quality=95)
    files = {
        "plain.jpg": (jpeg, "ok"),
        "turned.jpg": (turned.getvalue(), "ok"),
        "grey16.png": (grey16.getvalue(), "ok"),
        "cmyk.jpg": (cmyk.getvalue(), "ok"),
        "alpha.png": (alpha.getvalue(), "ok"),
        "moving.gif": (moving.getvalue(), "ok"),
        "really a png.jpg": (saved("PNG"), "ok"),
        "چهره و فاصله ﷼.jpg": (jpeg + b"\0", "ok"),
        'quote\'s "name" $(touch gone).jpg': (jpeg + b"\0\0", "ok"),
        "-rf.jpg": (jpeg + b"\0\0\0", "ok"),
        "huge.jpg": (huge.getvalue(), "no_face"),
        "dot.png": (dot.getvalue(), "no_face"),
        "empty.jpg": (b"", "unreadable"),
        "text.jpg": (b"not an image", "unreadable"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "unreadable"),
        "cut.png": (saved("PNG")[:4000], "unreadable"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: word for name, (_, word) in files.items()}


def test_bad_images_and_odd_identities_are_counted_outcomes(fresh: Fresh) -> None:
    project = fresh(results=False)
    root = people(project.folder / "data" / "zoo", identities=2)
    expected = zoo(root / "zoo" / "Angle")
    lone = root / "without reference" / "Angle"
    lone.mkdir(parents=True)
    source = next((ROOT / "demo" / "synthetic").glob("*/Angle/*.jpg"))
    shutil.copyfile(source, lone / "a.jpg")
    shutil.copyfile(source, lone / "the same under another name.jpg")
    alone = root / "without probes" / "GT"
    alone.mkdir(parents=True)
    shutil.copyfile(next((ROOT / "demo" / "synthetic").glob("*/GT/*.jpg")), alone / "a.jpg")
    write_card(project, "zoo", root)
    project.configure(datasets=["zoo"])
    project.snakemake()

    found = {}
    rows = 0
    for shard in sorted((project.folder / "results" / "crops" / "zoo" / "original" / "scrfd_500m").glob("*.parquet")):
        for row in pq.read_table(shard, columns=["image_id", "identity", "status"]).to_pylist():
            rows += 1
            if row["identity"] == "zoo":
                found[Path(row["image_id"]).name] = row["status"]
    assert {name: found.get(name) for name in expected} == expected
    images = sum(pq.read_metadata(p).num_rows for p in (project.folder / "results" / "images" / "zoo").glob("*.parquet"))
    similarity = pq.read_table(project.folder / "results" / "similarity" / "zoo" / "original" / "scrfd_500m" / "w600k_mbf.parquet")
    assert rows == images == similarity.num_rows, "an image was lost on the way"
    statuses = {r["image_id"]: r["status"] for r in similarity.to_pylist()}
    assert sum(word == "unreadable" for word in statuses.values()) == 4
    assert not (project.folder / "gone").exists()
    assert not leftovers(project)


def test_two_datasets_may_share_identity_names(fresh: Fresh) -> None:
    project = fresh()
    write_card(project, "twin", people(project.folder / "data" / "twin", identities=2))
    project.configure(datasets=["tiny", "twin"])
    project.snakemake()
    tiny = pq.read_table(project.folder / "results/similarity/tiny/original/scrfd_500m/w600k_mbf.parquet").num_rows
    twin = pq.read_table(project.folder / "results/similarity/twin/original/scrfd_500m/w600k_mbf.parquet").num_rows
    assert (tiny, twin) == (16, 8)


def test_a_weight_out_of_reach_costs_only_its_cells(finished_run: Project, fresh: Fresh) -> None:
    project = fresh()
    card = yaml.safe_load((project.folder / "config/models/backbones/w600k_mbf.yaml").read_text())
    card.update(name="unreachable", title="A backbone nobody can fetch")
    card["weights"]["model"].update(
        file="unreachable.onnx", sha256="0" * 64, bytes=123, sources=[{"url": "http://127.0.0.1:9/unreachable.onnx"}]
    )
    (project.folder / "config/models/backbones/unreachable.yaml").write_text(yaml.safe_dump(card))
    project.configure(backbones=["w600k_mbf", "unreachable"])
    done = project.snakemake(check=False)  # on two cores and without --keep-going: the failure must be the last thing that happens
    assert done.returncode == 1
    first_page = (project.folder / "reports" / project.master.name / "site" / "index.html").read_text()
    assert re.search(r"unreachable</bdi> judged nothing of <bdi>tiny</bdi>: weights missing\.", first_page)
    assert "127.0.0.1:9" in first_page
    said = [line for line in (done.stdout + done.stderr).splitlines() if "unreachable.onnx" in line]
    assert said, "no line says which file is missing"
    assert "127.0.0.1:9" in said[0]
    assert "FRONTALBENCH_WEIGHTS" in said[0]
    missing = (project.master / "missing.csv").read_text()
    assert "unreachable" in missing
    good = pq.read_table(project.folder / "results/similarity/tiny/mirror.none/scrfd_500m/w600k_mbf.parquet").to_pylist()
    before = pq.read_table(finished_run.folder / "results/similarity/tiny/mirror.none/scrfd_500m/w600k_mbf.parquet").to_pylist()
    assert good == before
    # What is missing is not tried again and again, but said again; all else is done.
    assert set(project.planned()) <= {"check_weights", "all"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detectorz": ["scrfd_500m"]}, ["detectorz", "unknown key", "detectors"]),
        ({"detectors": ["scrfd_500n"]}, ["scrfd_500n", "scrfd_500m"]),
        ({"face_policy": "biggest"}, ["face_policy", "largest_central"]),
        ({"datasets": ["tinny"]}, ["tinny", "tiny"]),
        ({"backbones": []}, ["backbones"]),
    ],
)
def test_a_typing_error_in_the_config_is_named_with_what_is_allowed(fresh: Fresh, change: dict[str, object], words: list[str]) -> None:
    project = fresh()
    project.configure(**change)
    done = project.snakemake("--dry-run", check=False)
    assert done.returncode != 0
    text = done.stdout + done.stderr
    assert all(word in text for word in words), text
    assert "Traceback" not in text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True, check=False).returncode
    ):
        pytest.skip("a small disk needs mount (root)")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_no_half_file_and_is_named(finished_run: Project, small_disk: Path) -> None:
    shard = next((finished_run.folder / "results/images/tiny").glob("0000.parquet"))
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 250_000)
    done = subprocess.run(
        [
            sys.executable,
            "workflow/scripts/preprocess.py",
            "--in",
            shard,
            "--out",
            small_disk / "crops.parquet",
            "--detector",
            "scrfd_500m",
        ],
        cwd=finished_run.folder,
        env=finished_run.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler"]
