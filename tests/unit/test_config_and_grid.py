"""The configuration says what runs; typing errors are named with their place and what is allowed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.utils import update_config

from frontalbench.catalogue import cards, config, families, validation
from frontalbench.errors import BadConfig, FrontalbenchError
from frontalbench.plan import configuration, grid
from frontalbench.plan.plan import Plan
from frontalbench.quality import measures

SMALL: dict[str, Any] = {
    "datasets": ["synthetic", {"name": "lfw", "limit": 3}],
    "frontalizers": ["mesh", {"name": "mirror", "enhancements": ["none"]}],
    "enhancements": ["none", "sharp+omit_bg"],
    "detectors": ["scrfd_500m"],
    "backbones": ["w600k_mbf", "edgeface_s"],
    "derived": ["fuse_mean:mesh.none"],
    "if_npm": {"backbones": ["sface"]},
}


def test_the_grid_is_the_product_with_own_lists_and_derived_variants() -> None:
    chosen = config.parse(SMALL, npm=False)
    assert grid.variants(chosen) == ["original", "mesh.none", "mesh.sharp+omit_bg", "mirror.none"]
    cells = list(grid.cells(chosen))
    assert len(cells) == len(set(cells)) == 2 * 5 * 1 * 2
    assert str(cells[0].similarity) == "results/similarity/synthetic/original/scrfd_500m/w600k_mbf.parquet"


def test_npm_models_join_only_where_npm_is() -> None:
    assert config.parse(SMALL, npm=False).backbones == ("w600k_mbf", "edgeface_s")
    assert config.parse(SMALL, npm=True).backbones == ("w600k_mbf", "edgeface_s", "sface")


def test_defaults_come_from_the_schema_and_the_given_data_is_not_changed() -> None:
    given_data = dict(SMALL)
    chosen = config.parse(given_data, npm=False)
    assert (chosen.locator, chosen.face_policy, chosen.statistics.resamples) == ("scrfd_500m", "largest_central", 2000)
    assert given_data == SMALL


def test_a_working_folder_of_an_older_version_is_told_how_it_is_brought_up_to_date(
    project_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schemas = tmp_path / "config" / "schemas"
    schemas.mkdir(parents=True)
    schema = validation.read_yaml(project_root / "config" / "schemas" / "config.schema.yaml")
    del schema["properties"]["over_time"]
    (schemas / "config.schema.yaml").write_text(json.dumps(schema))
    monkeypatch.setattr(cards, "project_root", lambda: tmp_path)
    with pytest.raises(BadConfig, match=r"knows no 'over_time'.*another version.*frontalbench init .* --update"):
        config.parse(SMALL, npm=False)


def test_every_measure_of_quality_may_be_asked_for_and_an_unknown_one_names_them_all() -> None:
    words = list(measures.BY_WORD)
    assert config.parse({**SMALL, "quality": {"measures": words}}, npm=False).quality.measures == tuple(words)
    with pytest.raises(BadConfig, match=rf"quality.measures\[0\]: 'beauty' is not allowed; allowed: {', '.join(words)}"):
        config.parse({**SMALL, "quality": {"measures": ["beauty"]}}, npm=False)


def test_a_plan_hands_on_the_measures_that_were_asked_for_and_what_decides_their_values() -> None:
    plan = Plan({**SMALL, "derived": [], "if_npm": {}, "quality": {"measures": ["no_reference", "pixels", "distribution", "perceptual"]}})
    assert plan.learned_measures() == ["perceptual", "no_reference"]
    assert not any(plan.files.beyond_crops("synthetic", "original").values()), "neither pose nor expression was asked for"
    assert plan.cards.of_quality() == [("quality", "st_lpips_alex"), ("quality", "brisque_live")]
    assert plan.cards.of_quality(of_sets=True) == [("quality", "inception_2015")] and len(plan.files.distribution_tables()) == 8
    _, perceptual, no_reference = plan.reruns.quality_meaning()
    assert perceptual.startswith("perceptual: distance(quality/st_lpips_alex) -> st_lpips_alex, st_lpips_alex_face ")
    assert no_reference.endswith(plan.reruns.digest("quality", "brisque_live"))


def test_every_measure_stands_on_a_card_that_exists_and_no_column_stands_twice() -> None:
    for measure in measures.MEASURES:
        assert measure.columns and all(column.what for column in measure.columns.values()), measure.word
        assert not measure.method or measure.card, f"{measure.word}: whose {measure.method}?"
        if measure.card:
            card = cards.find(*measure.card)
            families.target(card.kind, card.family)
    names = [name for measure in measures.MEASURES for name in {*measure.stored(), *measure.columns}]
    assert len(names) == len(set(names)) and len(measures.BY_WORD) == len(measures.MEASURES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"detectorss": []}, ["detectorss", "did you mean", "detectors"]),
        ({"face_policy": "biggest"}, ["face_policy", "largest_central, largest"]),
        ({"datasets": []}, ["datasets"]),
        ({"statistics": {"resample": 5}}, ["statistics.resample", "resamples"]),
        ({"statistics": {"resamples": 999}}, ["statistics.resamples", "1000"]),
        ({"detectors": ["a", "a"]}, ["detectors", "twice"]),
        ({"enhancements": ["sharp omit"]}, ["enhancements[0]"]),
    ],
)
def test_what_is_wrong_is_named_in_one_line(change: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(BadConfig) as error:
        config.parse({**SMALL, **change}, npm=False, where="my.yaml")
    assert all(word in str(error.value) for word in [*words, "my.yaml"])
    assert "\n" not in str(error.value)


def test_every_path_fits_its_wildcards_and_only_them() -> None:
    variant, dataset, judged = (re.compile(grid.WILDCARDS[name]) for name in ("variant", "dataset", "judged"))
    for name in ("original", "mesh.none", "mesh.sharp+omit_bg", "liveportrait_raw.gfpgan_full"):
        assert variant.fullmatch(name)
        assert judged.fullmatch(name)
    assert judged.fullmatch("fuse_mean@0.3:mesh.none")
    for name in ("../etc", "a b", "mesh", "fuse_mean:mesh.none", "a/b.none", ""):
        assert not variant.fullmatch(name)
    assert not dataset.fullmatch("../x")
    assert grid.images_path("d", "mesh.none", "0000") == "results/frontals/d/mesh/0000.parquet"
    assert grid.images_path("d", "mesh.sharp", "0000") == "results/variants/d/mesh.sharp/0000.parquet"
    assert grid.images_path("d", "original", "0000") == "results/images/d/0000.parquet"


def merged(project_root: Path, name: str) -> dict[str, Any]:
    """A shipped configuration laid over config.yaml, as Snakemake does with ``--configfile``."""
    data = validation.read_yaml(project_root / "config" / "config.yaml")
    update_config(data, validation.read_yaml(project_root / "config" / name))
    return data


def shipped(project_root: Path, name: str, *, npm: bool = True) -> config.Config:
    return config.parse(merged(project_root, name), npm=npm, where=name)


SHIPPED = sorted(path.name for path in (Path(__file__).parents[2] / "config").glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_name_in_a_shipped_configuration_has_a_card(project_root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "npm")  # so that the part for machines with npm counts
    plan = Plan(merged(project_root, name), where=name)
    assert plan.config == shipped(project_root, name)
    assert len(plan.cells) == len(plan.datasets) * len({*plan.variants, *plan.config.derived}) * len(plan.config.detectors) * len(
        plan.config.backbones
    )
    assert all(Path(path).suffix for path in plan.cards.receipts())


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("kind", ["detectors", "backbones", "frontalizers", "datasets", "derived"])
def test_a_misspelt_name_in_a_shipped_configuration_is_refused(project_root: Path, name: str, kind: str) -> None:
    data = merged(project_root, name)
    wrong = "fuse_mean:mehs.none" if kind == "derived" else "mehs"
    with pytest.raises(BadConfig, match="mehs"):
        Plan({**data, kind: [*data.get(kind, []), wrong]}, where=name)


def test_the_demo_is_a_first_look_for_which_pip_is_enough_and_one_file_adds_the_rest(project_root: Path) -> None:
    first, full = shipped(project_root, "config.yaml"), shipped(project_root, "demo_full.yaml")
    assert {"mesh.none", "mesh.sharp", "tddfa.none", "identity.none", "mirror.none"} <= set(grid.variants(first))
    assert set(grid.variants(full)) - set(grid.variants(first)) == {"mesh.omit_bg", "mesh.upscale", "identity.sharp"}
    assert set(full.backbones) - set(first.backbones) == {"sface"}
    assert first == shipped(project_root, "config.yaml", npm=False)
    assert set(grid.cells(first)) < set(grid.cells(full)), "what the demo has made is taken over"
    assert full.datasets == first.datasets
    assert "mesh.upscale" not in grid.variants(shipped(project_root, "demo_full.yaml", npm=False))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from([*SMALL, "locator", "pose", "statistics", "examples", "nonsense"]), values, max_size=6))
def test_any_configuration_is_taken_or_refused_never_crashes(data: dict[str, Any]) -> None:
    try:
        config.parse({**SMALL, **data}, npm=False)
    except FrontalbenchError:
        return


def as_text(value: Any) -> Any:
    """Every scalar as text: what Snakemake makes of anything inside of ``--config KEY=[...]``."""
    if isinstance(value, dict):
        return {key: as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_text(inner) for inner in value]
    return value if isinstance(value, str) else json.dumps(value)


LOOKED_UP: dict[str, Any] = {
    **SMALL,
    "datasets": [
        {
            "name": "lfw",
            "limit": 3,
            "shards": 2,
            "yaw_bins": [0, 22.5, 90],
            "roles": {"references": 2, "max_angle": None, "cross_sequence": True},
            "select": {"per_bin": 4, "max_pitch": 20.5, "seed": 0},
            "root": "/data/7",
        }
    ],
    "statistics": {"resamples": 1200, "seed": 4},
    "examples": 5,
}


def test_numbers_truth_and_null_given_on_a_command_line_are_read_as_the_schema_wants_them() -> None:
    assert config.parse(as_text(LOOKED_UP), npm=False) == config.parse(LOOKED_UP, npm=False)
    options = dict(config.parse(as_text(LOOKED_UP), npm=False).datasets[0].options)
    assert options == {key: value for key, value in LOOKED_UP["datasets"][0].items() if key != "name"}


def test_text_that_is_wanted_as_text_stays_text() -> None:
    options = config.parse({**SMALL, "datasets": [{"name": "lfw", "root": "2024", "options": {"folders": ["1", "true"]}}]}, npm=False)
    assert options.datasets[0].options == {"root": "2024", "options": {"folders": ["1", "true"]}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"statistics": {"resamples": "many"}}, "statistics.resamples: 'many' is text; expected a whole number"),
        ({"statistics": {"resamples": "2.5"}}, "statistics.resamples: '2.5' is text; expected a whole number"),
        ({"statistics": {"resamples": 2000.0}}, "statistics.resamples: 2000.0 is a number; expected a whole number"),
        ({"examples": 3.0}, "examples: 3.0 is a number; expected a whole number"),
        ({3: ["w600k_mbf"]}, "3: unknown key"),
        ({"datasets": ["Mine"]}, "datasets[0]: 'Mine' does not fit; expected small letters, digits"),
        ({"datasets": [{"name": "Mine"}]}, "datasets[0].name: 'Mine' does not fit; expected small letters"),
        ({"backbones": ["AdaFace"]}, "backbones[0]: 'AdaFace' does not fit; expected small letters"),
    ],
)
def test_what_cannot_be_read_as_wanted_is_named_with_what_is(change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig) as error:
        config.parse({**SMALL, **change}, npm=False)
    assert words in str(error.value)


def _lists(*layers: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(backbones, enhancements of mesh) where the layers are laid over one another and npm is there."""
    chosen = config.parse(configuration.merged(layers), npm=True, layers=layers)
    return chosen.backbones, chosen.frontalizers[0].enhancements


BASE: dict[str, Any] = {**SMALL, "if_npm": {"backbones": ["sface"], "enhancements": ["upscale"]}}
JOINED = (("w600k_mbf", "edgeface_s", "sface"), ("none", "sharp+omit_bg", "upscale"))


def test_if_npm_widens_no_list_that_a_later_layer_sets() -> None:
    assert _lists(BASE) == JOINED
    assert _lists(BASE, {"backbones": ["edgeface_s"]}) == (("edgeface_s",), JOINED[1])
    assert _lists(BASE, {"enhancements": ["none"]}) == (JOINED[0], ("none",))
    assert _lists(BASE, {"backbones": ["edgeface_s"]}, {"enhancements": ["none"]}) == (("edgeface_s",), ("none",))
    own = {"frontalizers": [{"name": "mesh", "enhancements": ["none"]}]}
    assert _lists(BASE, own) == (JOINED[0], ("none",))


def test_an_empty_if_npm_switches_it_off_wherever_it_is_given() -> None:
    off = (("w600k_mbf", "edgeface_s"), ("none", "sharp+omit_bg"))
    assert _lists(BASE, {"if_npm": {}}) == off
    assert _lists(BASE, {"backbones": ["w600k_mbf", "edgeface_s"]}, {"if_npm": {}}) == off
    assert _lists({**BASE, "if_npm": {}}) == off


def test_an_if_npm_of_a_later_layer_joins_the_lists_beside_it() -> None:
    mine = {"backbones": ["edgeface_s"], "if_npm": {"backbones": ["sface"]}}
    assert _lists(BASE, mine) == (("edgeface_s", "sface"), ("none", "sharp+omit_bg"))
    assert _lists(BASE, mine, {"backbones": ["w600k_mbf"]}) == (("w600k_mbf",), ("none", "sharp+omit_bg"))


def test_a_plan_reads_the_layers_from_files_and_names_a_broken_one(tmp_path: Path) -> None:
    broken = tmp_path / "mine.yaml"
    broken.write_text("datasets: [a\nbackbones: []\n", encoding="utf-8")
    with pytest.raises(BadConfig, match=r"mine\.yaml: line 2, column 10"):
        configuration.configuration_layers([broken], {})
    with pytest.raises(BadConfig, match=r"nowhere\.yaml: No such file"):
        configuration.configuration_layers([tmp_path / "nowhere.yaml"], {})


@pytest.mark.parametrize(
    ("command", "everything"),
    [
        ([], True),
        (["--cores", "2", "--configfile", "mine.yaml"], True),
        (["-n", "--quiet", "rules"], True),
        (["site", "--cores", "2"], True),
        (["fetch_datasets", "--cores", "1"], False),
        (["clean_pictures"], False),
        (["--cores", "2", "train_refiner_tiny"], False),
        (["results/figures/lfw/failures.png"], False),
        (["--unlock"], False),
        (["--lint"], False),
    ],
)
def test_datasets_are_asked_for_where_the_whole_grid_runs(command: list[str], everything: bool) -> None:
    assert configuration.asks_for_everything(command) is everything


def test_a_dataset_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    plan = Plan({**SMALL, "datasets": [{"name": "folder", "root": str(tmp_path / "gone")}], "derived": [], "if_npm": {}})
    with pytest.raises(FrontalbenchError) as error:
        plan.sources.check()
    assert "gone: the folder of dataset folder is not there; put the images into" in str(error.value)
    assert "\n" not in str(error.value)


def test_jobs_run_by_the_interpreter_that_runs_snakemake_unless_an_environment_is_deployed(tmp_path: Path) -> None:
    assert configuration.script_command(tmp_path, deployed=False) == f"{shlex.quote(sys.executable)} {tmp_path}/workflow/scripts/"
    assert configuration.script_command(tmp_path / "a b", deployed=True) == f"python '{tmp_path}/a b/workflow/scripts/'"
    assert configuration.script_command(tmp_path / "{a}", deployed=True).count("{{a}}") == 1, "Snakemake fills in single braces"
