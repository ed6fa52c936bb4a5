"""Only what changed runs again, and everything that changed does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from tests.project import Project, people, write_card

pytestmark = [pytest.mark.e2e, pytest.mark.weights]

AFTER = {"summarize", "figures", "export_references", "export_probes", "export_frontals", "results", "cost", "site", "all", "check_weights"}
"""What hangs on every cell: tables, figures, pages and their targets."""

Fresh = Callable[..., Project]


def models(jobs: dict[str, int]) -> dict[str, int]:
    """The planned jobs before the summaries."""
    return {rule: count for rule, count in jobs.items() if rule not in AFTER}


def test_a_finished_run_has_nothing_to_do(fresh: Fresh) -> None:
    assert fresh().planned() == {}


def test_a_second_configuration_keeps_its_own_results_and_shares_the_cells(fresh: Fresh) -> None:
    project = fresh()
    first = project.tables()
    (project.folder / "config" / "second.yaml").write_text("frontalizers: [identity]\nstatistics: {resamples: 1500}\n")
    second = ("--configfile", "config/second.yaml")
    assert models(project.planned(*second)) == {}
    assert set(project.planned(*second)) == AFTER - {"results"}
    project.snakemake("summarize", *second)
    folder = project.folder / "results" / "master"
    assert sorted(path.name for path in folder.iterdir()) == ["second", "tiny"]
    assert (folder / "second" / "master.parquet").read_bytes() != first["master.parquet"]
    assert project.tables() == first
    assert project.planned() == {}
    site = project.folder / "reports" / "tiny" / "site" / "index.html"
    assert site.is_file()
    told = project.snakemake("where", "--quiet", "all").stdout
    assert str(site.relative_to(project.folder)) in told and "results/master/tiny" in told


def test_the_report_of_a_configuration_lies_beside_its_site(fresh: Fresh) -> None:
    project = fresh()
    for said in ("wrote reports/tiny/report.html", "reports/tiny/report.html is up to date"):
        command = ["bash", "workflow/scripts/make_report.sh"]
        done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip().splitlines()[-1]) == (0, said)
    assert (project.folder / "reports" / "tiny" / "report.html").stat().st_size > 1_000_000
    assert not (project.folder / "reports" / "report.html").exists()


def test_a_new_backbone_runs_its_own_cells_only(fresh: Fresh) -> None:
    project = fresh()
    project.configure(backbones=["w600k_mbf", "edgeface_s"])
    # 3 variants (original, identity, mirror) x 2 shards to embed, 3 cells to compare, one receipt.
    assert models(project.planned()) == {"fetch_weights": 1, "embed": 6, "compare": 3}
    assert "summarize" in project.planned()


def test_a_new_detector_runs_its_own_cells_only(fresh: Fresh) -> None:
    project = fresh()
    project.configure(detectors=["scrfd_500m", "yunet"])
    assert models(project.planned()) == {"fetch_weights": 1, "detect": 6, "embed": 6, "compare": 3}


def test_enhancements_that_share_a_network_run_it_once_and_a_longer_chain_is_made_of_the_shorter_one(fresh: Fresh) -> None:
    project = fresh()
    project.configure(enhancements=["none", "gfpgan_full", "gfpgan_detail", "gfpgan_full+sharp"])
    full, detail, longer = (f"results/variants/tiny/identity.gfpgan_{name}/0000.parquet" for name in ("full", "detail", "full+sharp"))
    assert project.planned(full, detail, longer) == {"fetch_weights": 2, "draw_faces": 1, "enhance": 3}
    project.snakemake("--", full)
    jobs = project.planned(full, detail, longer)
    assert jobs.pop("fetch_weights", 0) <= 1, "asked for again where it is out of reach"
    assert jobs == {"enhance": 2}, "the first one stays as it is, the faces are drawn once"


def test_a_new_enhancement_runs_its_own_variants_only(fresh: Fresh) -> None:
    project = fresh()
    project.configure(enhancements=["none", "sharp"])
    # identity gets it (mirror has its own list): one new variant.
    assert models(project.planned()) == {"enhance": 2, "detect": 2, "embed": 2, "compare": 1, "measure_quality": 1}


def test_a_new_frontalizer_runs_its_own_variants_only(fresh: Fresh) -> None:
    project = fresh()
    project.configure(frontalizers=["identity", {"name": "mirror", "enhancements": ["none"]}, "mesh"])
    jobs = models(project.planned())
    assert jobs.pop("fetch_weights", 0) <= 1
    assert jobs == {"frontalize": 2, "detect": 2, "embed": 2, "compare": 1, "measure_pose": 2, "measure_quality": 1}


def test_a_new_measure_of_quality_measures_the_images_again_and_nothing_else(fresh: Fresh) -> None:
    project = fresh()
    project.configure(quality={"measures": ["pixels", "pose", "distribution"]})
    assert models(project.planned()) == {"fetch_weights": 1, "measure_distribution": 3}
    project.configure(quality={"measures": ["pixels", "pose", "no_reference"]})
    assert models(project.planned()) == {"fetch_weights": 1, "measure_quality": 3}


def test_a_pose_matched_variant_turns_references_and_leaves_the_other_cells_alone(fresh: Fresh) -> None:
    project = fresh()
    grid = [{"name": name, "enhancements": ["none"]} for name in ("identity", "mirror", "mesh")]
    project.configure(frontalizers=grid, derived=["pose_matched:mesh.none"])
    jobs = models(project.planned())
    assert jobs.pop("fetch_weights", 0) <= 1
    # mesh itself (2 shards), its references turned (2 shards), one cell of each
    assert jobs == {"frontalize": 2, "turn_references": 2, "measure_pose": 2, "measure_quality": 1, "detect": 4, "embed": 4, "compare": 2}


def test_several_photographs_become_one_frontal_in_the_workflow_and_nothing_runs_a_second_time(fresh: Fresh) -> None:
    project = fresh()
    project.configure(frontalizers=[{"name": "multiview_mesh", "enhancements": ["none"]}])
    frontals, embeddings = (
        f"results/{path}/0000.parquet"
        for path in ("frontals/tiny/multiview_mesh", "embeddings/tiny/multiview_mesh.none/scrfd_500m/w600k_mbf")
    )
    jobs = models(project.planned())
    assert jobs.pop("fetch_weights", 0) <= 1
    assert jobs == {"frontalize_views": 2, "detect": 2, "embed": 2, "compare": 1, "measure_pose": 2, "measure_quality": 1}
    project.snakemake("--", frontals, embeddings)
    rows = pq.read_table(project.folder / frontals).to_pylist()
    drawn: dict[str, list[bytes]] = {}
    for row in rows:
        assert (row["status"] == "ok") == (row["role"] == "probe"), row["detail"]
        assert row["status"] == "not_used" or row["detail"] == "made of 2 photographs"
        drawn.setdefault(row["identity"], []).extend([row["image"]] if row["image"] else [])
    assert drawn and all(len(images) == 2 and len(set(images)) == 1 for images in drawn.values()), "both probes of a person get one frontal"
    known = {row["image_id"]: row["embedding"] for row in pq.read_table(project.folder / embeddings).to_pylist()}
    assert all((known[row["image_id"]] is not None) == (row["status"] == "ok") for row in rows), "each is judged as any other frontal"
    assert project.planned(frontals, embeddings) == {}


def test_a_new_dataset_leaves_the_old_one_alone(fresh: Fresh) -> None:
    project = fresh()
    write_card(project, "other", people(project.folder / "data" / "other", identities=2))
    project.configure(datasets=["tiny", "other"])
    jobs = models(project.planned())
    assert jobs["prepare"] == 2
    assert jobs["compare"] == 3
    done = project.snakemake("--dry-run")
    written = [line for line in (done.stdout + done.stderr).splitlines() if line.strip().startswith("output:")]
    assert any("results/images/other/" in line for line in written), "the dry run names what it would write"
    of_one_dataset = r"results/(images|pose|people|frontals|variants|turned|crops|embeddings|similarity|quality|distribution)/tiny/"
    assert [line for line in written if re.search(of_one_dataset, line)] == []


def test_a_new_image_runs_the_chain_of_its_shard_only(fresh: Fresh) -> None:
    project = fresh()
    person = sorted((project.folder / "data" / "tiny").iterdir())[0]
    shutil.copyfile(next((person / "Angle").glob("*.jpg")), person / "Angle" / "one more.jpg")
    jobs = models(project.planned())
    of_the_dataset = {"collect_metadata": 1, "compare": 3, "measure_quality": 3}
    assert jobs == {"prepare": 1, "detect": 3, "measure_pose": 3, "frontalize": 2, "embed": 3, **of_the_dataset}


def test_comments_and_formatting_rerun_nothing(fresh: Fresh) -> None:
    project = fresh()
    for path in (
        "workflow/scripts/preprocess.py",
        "src/frontalbench/stages/embed.py",
        "src/frontalbench/images.py",
        "config/models/backbones/w600k_mbf.yaml",
        "config/config.yaml",
        "config/datasets/tiny.yaml",
    ):
        file = project.folder / path
        file.write_text(file.read_text() + "\n\n# a remark\n")
    assert project.planned() == {}


def test_a_changed_preprocessing_reruns_what_hangs_on_the_card(fresh: Fresh) -> None:
    project = fresh()
    path = project.folder / "config" / "models" / "backbones" / "w600k_mbf.yaml"
    card = yaml.safe_load(path.read_text())
    card["params"]["mean"] = [100.0, 100.0, 100.0]
    path.write_text(yaml.safe_dump(card))
    jobs = models(project.planned())
    assert jobs == {"fetch_weights": 1, "embed": 6, "compare": 3}


def test_a_changed_module_reruns_its_stage_and_nothing_before(fresh: Fresh) -> None:
    project = fresh()
    module = project.folder / "src" / "frontalbench" / "stages" / "embed.py"
    module.write_text(module.read_text() + "\nCHANGED = 1\n")
    assert models(project.planned()) == {"embed": 6, "compare": 3}


def test_a_changed_page_template_builds_the_pages_again_and_nothing_else(fresh: Fresh) -> None:
    project = fresh()
    for name in ("templates/overview.html.j2", "static/style.css"):
        file = project.folder / "src" / "frontalbench" / "site" / name
        file.write_text(file.read_text() + "\n")
    assert set(project.planned()) == {"site", "check_weights", "all"}, "the check of the weights comes last, after everything else"


def test_moving_the_folder_and_new_file_times_rerun_nothing(fresh: Fresh, tmp_path: Path) -> None:
    project = fresh()
    moved = tmp_path / "moved elsewhere"
    shutil.move(project.folder, moved)
    card = moved / "config" / "datasets" / "tiny.yaml"
    card.write_text(card.read_text().replace(str(project.folder), str(moved)))
    for path in [*moved.glob("workflow/**/*.py"), *moved.glob("src/**/*.py"), *moved.glob("config/**/*"), *moved.glob("data/**/*.jpg")]:
        os.utime(path)
    assert Project(moved, dict(project.environment, PYTHONPATH=str(moved / "src"))).planned() == {}


def test_results_copied_without_their_times_are_taken_as_they_are_after_one_touch(fresh: Fresh) -> None:
    project = fresh()
    before = project.tables()
    made = sorted((project.folder / "results").rglob("*.parquet"))
    by_time = ("--max-checksum-file-size", "0")  # as tables above 1 MB are known
    then = min(path.stat().st_mtime for path in made) - 10.0 * (
        len(made) + 1
    )  # none in the future, where Snakemake sees a clock that is wrong
    for path in made:  # as `cp -r` leaves them: in the order of their names, not in the order in which they were made
        then += 10.0
        os.utime(path, (then, then))
    assert models(project.planned(*by_time))
    project.snakemake("--touch", *by_time)
    assert project.planned(*by_time) == {}
    assert project.tables() == before
    assert project.planned() == {}


def test_a_run_may_lie_somewhere_else_with_the_configuration_from_here_or_its_own(fresh: Fresh, tmp_path: Path) -> None:
    project = fresh(results=False)
    there = tmp_path / "scratch" / "a folder"
    there.mkdir(parents=True)
    elsewhere = ("--directory", str(there))
    everything = project.planned(*elsewhere)
    assert everything == project.planned()
    project.snakemake(*elsewhere, "results/images/tiny/0000.parquet")
    assert (there / "results" / "images" / "tiny" / "0000.parquet").is_file()
    assert not (project.folder / "results" / "images").exists()
    assert project.planned(*elsewhere).get("prepare") == everything["prepare"] - 1
    (there / "config").mkdir()
    own = yaml.safe_load((project.folder / "config" / "config.yaml").read_text())
    (there / "config" / "config.yaml").write_text(yaml.safe_dump({**own, "frontalizers": ["identity"]}))
    assert project.planned(*elsewhere)["detect"] < everything["detect"]
