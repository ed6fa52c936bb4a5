"""Plain folders: pairs.yaml + embeddings -> metrics.csv -> report."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import tables
from frontalbench.compare import pairs
from frontalbench.errors import BadConfig, BadInput

ROOT = Path(__file__).resolve().parents[2]
D = 16
SPEC = """
identity: {regex: "^[^/]+/([^/.]+)"}
groups:
  - {name: GT vs GT, within: "GT/*"}
  - {name: Angled vs GT, probe: "Angle/*", reference: "GT/*"}
  - {name: Angled vs Angled, within: "Angle/*"}
  - {name: Angled vs other GT, probe: "Angle/*", reference: "GT/*", people: others}
  - {name: by hand, pairs: [[GT/ann.jpg, Angle/ann/0.jpg], [GT/ann.jpg, Angle/bob/2.jpg]]}
"""


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """(pairs.yaml, folder of embeddings, vectors): ann, bob, eve with one GT and three angled pictures; one picture of bob without a face."""
    rng = np.random.default_rng(0)
    vectors, rows = {}, []
    for person in ("ann", "bob", "eve"):
        centre = rng.normal(size=D)
        for name in (f"GT/{person}.jpg", *(f"Angle/{person}/{i}.jpg" for i in range(3))):
            vectors[name] = unit(centre + 0.5 * rng.normal(size=D))
            row = {"image_id": name, "identity": name.split("/")[0], "role": "probe", "status": "ok", "detail": ""}
            row["embedding"] = vectors[name].tolist()
            if name == "Angle/bob/2.jpg":
                row.update(status="no_face", detail="no face found", embedding=None)
            rows.append(row)
    half = len(rows) // 2
    rows.sort(key=lambda r: r["image_id"])
    for number, part in enumerate((rows[:half], rows[half:])):
        tables.write(tmp_path / "emb" / f"{number}.parquet", tables.from_rows(part, tables.embeddings_schema(D)))
    (tmp_path / "pairs.yaml").write_text(SPEC)
    return tmp_path / "pairs.yaml", tmp_path / "emb", vectors


def test_groups_of_folders_equal_dot_products_by_hand(folder: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    spec, emb, vectors = folder
    counts = pairs.write_metrics(spec, emb, tmp_path / "metrics.csv")
    assert counts == {"GT vs GT": 3, "Angled vs GT": 9, "Angled vs Angled": 9, "Angled vs other GT": 9, "by hand": 2}
    rows = {(r["group"], r["image_id"], r["other"]): r for r in pairs.read_metrics(tmp_path / "metrics.csv")}
    name = "Angle/ann/1.jpg"
    assert rows["Angled vs GT", name, ""]["similarity"] == pytest.approx(float(vectors[name] @ vectors["GT/ann.jpg"]), abs=2e-6)
    siblings = [float(vectors[name] @ vectors[f"Angle/ann/{i}.jpg"]) for i in (0, 2)]
    within = rows["Angled vs Angled", name, ""]
    assert within["n_pairs"] == 2
    assert [within[k] for k in ("similarity", "lowest", "highest")] == pytest.approx(
        [np.mean(siblings), min(siblings), max(siblings)], abs=2e-6
    )
    others = [float(vectors[name] @ vectors[f"GT/{p}.jpg"]) for p in ("bob", "eve")]
    assert rows["Angled vs other GT", name, ""]["similarity"] == pytest.approx(np.mean(others), abs=2e-6)
    assert rows["Angled vs other GT", name, ""]["highest"] == pytest.approx(max(others), abs=2e-6)
    assert rows["GT vs GT", "GT/ann.jpg", ""]["status"] == "no_reference"
    assert rows["Angled vs GT", "Angle/bob/2.jpg", ""]["status"] == "no_face"
    assert rows["by hand", "GT/ann.jpg", "Angle/bob/2.jpg"]["status"] == "no_face"
    assert rows["by hand", "GT/ann.jpg", "Angle/ann/0.jpg"]["similarity"] == pytest.approx(
        float(vectors["GT/ann.jpg"] @ vectors["Angle/ann/0.jpg"]), abs=2e-6
    )


def test_command_lines_from_embeddings_to_report(folder: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    spec, emb, _ = folder

    def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "workflow/scripts" / script), *arguments], capture_output=True, text=True, check=False
        )

    metrics, report = tmp_path / "metrics.csv", tmp_path / "report.csv"
    done = run("compute_similarity.py", "--pairs", str(spec), "--emb", str(emb), "--out", str(metrics))
    assert done.returncode == 0, done.stderr
    done = run("summarize.py", "--metrics", str(metrics), "--out", str(report))
    assert done.returncode == 0, done.stderr
    rows = {r["group"]: r for r in csv.DictReader(report.open())}
    angled = rows["Angled vs GT"]
    assert (angled["n_images"], angled["n_fta"], angled["n_identities"]) == ("8", "1", "3")
    assert (angled["ci_low"], angled["ci_high"]) == ("", ""), "three people say nothing about people"
    assert rows["GT vs GT"]["n_images"] == "0" and rows["GT vs GT"]["mean"] == ""
    first = report.read_bytes()
    run("summarize.py", "--metrics", str(metrics), "--out", str(report))
    assert report.read_bytes() == first
    failed = run("compute_similarity.py", "--pairs", str(tmp_path / "none.yaml"), "--emb", str(emb), "--out", str(metrics))
    assert failed.returncode == 2 and failed.stderr.startswith("error: ") and failed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: []", "groups"),
        ("groups: [{name: a, probe: x}]", "give probe and reference, or within, or pairs"),
        ("groups: [{name: a, within: x, probes: y}]", "did you mean 'probe'"),
        ("groups: [{name: a, within: x}, {name: a, within: y}]", "given twice"),
        ("identity: {regex: '('}\ngroups: [{name: a, within: x}]", "not a regular expression"),
        ("identity: {regex: 'abc'}\ngroups: [{name: a, within: x}]", "needs one group"),
        ("identity: person\ngroups: [{name: a, within: x}]", "identity"),
        ("groups: [{name: a, pairs: [[x]]}]", "groups"),
        ("- 1", "key: value"),
    ],
)
def test_mistakes_in_a_pairs_file_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.yaml"
    path.write_text(text)
    with pytest.raises(BadConfig) as error:
        pairs.read_spec(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_patterns_that_match_nothing_and_unknown_names_are_errors(folder: tuple[Path, Path, dict[str, np.ndarray]]) -> None:
    spec, emb, _ = folder
    data = pairs.read_folder(emb, pairs.read_spec(spec))
    with pytest.raises(BadInput, match="no picture matches 'Angel/"):
        pairs.group_rows(pairs.Group("a", within=("Angel/*",)), data)
    with pytest.raises(BadInput, match=r"has no embedding; did you mean 'GT/ann.jpg'"):
        pairs.group_rows(pairs.Group("a", pairs=(("GT/anne.jpg", "GT/bob.jpg"),)), data)


def test_tables_of_two_judges_in_one_folder_are_refused(folder: tuple[Path, Path, dict[str, np.ndarray]]) -> None:
    spec, emb, _ = folder
    (emb / "again.parquet").write_bytes((emb / "0.parquet").read_bytes())
    with pytest.raises(BadInput, match="more than one table"):
        pairs.read_folder(emb, pairs.read_spec(spec))
    with pytest.raises(BadInput, match=r"no \.parquet file"):
        (emb.parent / "empty").mkdir()
        pairs.read_folder(emb.parent / "empty", pairs.read_spec(spec))


@pytest.mark.parametrize(
    ("identity", "person"), [("column", "given"), ("folder", "ann"), ("top_folder", "Angle"), ("name", "0"), ("{regex: '/(a..)/'}", "ann")]
)
def test_person_comes_from_where_the_file_says(tmp_path: Path, identity: str, person: str) -> None:
    (tmp_path / "p.yaml").write_text(f"identity: {identity}\ngroups: [{{name: a, within: '*'}}]")
    assert pairs.read_spec(tmp_path / "p.yaml").person("Angle/ann/0.jpg", "given") == person


def test_broken_metrics_name_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("group,image_id\n")
    with pytest.raises(BadInput, match="column 'identity' is missing"):
        pairs.read_metrics(path)
    path.write_text(",".join(pairs.METRICS) + "\na,b,c,,x,0.1,,,ok,\n")
    with pytest.raises(BadInput, match="line 2"):
        pairs.read_metrics(path)
