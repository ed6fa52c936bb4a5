"""Master and paper tables from the similarity tables of a small run."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench import datasets, tables
from frontalbench.catalogue.pages import marks, put
from frontalbench.compare import curves
from frontalbench.errors import BadInput
from frontalbench.plan import grid
from frontalbench.stages.compare import compare
from frontalbench.tabulate import (
    TABLES,
    Cell,
    Facts,
    TableSettings,
    cell_of,
    documented,
    load_master,
    published,
    summarize,
    tables_of,
    write,
)
from frontalbench.tabulate.columns import schema
from frontalbench.tabulate.facts import from_cards, models_of
from frontalbench.tabulate.paper_text import net_gain_markdown

from .test_compare_cell import D, World, crowd, unit

ROOT = Path(__file__).resolve().parents[2]
JUDGES = (("scrfd_500m", "w600k_mbf"), ("yunet", "sface"))
QUICK = TableSettings()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Similarity tables of two judges: original, mesh.none, mesh.omit_bg (loses every third probe, the hard ones), tddfa.none (weights missing)."""
    root = tmp_path_factory.mktemp("run")
    found = []
    for number, (detector, backbone) in enumerate(JUDGES):
        rows = crowd(14, 2, 6)
        for i, row in enumerate(rows):
            if row["role"] == "probe":
                row.update(yaw=float((i * 37) % 160 - 80), pitch=0.0, roll=0.0, pose_source="ground_truth")
        world = World(root / f"world{number}", rows, seed=number)
        images, original = world.images(), world.embeddings("original")

        def place(variant: str, detector: str = detector, backbone: str = backbone) -> tuple[Path, Path]:
            folder = root / "similarity" / "frl" / variant / detector
            return folder / f"{backbone}.parquet", folder / f"{backbone}.scores.parquet"

        compare(images, original, original, *place("original"), variant="original")
        found.append(place("original")[0])
        rng = np.random.default_rng(number)
        world.turned = {name: unit(vector + 0.35 * unit(rng.normal(size=D))) for name, vector in world.original.items()}
        compare(images, world.embeddings("turned.none"), original, *place("mesh.none"), variant="mesh.none")
        whole = tables.read(place("mesh.none")[0]).to_pylist()
        hard = sorted((r for r in whole if r["role"] == "probe"), key=lambda r: r["genuine"])[:28]
        world.failed["turned.none"] = {r["image_id"]: "no_face" for r in hard}
        world.turned = {name: unit(vector + 0.4 * unit(rng.normal(size=D))) for name, vector in world.original.items()}
        compare(images, world.embeddings("turned.none"), original, *place("mesh.omit_bg"), variant="mesh.omit_bg")
        world.failed["turned.none"] = {r["image_id"]: "weights_missing" for r in world.rows}
        compare(images, world.embeddings("turned.none"), original, *place("tddfa.none"), variant="tddfa.none")
        found += [place(v)[0] for v in ("mesh.none", "mesh.omit_bg", "tddfa.none")]
    return found


def facts(**more: Any) -> Facts:
    return Facts(synthetic=frozenset(), **more)


@pytest.fixture(scope="module")
def rows(run: list[Path]) -> dict[str, list[dict[str, Any]]]:
    return tables_of([cell_of(p) for p in run], facts(), QUICK)


def line(rows: list[dict[str, Any]], **keys: Any) -> dict[str, Any]:
    found = [r for r in rows if all(r[k] == v for k, v in keys.items())]
    assert len(found) == 1, found
    return found[0]


def test_every_file_is_the_same_byte_for_byte_and_order_of_inputs_does_not_matter(run: list[Path], tmp_path: Path) -> None:
    cells = [cell_of(p) for p in run]
    first = summarize(cells, tmp_path / "one", facts=facts(), settings=QUICK)
    second = summarize(cells[::-1], tmp_path / "two", facts=facts(), settings=QUICK)
    assert [p.name for p in first] == [p.name for p in second] and len(first) > 25
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name


def test_a_card_without_weights_does_not_lower_what_is_verified() -> None:
    judged = "scrfd_500m/w600k_mbf.parquet"
    cells = {
        name: cell_of(f"results/similarity/synthetic/{name}/{judged}") for name in ("identity.none", "mesh.sharp", "liveportrait.none")
    }
    said = from_cards(cells.values())
    assert {name: said.verified(cell) for name, cell in cells.items()} == dict.fromkeys(cells, "real-weights")


def test_yaw_bins_of_the_configuration_replace_the_cards() -> None:
    cell = cell_of("results/similarity/synthetic/mesh.none/scrfd_500m/w600k_mbf.parquet")
    assert from_cards([cell]).edges["synthetic"] == datasets.find("synthetic").yaw_bins
    assert from_cards([cell], {"synthetic": [0, 20, 90]}).edges["synthetic"] == (0, 20, 90)


def test_loaded_tables_hold_the_documented_columns(run: list[Path], tmp_path: Path) -> None:
    summarize([cell_of(p) for p in run], tmp_path, facts=facts(), settings=QUICK)
    frames = load_master(tmp_path)
    assert set(frames) == set(TABLES)
    for name, frame in frames.items():
        assert list(frame.columns) == list(TABLES[name])
    master = frames["master"]
    chosen = master[(master["group"] == "Net Gain") & (master["yaw_axis"] == "all") & (master["variant"] == "mesh.none")]
    assert len(chosen) == 4 and chosen["mean"].notna().all()
    shown = list(csv.DictReader((tmp_path / "master.csv").open()))
    assert len(shown) == len(master) and shown[0]["mean"] == f"{master['mean'][0]:.6f}"
    with pytest.raises(BadInput, match="not a folder"):
        load_master(tmp_path / "nowhere")


def test_paper_tables_agree_with_the_master_table(rows: dict[str, list[dict[str, Any]]]) -> None:
    for gain in rows["table1_net_gain"]:
        net = line(rows["master"], variant=gain["variant"], detector=gain["detector"], group="Net Gain", subset="common", yaw_axis="all")
        assert gain["net_gain"] == net["mean"]
        assert gain["net_gain"] == pytest.approx(gain["frontal_gt"] - gain["angled_gt"], abs=1e-9)
        assert gain["identity_gain"] == pytest.approx(gain["net_gain"] - gain["impostor_gain"], abs=1e-9)
        assert gain["net_gain_low"] <= gain["net_gain"] <= gain["net_gain_high"]


def test_enhancement_that_lost_the_hard_images_is_compared_on_the_others_and_says_so(rows: dict[str, list[dict[str, Any]]]) -> None:
    judge = {"detector": "scrfd_500m"}
    base = line(rows["table2_enhancement"], enhancement="none", **judge)
    lossy = line(rows["table2_enhancement"], enhancement="omit_bg", **judge)
    assert lossy["mean_own"] > base["mean_own"]  # what the study would have printed
    assert lossy["mean"] < base["mean"] and lossy["n_images"] == base["n_images"]
    assert lossy["n_fta"] == 28 and lossy["fta_rate"] == pytest.approx(1 / 3)
    assert "only because it lost 28 images" in lossy["note"]
    assert base["note"].startswith("first of its ranking, but not above leaving the image as it is")
    gain = line(rows["table1_net_gain"], variant="mesh.omit_bg", **judge)
    assert "looks better than original" in gain["note"]


def test_cells_without_weights_are_listed_not_ranked(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert [(r["variant"], r["status"], r["reason"]) for r in rows["missing"]] == [
        ("tddfa.none", "weights_missing", "because weights_missing")
    ] * 2
    assert not [r for name in ("master", "table1_net_gain", "wins", "verification") for r in rows[name] if "tddfa.none" in r.values()]


def test_backbones_that_took_part_in_making_a_dataset_s_images_are_a_leak_there_and_nowhere_else() -> None:
    def leak(dataset: str, variant: str, backbone: str) -> bool:
        one = grid.cell(dataset, variant, "scrfd_500m", backbone)
        return from_cards([one]).leak(one)

    assert datasets.find("synthetic_kept").data["made_with"] == ["w600k_mbf", "arcface_y1"]
    assert leak("synthetic_kept", "original", "w600k_mbf") and leak("synthetic_kept", "mesh.none", "arcface_y1")
    assert not leak("synthetic_kept", "original", "edgeface_s") and not leak("synthetic", "original", "w600k_mbf")


def test_leaking_backbone_is_marked_and_left_out_of_rankings(run: list[Path]) -> None:
    leaky = facts(trained_with={("frontalizer", "mesh"): frozenset({"sface"})})
    found = tables_of([cell_of(p) for p in run], leaky, QUICK)
    for row in found["table1_net_gain"]:
        assert row["leak"] == (row["backbone"] == "sface")
        if row["leak"]:
            assert "leak" in row["note"] and not row["best"] and np.isnan(row["p_holm"])
    assert all(np.isnan(r["p_holm"]) for r in found["wins"] if r["leak"])
    assert not any(r["best"] for r in found["table2_enhancement"] if r["leak"])


def test_synthetic_people_are_called_so_in_every_table(run: list[Path], tmp_path: Path) -> None:
    summarize([cell_of(p) for p in run], tmp_path, facts=Facts(synthetic=frozenset({"frl"})), settings=QUICK)
    for name in ("table1_net_gain.md", "table2_enhancement.md", "table3_backbones.md"):
        assert "synthetic people" in (tmp_path / name).read_text()
    for name, columns in TABLES.items():
        if "synthetic" in columns:
            assert all(r["synthetic"] == "yes" for r in csv.DictReader((tmp_path / f"{name}.csv").open())), name


def test_leader_is_bold_only_when_it_beats_leaving_the_image_alone(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert all(r["identity_gain"] < 0 and not r["best"] for r in rows["table1_net_gain"])
    assert not any(r["best"] for r in rows["table2_enhancement"]), "no enhancement is above leaving the image as it is"


def test_wins_count_every_common_probe_once(rows: dict[str, list[dict[str, Any]]]) -> None:
    pair = line(rows["wins"], detector="yunet", variant_a="original", variant_b="mesh.none")
    assert pair["wins_a"] + pair["ties"] + pair["wins_b"] == pair["n_images"] == 84
    assert pair["subjects_a"] + pair["subjects_b"] == pair["n_subjects"] == 14
    assert len(rows["wins"]) == 2 * 3


def test_error_rates_that_n_does_not_support_say_so(rows: dict[str, list[dict[str, Any]]]) -> None:
    rates = [r for r in rows["error_rates"] if r["variant"] == "mesh.none" and r["detector"] == "yunet"]
    assert [r["supported"] for r in rates] == [False] * 6  # 14 people: 182 pairs of people, 18 of them at 1e-1
    assert {r["note"] for r in rates} == {"not supported by n"} and "fnmr" not in rates[0]
    check = line(rows["verification"], variant="mesh.none", detector="yunet")
    assert check["n_impostor"] == 84 * 26 and 0 < check["eer"] < 0.5
    assert check["dprime_change_low"] <= check["dprime_change"] <= check["dprime_change_high"]
    assert check["eer_low"] < check["eer"] < check["eer_high"] and check["rank1_low"] <= check["rank1"] <= check["rank1_high"]


def test_counts_add_up(rows: dict[str, list[dict[str, Any]]]) -> None:
    counts = line(rows["counts"], detector="yunet")
    assert (counts["n_images"], counts["n_references"], counts["n_probes"], counts["n_subjects"]) == (112, 28, 84, 14)
    assert counts["yaw_source"] == "ground_truth 84"
    by_yaw = dict(part.split(": ") for part in counts["probes_by_yaw"].split(", "))
    assert sum(map(int, by_yaw.values())) == 84 and len(by_yaw) > 1 and all(" to " in label for label in by_yaw)


def test_identities_average_to_the_net_gain(rows: dict[str, list[dict[str, Any]]]) -> None:
    people = [r for r in rows["identities"] if r["variant"] == "mesh.none" and r["detector"] == "yunet"]
    total = sum(r["net_gain"] * r["n_images"] for r in people) / sum(r["n_images"] for r in people)
    assert total == pytest.approx(line(rows["table1_net_gain"], variant="mesh.none", detector="yunet")["net_gain"])


def test_published_numbers_that_do_not_add_up_are_named() -> None:
    found = {(r["table"], r["dataset"], r["enhancement"], r["judge"], r["group"]): r for r in published.published_rows([])}
    assert found["1", "LFW", "", "", "Net Gain"]["check"] == "printed -0.4, but 0.61 - 0.66 = -0.05"
    assert found["1", "BIWI", "", "", "Net Gain"]["check"] == ""
    assert "804 faces not detected do not fit in N 484" in found["2", "", "Omit-bg", "Retina+R100", "Frontal vs GT"]["check"]
    assert "table 3 prints 0.705 to 0.740 for the same group" in found["1", "BIWI", "", "", "Angled vs GT"]["check"]
    assert "table 1 prints 0.82" in found["3", "BIWI", "", "SCRFD+R100", "Angled vs GT"]["check"]
    assert found["3", "BIWI", "", "SCRFD+R100", "GT vs GT"]["check"] == ""
    assert len(found) == 31


def test_published_numbers_stand_beside_ours_where_the_cell_was_run() -> None:
    ours = {"dataset": "lfw", "variant": "liveportrait.none", "detector": "scrfd_10g", "backbone": "glintr100", "group": "Net Gain"}
    ours |= {"subset": "common", "yaw_axis": "all", "mean": -0.07, "ci_low": -0.08, "ci_high": -0.06, "n_images": 7000}
    row = next(r for r in published.published_rows([ours]) if (r["dataset"], r["group"]) == ("LFW", "Net Gain"))
    assert (row["rerun"], row["rerun_n"], row["rerun_cell"]) == (-0.07, 7000, "lfw, liveportrait.none, scrfd_10g, glintr100")
    stand_in = {**ours, "backbone": "w600k_mbf"}  # never in the place of a ResNet
    assert not any("rerun" in r for r in published.published_rows([stand_in]))


def test_cells_without_their_originals_are_refused(run: list[Path]) -> None:
    with pytest.raises(BadInput, match="variant 'original' with the same detector"):
        tables_of([cell_of(p) for p in run if "original" not in p.parts], facts(), QUICK)
    with pytest.raises(BadInput, match="no similarity table"):
        tables_of([], facts())


def test_cell_of_a_path_and_of_derived_variants() -> None:
    cell = cell_of("results/similarity/d/fuse_mean@0.3:mesh.sharp+omit_bg/yunet/sface.parquet")
    assert (cell.dataset, cell.of.prefix, cell.of.frontalizer, cell.of.enhancement) == ("d", "fuse_mean@0.3", "mesh", "sharp+omit_bg")
    assert models_of(cell)[1:3] == [("enhancement", "sharp"), ("enhancement", "omit_bg")]
    weakest = Facts(level={("frontalizer", "mesh"): "golden", ("enhancement", "sharp"): "contract", ("enhancement", "omit_bg"): "golden"})
    assert weakest.verified(cell) == "none"  # nothing is known of the judges
    original = Cell("d", "original", "a", "b", Path()).of
    assert (original.frontalizer, original.enhancement) == ("", "")


def test_numbers_are_written_one_way() -> None:
    assert write.number(-0.0001) == "0.000" and write.signed(0.1234) == "+0.123" and write.number(float("nan")) == ""
    assert write.interval(0.5, float("nan"), float("nan")) == "0.500"
    assert write.csv_text(["a", "b"], [["=1+1", "-0.30"]]) == "a,b\n'=1+1,-0.30\n"
    assert write.tidy(-0.0000001, schema("master").field("mean").type) == 0.0
    with pytest.raises(KeyError, match="undocumented"):
        write.as_table("missing", [{"colour": 1}])


def test_the_tables_of_columns_in_the_documentation_are_those_of_the_code() -> None:
    page = ROOT / "docs/statistics.md"
    text = page.read_text(encoding="utf-8")
    for name, columns in TABLES.items():
        heading, section = re.search(rf"^### `{name}`(.*?)\n(.*?)(?=\n##)", text, re.DOTALL | re.MULTILINE).groups()  # type: ignore[union-attr]
        assert heading.startswith(": ") and marks(f"columns of {name}")[0] in section, f"{name}: its columns stand under its own heading"
        named = re.findall(r"`(\w+)`", "".join(re.findall(r"^Of the cell: .*", section, re.MULTILINE)))
        assert named + re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [*named, *(c for c in columns if c not in named)]
        assert set(named) <= set(columns)


def test_a_column_that_is_not_explained_or_explained_otherwise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text((ROOT / "docs/statistics.md").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setitem(TABLES["judges"], "mean", (TABLES["judges"]["value"][0], "a word that stands elsewhere on the page"))
    assert not put(page, documented.parts(), check=True)
    assert not put(page, documented.parts()) and put(page, documented.parts(), check=True)
    assert "| `mean` | a word that stands elsewhere on the page | by measure | `better` |" in page.read_text(encoding="utf-8")


def test_every_column_of_the_similarity_table_is_explained_in_its_section() -> None:
    section = (ROOT / "docs/statistics.md").read_text(encoding="utf-8").split("## The similarity table")[1].split("\n## ")[0]
    explained = set(re.findall(r"`([a-z0-9_]+)`", section))
    assert {field.name for field in tables.SIMILARITY} <= explained, sorted({field.name for field in tables.SIMILARITY} - explained)


def test_a_fusion_that_falls_back_says_for_how_many_and_what_is_left_without_them(tmp_path: Path) -> None:
    people = crowd(12, 2, 4)
    for i, row in enumerate(people):
        if row["role"] == "probe":
            row.update(yaw=float(10 + 20 * (i % 4)), pitch=0.0, roll=0.0, pose_source="ground_truth")
    world = World(tmp_path / "world", people)
    probes = [row for row in world.rows if row["role"] == "probe"]
    hard = {row["image_id"] for row in probes if row["yaw"] > 60}
    world.failed["turned.none"] = dict.fromkeys(hard, "no_face")

    def place(variant: str) -> tuple[Path, Path]:
        folder = tmp_path / "similarity" / "frl" / variant / "scrfd_500m"
        return folder / "w600k_mbf.parquet", folder / "w600k_mbf.scores.parquet"

    images, original, turned = world.images(), world.embeddings("original"), world.embeddings("turned.none")
    compare(images, original, original, *place("original"), variant="original")
    compare(images, turned, original, *place("mesh.none"), variant="mesh.none")
    compare(images, turned, original, *place("fuse_mean:mesh.none"), variant="fuse_mean:mesh.none")
    made = tables_of([cell_of(place(v)[0]) for v in ("original", "mesh.none", "fuse_mean:mesh.none")], facts(), QUICK)
    before, after = ({r["image_id"]: r for r in tables.read(place(v)[0]).to_pylist()} for v in ("original", "fuse_mean:mesh.none"))
    gains = {r["image_id"]: after[r["image_id"]]["genuine"] - before[r["image_id"]]["genuine"] for r in probes}
    assert all(abs(gains[name]) < 1e-6 for name in hard), "a fallback is the photograph itself"
    fused = {"variant": "fuse_mean:mesh.none"}
    row = line(made["master"], **fused, group="Net Gain", subset="common", yaw_axis="all")
    assert row["n_images"] == len(probes) and row["n_fallback"] == len(hard) > 0
    assert row["mean"] == pytest.approx(np.mean(list(gains.values())), abs=1e-6)
    assert row["mean_both"] == pytest.approx(np.mean([g for name, g in gains.items() if name not in hard]), abs=1e-6)
    assert (
        row["both_low"] <= row["mean_both"] <= row["both_high"]
        and f"{len(hard)} of {len(probes)} images rest on one embedding alone" in row["note"]
    )
    whole = line(made["master"], **fused, group="Net Gain", subset="common", yaw_axis="abs", yaw_bin="60 to 75")
    assert whole["n_images"] == whole["n_fallback"] == len(hard) and whole["mean"] == 0 and np.isnan(whole["mean_both"])
    first = line(made["table1_net_gain"], **fused)
    assert (first["n_fallback"], first["net_gain_both"]) == (len(hard), row["mean_both"])
    assert first["identity_gain_both_low"] <= first["identity_gain_both"] <= first["identity_gain_both_high"]
    plain = line(made["table1_net_gain"], variant="mesh.none")
    assert plain["n_fallback"] == 0 and plain["identity_gain_both"] == plain["identity_gain"]
    verified = line(made["verification"], **fused)
    assert verified["n_fallback"] == len(hard)
    scored = [r for r in after.values() if r["role"] == "probe" and r["image_id"] not in hard]
    assert verified["rank1_both"] == pytest.approx(np.mean([r["rank"] == 1 for r in scored]))
    assert all(math.isfinite(verified[f"{name}_both"]) for name in ("dprime", "eer", "rank5", "slope", "area"))
    assert verified["dprime_both"] != pytest.approx(verified["dprime"]), "the hard ones lower it"
    unfused = line(made["verification"], variant="mesh.none")
    assert all(unfused[f"{name}_both"] == unfused[name] for name in ("dprime", "eer", "rank1", "rank5", "slope", "area"))
    first_rank = line(made["cmc"], **fused, rank=1)
    assert (first_rank["n_fallback"], first_rank["share_both"]) == (len(hard), verified["rank1_both"])
    pair = line(made["wins"], variant_a="original", variant_b=fused["variant"])
    assert pair["n_fallback"] == pair["ties"] == len(hard) and pair["difference_both"] == pytest.approx(-row["mean_both"], abs=1e-6)
    assert f"{len(hard)} of {len(probes)} images rest on one embedding alone" in pair["note"]
    for name in ("error_rates", "fnmr_by_yaw"):
        found = [r for r in made[name] if r["variant"] == fused["variant"] and r.get("supported", True)]
        assert all(0 <= r["fnmr_both"] <= 1 or r["n_fallback"] == r["n_images"] for r in found)
    assert sum(r["n_fallback"] for r in made["identities"] if r["variant"] == fused["variant"]) == len(hard)
    text = net_gain_markdown(made["table1_net_gain"])
    assert f"{len(probes)} ({len(hard)} alone)" in text


def test_a_curve_over_yaw_has_no_points_where_no_image_is_near() -> None:
    assert curves.near([2.0, 50.0, np.nan], [0.0, 20.0, 45.0, 60.0]).tolist() == [True, False, True, False]
    assert curves.near([], [0.0]).tolist() == [False]
