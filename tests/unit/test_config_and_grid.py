"""The configuration says what runs; typing errors are named with their place and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.utils import update_config

from frontalbench import config, grid, validation
from frontalbench.errors import BadConfig, FrontalbenchError

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
    assert cells[0].similarity == "results/similarity/synthetic/original/scrfd_500m/w600k_mbf.parquet"


def test_npm_models_join_only_where_npm_is() -> None:
    assert config.parse(SMALL, npm=False).backbones == ("w600k_mbf", "edgeface_s")
    assert config.parse(SMALL, npm=True).backbones == ("w600k_mbf", "edgeface_s", "sface")


def test_defaults_come_from_the_schema_and_the_given_data_is_not_changed() -> None:
    given_data = dict(SMALL)
    chosen = config.parse(given_data, npm=False)
    assert (chosen.locator, chosen.face_policy, chosen.statistics.resamples) == ("scrfd_500m", "largest_central", 2000)
    assert given_data == SMALL


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
    assert grid.pixels_of("fuse_mean:mesh.none") == "mesh.none"
    assert grid.pictures_path("d", "mesh.none", "0000") == "results/frontals/d/mesh/0000.parquet"
    assert grid.pictures_path("d", "mesh.sharp", "0000") == "results/variants/d/mesh.sharp/0000.parquet"
    assert grid.pictures_path("d", "original", "0000") == "results/images/d/0000.parquet"


def shipped(project_root: Path, name: str, *, npm: bool = True) -> config.Config:
    """A shipped configuration laid over config.yaml, as Snakemake does with ``--configfile``."""
    data = validation.read_yaml(project_root / "config" / "config.yaml")
    update_config(data, validation.read_yaml(project_root / "config" / name))
    return config.parse(data, npm=npm, where=name)


def test_the_shipped_configurations_are_valid(project_root: Path) -> None:
    for path in (project_root / "config").glob("*.yaml"):
        shipped(project_root, path.name)


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
