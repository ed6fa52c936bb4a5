"""OFIQ's columns, against a stand-in that speaks the interface of python-ofiq 0.3.1 (``OFIQ(config_dir).vector_quality(rgb, include_raw=True)``)."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, tables
from frontalbench.catalogue import cards, families
from frontalbench.errors import BadInput, EnvironmentMissing
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.plan.plan import Plan
from frontalbench.quality import measures, ofiq
from frontalbench.tabulate import quality
from frontalbench.tabulate.dataset import TableSettings
from frontalbench.tabulate.facts import Facts
from tests.unit.test_plan_answers import GRID

STAND_IN = '''
"""Speaks as python-ofiq 0.3.1 does: names, arguments, errors. Its numbers follow from the image's mean."""
import os

class OFIQError(Exception): ...
class ConfigError(OFIQError): ...
class QualityError(OFIQError): ...
class FaceDetectionError(QualityError): ...

def resolve_data_dir():
    return os.path.expanduser(os.environ.get("OFIQ_DATA_DIR", "~/.ofiq/data"))

class OFIQ:
    def __init__(self, config_dir="", config_file="ofiq_config.jaxn"):
        if "broken" in config_dir:
            raise ConfigError("Initialization failed: no model 'x'")

    def vector_quality(self, image_rgb, include_raw=False):
        assert image_rgb.dtype.name == "uint8" and image_rgb.ndim == 3 and image_rgb.flags.c_contiguous and include_raw
        if not image_rgb.any():
            raise FaceDetectionError("no face")
        if image_rgb.min() == 255:
            return {"Other": None}
        mean = float(image_rgb.mean())
        pose = {"HeadPoseYaw": -30.0, "HeadPosePitch": 0.0, "HeadPoseRoll": 0.0}
        found = {name: {"scalar": 75.0, "raw": angle} for name, angle in pose.items()}
        return {**found, "UnifiedQualityScore": {"scalar": mean, "raw": 1.0}, "Sharpness": None,
                "IlluminationUniformity": {"scalar": 60.0, "raw": 0.5}, "ExpressionNeutrality": {"scalar": -1.0, "raw": 0.0}}
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in on the path, with a data folder that looks whole; the folder of the package."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "ofiq.py").write_text(STAND_IN)
    (tmp_path / "data" / "models").mkdir(parents=True)
    (tmp_path / "data" / "ofiq_config.jaxn").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path / "package"))
    monkeypatch.delitem(sys.modules, "ofiq", raising=False)
    monkeypatch.setenv("OFIQ_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "package"


def test_its_angles_come_into_our_convention() -> None:
    """Forward as OFIQ's HeadPose does it: out of 3DDFA_V2's matrix, whose y goes up."""
    axes = np.array([1.0, -1.0, -1.0])
    for ours in np.random.default_rng(0).uniform(-70, 70, size=(20, 3)):
        f = matrix_from_angles(*ours) * axes[:, None] * axes
        yaw = math.asin(f[0, 2])
        pitch, roll = -math.atan2(f[1, 2], f[2, 2]), -math.atan2(f[0, 1], f[0, 0])
        assert ofiq.in_our_convention(*map(math.degrees, (yaw, pitch, roll))) == pytest.approx(ours, abs=1e-9)
    assert ofiq.in_our_convention(-30.0, 0.0, 0.0) == pytest.approx((30.0, 0.0, 0.0), abs=1e-9)


def test_an_image_s_components_fill_the_columns_and_what_was_not_assessed_is_empty(package: Path) -> None:
    model = families.load(cards.find("quality", "ofiq"))
    found = dict(zip(measures.BY_WORD["ofiq"].stored(), model.image(np.full((20, 30, 3), 80, np.uint8)[:, ::-1]), strict=True))
    assert found == pytest.approx(
        {"ofiq_yaw": 30.0, "ofiq_pitch": 0.0, "ofiq_roll": 0.0, "ofiq_unified": 80.0}
        | {"ofiq_sharpness": math.nan, "ofiq_illumination": 60.0, "ofiq_expression": math.nan},
        nan_ok=True,
        abs=1e-9,
    )
    assert np.isnan(model.image(np.zeros((20, 30, 3), np.uint8))).all(), "it found no face"
    with pytest.raises(BadInput, match=r"OFIQ gave Other; expected components like UnifiedQualityScore: use python-ofiq 0\.3\.1"):
        model.image(np.full((20, 30, 3), 255, np.uint8))


def test_without_the_package_or_its_models_one_line_says_what_to_install(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, bring = cards.find("quality", "ofiq"), r"pip install python-ofiq==0\.3\.1, then python-ofiq setup"
    monkeypatch.setenv("OFIQ_DATA_DIR", str(package / "broken"))
    with pytest.raises(EnvironmentMissing, match=rf"quality ofiq: no OFIQ models in .*broken.*; {bring}"):
        families.load(card)
    (package / "broken" / "models").mkdir(parents=True)
    (package / "broken" / "ofiq_config.jaxn").write_text("")
    with pytest.raises(EnvironmentMissing, match=rf"OFIQ does not start with .*: Initialization failed: no model 'x'; {bring}"):
        families.load(card)
    monkeypatch.setitem(sys.modules, "ofiq", None)
    with pytest.raises(EnvironmentMissing, match=rf"quality ofiq: .*ofiq.*; {bring}"):
        families.load(card)


@pytest.mark.slow
def test_the_command_measures_whole_images_and_the_summary_shows_its_pose_beside_ours(
    package: Path, tmp_path: Path, project_root: Path
) -> None:
    roles = {"a/gt": "reference", "a/gt2": "reference", "a/p": "probe", "b/gt": "reference", "b/p": "probe", "c/x": "unused"}
    heads = [{"image_id": name, "identity": name[0], "role": role} for name, role in roles.items()]
    listed = [{**head, "subject": head["identity"], "sha256": head["image_id"], "status": "ok", "detail": ""} for head in heads]
    tables.write(tmp_path / "images.parquet", tables.from_rows(listed, tables.IMAGES))
    rng = np.random.default_rng(0)
    crops = [
        {**head, "status": "ok", "detail": "", "image": images.encode_png(rng.integers(0, 255, (112, 112, 3), np.uint8))} for head in heads
    ]
    tables.write(tmp_path / "crops.parquet", tables.from_rows(crops, tables.CROPS))
    grey = {"a/gt": 50, "a/gt2": 60, "a/p": 90, "b/gt": 70, "b/p": 0, "c/x": 10}
    shown = [{**row, "image": images.encode_png(np.full((40, 30, 3), grey[row["image_id"]], np.uint8))} for row in listed]
    tables.write(tmp_path / "whole.parquet", tables.from_rows(shown, tables.IMAGES))
    pose = [{**head, "status": "ok", "detail": "", "yaw": 28.0, "pitch": 1.0, "roll": 0.0, "confidence": 1.0} for head in heads]
    tables.write(tmp_path / "pose.parquet", tables.from_rows(pose, tables.POSE))
    out = tmp_path / "quality/toy/original/scrfd_500m.parquet"
    command = [sys.executable, project_root / "workflow/scripts/measure_quality.py", "--images", tmp_path / "images.parquet"]
    command += [
        "--variant",
        "original",
        "--measure",
        "ofiq",
        "--crops",
        tmp_path / "crops.parquet",
        "--original-crops",
        tmp_path / "crops.parquet",
    ]
    command += ["--pose", tmp_path / "pose.parquet", "--out", out]

    def run(*more: object, package: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])}
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, env=environment)

    refused = run(package=str(package))
    assert refused.returncode == 2 and "--measure ofiq: it looks at whole images, give --whole-images" in refused.stderr
    assert run("--whole-images", tmp_path / "whole.parquet", package="").returncode == 0
    note = next(row["note"] for row in quality.quality_rows([out], Facts(), TableSettings()) if row["measure"] == "ofiq_unified")
    assert note == "what it runs in is not here: pip install python-ofiq==0.3.1, then python-ofiq setup"

    done = run("--whole-images", tmp_path / "whole.parquet", package=str(package))
    assert done.returncode == 0, done.stderr
    rows = {row["image_id"]: row for row in tables.read(out, tables.QUALITY).to_pylist()}
    assert [rows[name]["ofiq_unified"] for name in ("a/gt", "a/p", "b/p", "c/x")] == [50.0, 90.0, None, None]
    assert rows["a/p"]["ofiq_yaw"] == pytest.approx(30.0, abs=1e-4) and rows["a/p"]["yaw"] == 28.0
    found = {(row["role"], row["measure"]): row for row in quality.quality_rows([out], Facts(), TableSettings())}
    assert found["probe", "ofiq_abs_yaw"]["mean"] == pytest.approx(30.0, abs=1e-4) and found["probe", "abs_yaw"]["mean"] == pytest.approx(
        28.0
    )
    assert (found["probe", "ofiq_unified"]["n_images"], found["probe", "ofiq_unified"]["n_eligible"]) == (1, 2)


def test_a_grid_that_asks_for_it_hands_over_the_images_of_the_photographs_too() -> None:
    plan = Plan({**GRID, "quality": {"measures": ["ofiq"]}})
    assert plan.files.beyond_crops("synthetic", "original")["whole_images"] == plan.files.images("synthetic")
    turned = plan.files.beyond_crops("synthetic", "mesh.none")
    assert turned["whole_images"] and not turned["faces"] and not turned["original_whole_images"] and plan.learned_measures() == ["ofiq"]
    both = Plan({**GRID, "quality": {"measures": ["ofiq", "expression"]}}).files.beyond_crops("synthetic", "mesh.none")
    assert all(both[name] for name in ("whole_images", "faces", "original_whole_images", "original_faces"))
