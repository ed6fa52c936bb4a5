"""Plain folders: pairs.yaml + embeddings -> metrics.csv -> report."""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import t

from frontalbench import tables
from frontalbench.compare import jackknife, paired
from frontalbench.errors import BadConfig, BadInput
from frontalbench.plain import folders, pairs

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
    """(pairs.yaml, folder of embeddings, vectors): ann, bob, eve with one GT and three angled images; one image of bob without a face."""
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
    counts = pairs.write_metrics(spec, emb, tmp_path / "metrics.csv").rows
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


@pytest.mark.slow
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
    with pytest.raises(BadInput, match="no image matches 'Angel/"):
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


def _list(emb: Path, made: dict[str, tuple[str, str]], names: list[str]) -> None:
    """The rows.csv that extract_embeddings.py writes beside its table."""
    lines = [f"{name},x,ok,,{','.join(made.get(name, (name, '')))}" for name in names]
    (emb / "rows.csv").write_text("image_id,identity,status,detail,photo,frontalizer\n" + "\n".join(lines) + "\n", encoding="utf-8")


PEOPLE = ("ann", "bob", "eve", "gil", "ida", "jon", "kay")


@pytest.fixture
def views(tmp_path: Path) -> tuple[Path, Path, dict[str, np.ndarray]]:
    """As ``folder``, with views of the photographs by two methods: ``fails`` gave none of image 2, ``works`` gave all."""
    rng = np.random.default_rng(3)
    vectors: dict[str, np.ndarray] = {}
    rows, made = [], {}
    for person in PEOPLE:
        centre = rng.normal(size=D)
        for name in (f"GT/{person}.jpg", *(f"{top}/{person}/{i}.jpg" for top in ("Angle", "fails", "works") for i in range(3))):
            row = {"identity": name.split("/")[0], "role": "probe", "status": "ok", "detail": ""}
            photo = name
            if name.startswith("fails/") and name.endswith("2.jpg"):
                rows.append({**row, "image_id": name, "status": "no_face", "detail": "no face found"})
                made[name] = photo, "fails"
                continue
            if name.startswith(("fails", "works")):
                made[name.replace("jpg", "png")] = photo, photo.split("/")[0]
                name = name.replace("jpg", "png")
            vectors[name] = unit(centre + (1.5 if name[-5] == "2" else 0.4) * rng.normal(size=D))
            rows.append({**row, "image_id": name, "embedding": vectors[name].tolist()})
    tables.write(tmp_path / "emb" / "embeddings.parquet", tables.from_rows(rows, tables.embeddings_schema(D)))
    _list(tmp_path / "emb", made, sorted(row["image_id"] for row in rows))
    groups = [f"  - {{name: {top} vs GT, probe: '{top}/*', reference: 'GT/*'}}" for top in ("Angle", "fails", "works")]
    (tmp_path / "pairs.yaml").write_text("groups:\n" + "\n".join(groups) + "\n")
    return tmp_path / "pairs.yaml", tmp_path / "emb", vectors


def test_views_are_compared_by_image_over_the_photographs_that_all_methods_gave(
    views: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    spec, emb, vectors = views
    assert pairs.write_metrics(spec, emb, tmp_path / "m.csv").notes == []
    rows = {row["group"]: row for row in pairs.write_report(tmp_path / "m.csv", tmp_path / "r.csv")}
    assert [rows[f"{top} vs GT"]["n_images"] for top in ("Angle", "fails", "works")] == [21, 14, 21]
    assert rows["fails vs GT"]["n_fta"] == 7 and rows["fails vs GT"]["fta_rate"] == pytest.approx(1 / 3)
    people = PEOPLE
    for top, ending in (("Angle", "jpg"), ("fails", "png"), ("works", "png")):
        row = rows[f"{top} vs GT"]
        own = [vectors[f"{top}/{p}/{i}.{ending}"] @ vectors[f"GT/{p}.jpg"] for p in people for i in (0, 1)]
        assert row["n_common"] == 14 and row["mean_common"] == pytest.approx(np.mean(own), abs=2e-6)
        assert row["base"] == "Angle vs GT" and "compare mean_common, over 14" in row["note"]
        if top == "Angle":
            assert "net_gain" not in row
            continue
        before = [vectors[f"Angle/{p}/{i}.jpg"] @ vectors[f"GT/{p}.jpg"] for p in people for i in (0, 1)]

        def strangers(top: str, ending: str) -> float:
            return float(
                np.mean(
                    [vectors[f"{top}/{p}/{i}.{ending}"] @ vectors[f"GT/{q}.jpg"] for p in people for i in (0, 1) for q in people if q != p]
                )
            )

        assert row["net_gain"] == pytest.approx(np.mean(own) - np.mean(before), abs=2e-6)
        assert row["impostor_gain"] == pytest.approx(strangers(top, ending) - strangers("Angle", "jpg"), abs=2e-6)
        assert row["identity_gain"] == pytest.approx(row["net_gain"] - row["impostor_gain"], abs=1e-9)
        assert row["identity_gain_low"] <= row["identity_gain"] <= row["identity_gain_high"]
    written = {row["group"]: row for row in csv.DictReader((tmp_path / "r.csv").open())}
    assert float(written["works vs GT"]["identity_gain"]) == pytest.approx(rows["works vs GT"]["identity_gain"], abs=1e-5)
    lines = paired.report_lines(list(rows.values()))
    assert lines[1].startswith("fails vs GT: N 14, FTA 7 (33.3 %)") and "over the 14 photographs that all gave" in lines[1]
    assert sum(line.startswith("warning: ") for line in lines) == 3
    few = {**rows["works vs GT"], "identity_gain_low": math.nan, "identity_gain_high": math.nan, "n_common_identities": 3}
    assert paired.report_lines([few])[0].endswith("(no interval: 3 people)")


def test_intervals_against_strangers_leave_people_out_on_both_sides(tmp_path: Path) -> None:
    """Of the identity gain and of a group of strangers, against comparing again without each person."""
    rng = np.random.default_rng(5)
    people = [f"p{i}" for i in range(8)]
    centre = {p: rng.normal(size=D) for p in people}
    vectors: dict[str, np.ndarray] = {}
    for p in people:
        vectors[f"GT/{p}.jpg"] = unit(centre[p] + 0.3 * rng.normal(size=D))
        for i in range(2):
            vectors[f"Angle/{p}/{i}.jpg"] = unit(centre[p] + 0.6 * rng.normal(size=D))
            vectors[f"tool/{p}/{i}.png"] = unit(vectors[f"Angle/{p}/{i}.jpg"] + 0.4 * rng.normal(size=D) / np.sqrt(D))
    spec = tmp_path / "pairs.yaml"
    spec.write_text(
        "groups:\n  - {name: angled, probe: 'Angle/*', reference: 'GT/*'}\n  "
        "- {name: others, probe: 'Angle/*', reference: 'GT/*', people: others}\n"
        "  - {name: tool, probe: 'tool/*', reference: 'GT/*', of: angled}\n"
        "  - {name: by hand, pairs: [[GT/p0.jpg, GT/p1.jpg], [GT/p2.jpg, GT/p3.jpg]]}\n"
    )

    def report(without: str = "") -> dict[str, dict[str, object]]:
        folder = tmp_path / f"emb{without}"
        rows = [
            {"image_id": name, "identity": "", "role": "probe", "status": "ok", "detail": "", "embedding": vector.tolist()}
            for name, vector in sorted(vectors.items())
            if f"/{without}" not in name or not without
        ]
        tables.write(folder / "0.parquet", tables.from_rows(rows, tables.embeddings_schema(D)))
        chosen = spec if not without else tmp_path / f"{without}.yaml"
        if without:
            chosen.write_text("\n".join(line for line in spec.read_text().splitlines() if "by hand" not in line))
        pairs.write_metrics(chosen, folder, tmp_path / "m.csv")
        return {row["group"]: row for row in pairs.write_report(tmp_path / "m.csv", tmp_path / "r.csv")}

    whole, parts = report(), [report(p) for p in people]
    for group, key, low, high, kurtosis in (
        ("others", "mean", "ci_low", "ci_high", jackknife.KURTOSIS),
        ("tool", "identity_gain", "identity_gain_low", "identity_gain_high", jackknife.KURTOSIS_OF_CHANGES),
    ):
        away = np.array([whole[group][key] - part[group][key] for part in parts])
        shown = 8 * (away**4).sum() / (away**2).sum() ** 2 - 3
        student = float(t.ppf(0.975, 2 / (2 / 7 + max(kurtosis, shown) / 8)))
        most = student * np.sqrt(7 / 8 * (away**2).sum())
        half = (whole[group][high] - whole[group][low]) / 2
        assert 0.69 * most < half < 1.02 * most, "less what is counted twice"
    assert np.isnan(whole["by hand"]["ci_low"]), "nothing says what else the second person is compared with"


def test_without_the_photographs_there_are_common_means_and_no_gain(
    views: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    spec, emb, _ = views
    spec.write_text("\n".join(line for line in spec.read_text().splitlines() if "Angle" not in line))
    notes = pairs.write_metrics(spec, emb, tmp_path / "m.csv").notes
    assert len(notes) == 1 and "no group of the photographs themselves, so there is no Net Gain" in notes[0]
    rows = pairs.write_report(tmp_path / "m.csv", tmp_path / "r.csv")
    assert [row["n_common"] for row in rows] == [14, 14] and not any("net_gain" in row for row in rows)


def test_views_made_elsewhere_are_joined_by_name_and_what_they_lack_is_counted(
    folder: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    spec, emb, vectors = folder
    rows = []
    for person in ("ann", "bob", "eve"):
        for i in range(2):
            name = f"tool/{person}/{i}.webp"
            vectors[name] = unit(vectors[f"Angle/{person}/{i}.jpg"] + 0.3)
            row = {"image_id": name, "identity": "tool", "role": "probe", "status": "ok", "detail": "", "embedding": vectors[name].tolist()}
            rows.append(row)
    rows.append({**rows[0], "image_id": "tool/zoe/9.webp"})
    tables.write(emb / "tool.parquet", tables.from_rows(rows, tables.embeddings_schema(D)))
    spec.write_text(
        "groups:\n  - {name: Angled, probe: 'Angle/*', reference: 'GT/*'}\n"
        "  - {name: tool, probe: 'tool/*', reference: 'GT/*', of: Angled}\n"
    )
    notes = pairs.write_metrics(spec, emb, tmp_path / "m.csv").notes
    assert len(notes) == 1 and "1 images match no photograph of 'Angled'" in notes[0] and "tool/zoe/9.webp" in notes[0]
    angled, tool = pairs.write_report(tmp_path / "m.csv", tmp_path / "r.csv")
    assert (angled["n_images"], angled["n_fta"]) == (8, 1)
    assert (tool["n_images"], tool["n_fta"], tool["n_no_reference"], tool["n_common"]) == (6, 3, 1, 6)
    (emb / "tool.parquet").unlink()
    tables.write(emb / "tool.parquet", tables.from_rows([*rows, {**rows[0], "image_id": "tool/ann/0.png"}], tables.embeddings_schema(D)))
    with pytest.raises(BadInput, match=r"tool/ann/0.png and tool/ann/0.webp are both views of 'ann/0.jpg'"):
        pairs.write_metrics(spec, emb, tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("names", "patterns", "persons"),
    [
        (["GT/ann.jpg", "Angle/ann/1.jpg"], ("Angle/*", "GT/*"), ["ann", "ann"]),
        (["GT/ann/a.jpg", "Angle/ann/x/1.jpg"], ("Angle/*", "GT/*"), ["ann", "ann"]),
        (["ann/GT/a.jpg", "ann/Angle/1.jpg"], ("*/Angle/*", "*/GT/*"), ["ann", "ann"]),
        (["data/GT/ann.jpg", "data/Angle/ann.png"], ("data/Angle/*", "data/GT/*"), ["ann", "ann"]),
        (["p/ann/GT/a.jpg", "views/mesh/ann/Angle/1.png"], ("views/mesh/*", "p/*/GT/*"), ["ann", "ann"]),
    ],
)
def test_the_person_is_found_in_every_layout_of_the_readme_without_being_told(
    tmp_path: Path, names: list[str], patterns: tuple[str, str], persons: list[str]
) -> None:
    (tmp_path / "p.yaml").write_text(f"groups: [{{name: a, probe: '{patterns[0]}', reference: '{patterns[1]}'}}]")
    spec = pairs.read_spec(tmp_path / "p.yaml")
    assert [spec.person(name, "column") for name in names] == persons


def test_persons_that_are_read_wrongly_stop_with_both_names(folder: tuple[Path, Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    spec, emb, _ = folder
    spec.write_text("identity: column\ngroups: [{name: a, probe: 'Angle/*', reference: 'GT/*'}]")
    with pytest.raises(
        BadInput, match=r"'Angle/ann/0.jpg' is taken for person 'Angle', the reference 'GT/ann.jpg' for 'GT'; say with 'identity:'"
    ):
        pairs.write_metrics(spec, emb, tmp_path / "m.csv")
    assert not (tmp_path / "m.csv").exists()


def test_of_names_a_group_of_photographs_with_the_same_reference(tmp_path: Path) -> None:
    groups = "groups: [{name: a, probe: x, reference: y}, {name: b, probe: z, reference: %s, of: %s}]"
    for reference, of in (("y", "c"), ("q", "a"), ("y", "b")):
        (tmp_path / "p.yaml").write_text(groups % (reference, of))
        with pytest.raises(BadConfig, match="should be a group of photographs with the same reference and people"):
            pairs.read_spec(tmp_path / "p.yaml")
    (tmp_path / "p.yaml").write_text(groups % ("y", "a"))
    assert pairs.read_spec(tmp_path / "p.yaml").groups[1].of == "a"


def test_the_page_on_folders_explains_every_column_and_its_pairs_files_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "docs/folders.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([a-z_]+)`", page))
    assert {*pairs.METRICS, *pairs.REPORT, *pairs.REPORT_NUMBERS, *pairs.REPORT_PAIRED, *folders.HEADER} <= explained
    whole, added = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    (tmp_path / "pairs.yaml").write_text(whole + added)
    assert [group.of for group in pairs.read_spec(tmp_path / "pairs.yaml").groups] == ["", "", "", "Angled vs GT"]
    schema = (ROOT / "config/schemas/pairs.schema.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(schema)["properties"]["groups"]["items"]["properties"]) - {"name"} <= explained
