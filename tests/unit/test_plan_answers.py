"""What a plan answers the rules, word by word, on one grid that has a chain, a derived variant of each kind, two judges and every kind of quality."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frontalbench.datasets.listing import PER_SHARD
from frontalbench.errors import BadInput
from frontalbench.plan import fingerprint, grid
from frontalbench.plan.configuration import asks_for_everything, checked_configuration, read_pairs
from frontalbench.plan.plan import Plan
from frontalbench.tabulate.columns import TABLES

GRID: dict[str, Any] = {
    "datasets": [{"name": "synthetic", "shards": 2}],
    "frontalizers": [
        {"name": "mirror_ahead", "enhancements": ["none", "sharp+omit_bg"]},
        {"name": "mesh", "enhancements": ["none"]},
    ],
    "enhancements": ["none"],
    "detectors": ["yunet", "scrfd_500m"],
    "backbones": ["w600k_mbf", "edgeface_s"],
    "locator": "retinaface_mnet025",
    "derived": ["fuse_mean:mesh.none", "feature_frontal:mesh.none", "pose_matched:mesh.none"],
    "quality": {"detector": "scrfd_500m", "measures": ["pixels", "pose", "expression", "no_reference", "distribution"]},
    "if_npm": {"backbones": [], "enhancements": []},
}
VARIANTS = ["original", "mirror_ahead.none", "mirror_ahead.sharp+omit_bg", "mesh.none"]
SHARDS = ("0000", "0001")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(GRID, run="answers")


def both(pattern: str) -> list[str]:
    return [f"results/{pattern}/{shard}.parquet" for shard in SHARDS]


def test_a_grid_is_described_with_its_datasets_variants_judges_and_cells(plan: Plan) -> None:
    assert plan.variants == VARIANTS and plan.shards == {"synthetic": list(SHARDS)} and len(plan.cells) == 7 * 4
    assert plan.describe().splitlines() == [
        "datasets: synthetic (2 shards)",
        f"variants: {', '.join([*VARIANTS, *GRID['derived']])}",
        "judges: yunet + w600k_mbf, yunet + edgeface_s, scrfd_500m + w600k_mbf, scrfd_500m + edgeface_s",
        "28 cells; what runs first and how many jobs: snakemake -n --quiet rules",
    ]
    told = plan.told()
    assert told["variants"] == VARIANTS[1:] and told["derived"] == GRID["derived"] and told["datasets"] == ["synthetic"]
    assert (told["detectors"], told["backbones"]) == (GRID["detectors"], GRID["backbones"])
    assert told["notices"] == {"synthetic": "synthetic"} and told["credits"] == [] and plan.credit("synthetic") == ""
    assert plan.learned_measures() == ["no_reference"]


def test_the_report_shows_the_figures_of_every_variant_and_judge(plan: Plan) -> None:
    paths = {entry.path for entry in plan.figures()}
    for detector, backbone in (("yunet", "w600k_mbf"), ("scrfd_500m", "edgeface_s")):
        assert f"distributions/distributions.{detector}.{backbone}.svg" in paths
    assert any("mesh.none" in path for path in paths) and any("fuse_mean" in path for path in paths)


def test_a_selection_goes_through_a_command_line_and_names_the_same_files(plan: Plan) -> None:
    chosen = plan.selection()
    again = grid.Selection.from_json(chosen.to_json())
    assert again == chosen == plan.selection("synthetic") and again.datasets == {"synthetic": list(SHARDS)}
    assert again.yaw_bins == {"synthetic": list(plan.datasets["synthetic"].yaw_bins)} and len(again.yaw_bins["synthetic"]) > 2
    assert again.judges() == [("yunet", "w600k_mbf"), ("yunet", "edgeface_s"), ("scrfd_500m", "w600k_mbf"), ("scrfd_500m", "edgeface_s")]
    assert again.similarity() == [str(one.similarity) for one in plan.cells] and list(again.cells()) == plan.cells
    assert again.embeddings()[:2] == both("embeddings/synthetic/original/yunet/w600k_mbf") and len(again.embeddings()) == 4 * 2
    assert again.crops()[2:4] == both("crops/synthetic/original/scrfd_500m") and len(again.crops()) == 4 * 2 * 2
    assert again.images() == [
        *both("images/synthetic"),
        *both("frontals/synthetic/mirror_ahead"),
        *both("variants/synthetic/mirror_ahead.sharp+omit_bg"),
        *both("frontals/synthetic/mesh"),
    ]
    for text in ("{", "[]", '{"datasets": {}}', '{"colour": 1}'):
        with pytest.raises(BadInput, match="--grid: expected the JSON that a rule passes"):
            grid.Selection.from_json(text)


def test_a_cell_is_read_off_its_path_and_has_scores_only_where_they_are(plan: Plan, tmp_path: Path) -> None:
    cell = plan.files.first_cell("synthetic")
    assert (cell.variant, cell.judge) == ("original", ("yunet", "w600k_mbf"))
    assert cell.similarity == Path("results/similarity/synthetic/original/yunet/w600k_mbf.parquet")
    path = tmp_path / cell.similarity
    assert grid.cell_of(path) == cell and grid.cell_of(path).similarity == path and grid.cell_of(path).scores is None
    path.parent.mkdir(parents=True)
    path.with_name("w600k_mbf.scores.parquet").touch()
    assert grid.cell_of(path).scores == path.with_name("w600k_mbf.scores.parquet")
    assert grid.cell("d", "v", "a", "b") < grid.cell("d", "w", "a", "b")


def test_benchmarks_of_frontals_and_of_enhancements_lie_apart() -> None:
    assert grid.benchmark_path("d", "mesh.none", "0000") == "logs/benchmarks/frontalize/d/mesh/0000.tsv"
    assert grid.benchmark_path("d", "mesh.sharp", "0001") == "logs/benchmarks/enhance/d/mesh.sharp/0001.tsv"


def test_the_files_of_the_grid(plan: Plan) -> None:
    files = plan.files
    assert files.images("synthetic") == both("images/synthetic")
    assert files.pose("synthetic", "mesh.none") == both("pose/synthetic/mesh.none")
    assert files.frontals("synthetic", "mesh") == both("frontals/synthetic/mesh")
    assert files.embeddings("synthetic", "mesh.none", "yunet", "edgeface_s") == both("embeddings/synthetic/mesh.none/yunet/edgeface_s")
    assert files.turned("synthetic", "pose_matched:mesh.none", "yunet", "edgeface_s") == both(
        "embeddings/synthetic/mesh.turned/yunet/edgeface_s"
    )
    assert files.turned("synthetic", "fuse_mean:mesh.none", "yunet", "edgeface_s") == []
    assert grid.images_path("d", "mesh.turned", "0000") == "results/turned/d/mesh/0000.parquet"
    made = files.made_images()
    assert made == plan.selection().images()[2:]
    assert files.quality_tables() == [f"results/quality/synthetic/{name}/scrfd_500m.parquet" for name in VARIANTS]
    assert files.distribution_tables() == [f"results/distribution/synthetic/{name}/scrfd_500m.parquet" for name in VARIANTS]
    assert files.timed_crops() == [
        *both("crops/synthetic/original/retinaface_mnet025"),
        *(path for name in VARIANTS[1:3] for d in GRID["detectors"] for path in both(f"crops/synthetic/{name}/{d}")),
    ], "the locator's, and those that mirror_ahead aligns in its own way"
    assert files.examples() == [
        *("results/GT/answers/synthetic", "results/angled/examples/answers/synthetic"),
        *(f"results/frontal/examples/answers/synthetic/{name}" for name in ("mirror_ahead", "mesh")),
    ]


def test_every_table_is_shown_in_the_report_or_kept_to_work_with(plan: Plan) -> None:
    files = plan.files
    assert files.paper_tables() == ["table1_net_gain", "table2_enhancement", "table3_backbones"]
    assert files.report_tables() == [*files.paper_tables(), "counts", "missing", "software", "published"]
    assert sorted([*files.report_tables(), *files.working_tables()]) == sorted(TABLES) == sorted(files.master_tables())
    assert len(files.working_tables()) == len(TABLES) - 7


def test_nothing_is_measured_where_no_measure_is_asked_for() -> None:
    bare = Plan({**GRID, "quality": {"measures": []}, "derived": []})
    assert bare.files.quality_tables() == bare.files.distribution_tables() == bare.learned_measures() == []
    assert ("detector", "scrfd_500m") in bare.cards.used() and ("quality", "brisque_live") not in bare.cards.used()
    no_sets = Plan({**GRID, "quality": {"measures": ["pixels"], "detector": "yunet"}})
    assert no_sets.files.distribution_tables() == [] and len(no_sets.files.quality_tables()) == 4
    assert set(no_sets.files.beyond_crops("synthetic", "mesh.none")) == {
        *("pose", "whole_images", "faces", "original_whole_images", "original_faces")
    } and not any(no_sets.files.beyond_crops("synthetic", "mesh.none").values())


def test_a_learned_gate_alone_looks_at_the_quality_of_the_photographs(plan: Plan) -> None:
    detector = plan.config.quality.detector
    learned = "gate_learned:mesh.none"
    assert plan.files.seen_by_gate("synthetic", learned) == [f"results/quality/synthetic/original/{detector}.parquet"]
    assert plan.files.seen_by_gate("synthetic", "gate@30:mesh.none") == plan.files.seen_by_gate("synthetic", "mesh.none") == []
    assert Plan({**GRID, "quality": {"measures": []}}).files.seen_by_gate("synthetic", learned) == []


def receipts(*names: str) -> list[str]:
    return [f"results/weights/{name}.json" for name in names]


def test_jobs_wait_for_the_receipts_of_the_cards_that_they_use_and_of_no_others(plan: Plan) -> None:
    cards = plan.cards
    assert cards.receipts() == receipts(
        *("backbone/edgeface_s", "backbone/w600k_mbf", "detector/retinaface_mnet025", "detector/scrfd_500m", "detector/yunet"),
        *("enhancement/omit_bg", "feature/feature_w600k_mbf", "frontalizer/mesh", "frontalizer/mirror_ahead"),
        *("landmarks/face_landmarker", "pose/tddfa_pose", "quality/brisque_live", "quality/inception_2015"),
    )
    assert cards.receipt("enhancement", "sharp+omit_bg") == receipts("enhancement/omit_bg")
    assert cards.receipt("enhancement", "sharp") == [] and cards.receipt("frontalizer", "mesh") == receipts("frontalizer/mesh")
    assert cards.quality_receipts("original") == receipts("quality/brisque_live"), "an expression is compared with the original's"
    assert cards.quality_receipts("mesh.none") == receipts("quality/brisque_live", "landmarks/face_landmarker")
    assert cards.features("feature_frontal:mesh.none", "w600k_mbf") == ["feature_w600k_mbf"]
    assert cards.features("feature_frontal:mesh.none", "edgeface_s") == cards.features("fuse_mean:mesh.none", "w600k_mbf") == []
    assert cards.aligning("mirror_ahead.sharp") == (("frontalizer", "mirror_ahead"),)
    assert cards.aligning("mesh.none") == cards.aligning("original") == ()
    assert (
        cards.alignment_receipts("mirror_ahead.none") == receipts("frontalizer/mirror_ahead")
        and cards.alignment_receipts("mesh.none") == []
    )
    assert [cards.upright(name) for name in ("mesh.none", "mirror_ahead.sharp+omit_bg", "mesh.turned", "original")] == [
        True,
        True,
        True,
        False,
    ]
    assert cards.turns("mesh") and not cards.turns("mirror_ahead") and cards.turned_by("mesh") == ""


def test_frontalizers_that_are_run_elsewhere_or_outside_are_told_from_the_others(plan: Plan) -> None:
    outside = Plan({**GRID, "frontalizers": [{"name": "tddfa_external", "enhancements": ["none"]}], "derived": []})
    assert (outside.cards.external(), outside.cards.external_pattern()) == (["tddfa_external"], "tddfa_external")
    assert (plan.cards.external(), plan.cards.external_pattern()) == ([], "(?!)")
    assert (outside.cards.elsewhere(), outside.cards.elsewhere_pattern()) == ([], "(?!)")
    assert not outside.cards.upright("tddfa_external.none"), "a foreign system may have drawn a photograph that lies the wrong way round"
    assert outside.cards.receipt("frontalizer", "tddfa_external") == receipts("frontalizer/tddfa_external")


def test_a_conda_environment_is_named_only_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Plan({**GRID, "frontalizers": [{"name": "tddfa_external", "enhancements": ["none"]}], "derived": []})
    monkeypatch.setattr("frontalbench.weights.foreign.environment_folder", lambda settings: tmp_path)
    assert outside.cards.conda_environment("tddfa_external") is None
    (tmp_path / "conda-meta").mkdir()
    assert outside.cards.conda_environment("tddfa_external") == str(tmp_path)


def test_a_job_asks_for_minutes_by_its_images_and_by_the_angles_that_it_turns_to(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = plan.sources.survey("synthetic").counts
    assert sum(counts.values()) == 200 and set(counts) == set(SHARDS)
    rate = plan.cards.card("frontalizer", "mesh").resources.minutes_per_1000
    assert plan.resources.mem_mb("mesh") == plan.cards.card("frontalizer", "mesh").resources.mem_mb > 0 == plan.resources.gpus("mesh")
    images = counts["0000"]
    assert plan.resources.minutes("mesh", "synthetic", "0000") == 15 + -(-images * rate // 1000)
    bins = len(plan.datasets["synthetic"].yaw_bins) - 1
    assert plan.resources.minutes("mesh", "synthetic", "0000", turning=True) == 15 + -(-images * (bins - 1) * rate // 1000)

    def unseen(dataset: str) -> Any:
        raise BadInput(f"{dataset}: not here")

    monkeypatch.setattr(plan.sources, "survey", unseen)
    assert plan.resources.minutes("mesh", "synthetic", "0000") == 15 + -(-2 * PER_SHARD * rate // 1000), "a full shard, and once more"


def test_options_roles_and_bins_of_a_dataset_go_to_a_command_line() -> None:
    asked = {"name": "synthetic", "shards": 2, "limit": 3}
    plan = Plan({**GRID, "datasets": [asked, {"name": "lfw", "shards": 1}]})
    assert json.loads(plan.sources.options("synthetic")) == {"shards": 2, "limit": 3}
    assert plan.sources.yaw_edges("synthetic") == "0 15 30 45 60 75 90"
    assert json.loads(plan.sources.roles("lfw")) == dict(plan.datasets["lfw"].roles) != {}
    first, second = (plan.sources.members("synthetic", shard) for shard in SHARDS)
    assert first != second and len(first) >= 16
    with pytest.raises(BadInput, match="lfw"):
        Plan({**GRID, "datasets": [{"name": "lfw", "root": "/nowhere/at/all"}]}).sources.check()


@pytest.mark.slow
def test_what_a_job_reruns_for(plan: Plan) -> None:
    reruns = plan.reruns
    assert reruns.digest("enhancement", "sharp+omit_bg") == "+".join(
        plan.cards.card("enhancement", name).digest()[:16] for name in ("sharp", "omit_bg")
    )
    code = reruns.code("frontalize", "frontalize.py", ("frontalizer", "mesh"))
    assert code == reruns.code("frontalize", "frontalize.py", ("frontalizer", "mesh"))
    assert code != reruns.code("frontalize", "frontalize.py", ("frontalizer", "mirror_ahead"))
    assert code != reruns.code("frontalize", "frontalize.py", ("frontalizer", "mesh"), schema="frontals"), "the columns count"
    chain = reruns.code("enhance", "enhance.py", ("enhancement", "sharp+omit_bg"))
    assert chain != reruns.code("enhance", "enhance.py", ("enhancement", "sharp"))
    script = Path("workflow", "scripts", "build_site.py")
    assert reruns.summary_code(script.name) == fingerprint.code_fingerprint(fingerprint.imports(script), script) != ""
    assert [text.partition(":")[0] for text in reruns.quality_meaning()] == ["pixels", "no_reference", "pose", "expression"]
    assert [text.partition(":")[0] for text in reruns.quality_meaning(of_sets=True)] == ["distribution"]
    assert reruns.quality_meaning()[1].endswith(reruns.digest("quality", "brisque_live"))
    assert reruns.looks() == {"mesh": ["", ""], "mirror_ahead": ["", "mirrored"]}


@pytest.mark.parametrize(("key", "value", "changes"), [("title", "another", (False, True)), ("trained_with", ["x"], (True, True))])
def test_a_word_on_a_card_reruns_the_summaries_that_show_it(key: str, value: Any, changes: tuple[bool, bool]) -> None:
    first, second = Plan(GRID), Plan(GRID)
    before = (first.reruns.facts(), first.reruns.card_texts())
    assert before == (second.reruns.facts(), second.reruns.card_texts()) and [len(text) for text in before] == [16, 16]
    card = second.cards.card("backbone", "edgeface_s")
    changed = replace(card, data={**card.data, key: value}, **({key: tuple(value)} if key == "trained_with" else {}))
    find = second.cards.card
    second.cards.card = lambda kind, name: changed if name == "edgeface_s" else find(kind, name)  # type: ignore[method-assign]
    after = (second.reruns.facts(), second.reruns.card_texts())
    assert tuple(one != other for one, other in zip(before, after, strict=True)) == changes


def test_the_folder_of_a_dataset_reruns_nothing(tmp_path: Path) -> None:
    here, there = (Plan({**GRID, "datasets": [{"name": "folder", "root": str(tmp_path / name)}], "derived": []}) for name in "ab")
    assert here.reruns.card_texts() == there.reruns.card_texts() and here.reruns.facts() == there.reruns.facts()


def test_pairs_of_a_command_line_are_a_configuration_or_are_refused() -> None:
    from frontalbench.errors import BadConfig

    assert read_pairs(["name=x", "examples = 3", "derived=[a, b]", "note=a=b"]) == {
        **{"name": "x", "examples": 3, "derived": ["a", "b"], "note": "a=b"},
    }
    for wrong in ("name", "=x", " =x"):
        with pytest.raises(BadConfig, match="should be KEY=VALUE"):
            read_pairs([wrong])


def test_the_working_folder_s_own_configuration_goes_before_the_one_beside_the_snakefile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, here = tmp_path / "base", tmp_path / "here"
    for folder in (base, here):
        (folder / "config").mkdir(parents=True)
    (base / "config" / "config.yaml").write_text("name: base\n", encoding="utf-8")
    monkeypatch.chdir(here)
    assert checked_configuration(base) == str(base / "config" / "config.yaml")
    (here / "config" / "config.yaml").write_text("name: here\n", encoding="utf-8")
    assert checked_configuration(base) == "config/config.yaml"


def test_one_target_of_the_whole_grid_among_others_asks_for_every_dataset() -> None:
    assert asks_for_everything(["results/master/x/master.parquet", "site"]) and asks_for_everything([])
    assert not asks_for_everything(["fetch_datasets"]) and not asks_for_everything(["all", "--unlock"])
