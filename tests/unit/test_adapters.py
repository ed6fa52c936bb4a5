"""Every shipped adapter against a stand-in of its system: the flags are the official ones, and what goes wrong becomes a row."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from PIL import Image

from frontalbench import status
from frontalbench.catalogue import cards, external
from frontalbench.detect.select import Face
from frontalbench.frontalize.base import Outcome, View
from frontalbench.frontalize.external import load
from tests.unit.adapterkit import ADAPTERS, PROGRAMS, ROOT, command_line, stand_in

OWN = ("tddfa", "molesq")
"""Adapters that really run here (tests/models/test_external.py)."""
NAMES = sorted(PROGRAMS)
BATCHED = ("cfr_gan", "goae", "hrn_full", "triplanenet")
"""One start of their program turns all images."""
CLIPS = {"aniportrait": 16, "xportrait": 16, "hunyuanportrait": 25, "fantasyportrait": 33, "hrn_full": 30}
SIZED = ("aniportrait", "xportrait", "hunyuanportrait", "headgan_official", "triplanenet", "goae", "cvthead_official")


@pytest.fixture(autouse=True)
def _own_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("FRONTALBENCH_ENVIRONMENTS", str(tmp_path / "environments"))


def views() -> list[View]:
    image = np.random.default_rng(0).integers(0, 256, (240, 200, 3), np.uint8)
    points = np.array([[70, 90], [130, 92], [98, 125], [76, 160], [122, 161]], np.float32)
    face = Face(np.array([50, 60, 150, 190], np.float32), 0.9, points, 1)
    return [View(image, face)] * 3


def turned(tmp_path: Path, name: str, mode: str, images: int = 3, **params: object) -> list[Outcome]:
    if name == "fsgan_official":  # nobody looks for faces in grey images
        params |= {"face": "none"}
    return load(stand_in(tmp_path, name, mode, **params)).frontalize(views()[:images])


def words(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_every_adapter_is_tried_and_every_one_has_a_card() -> None:
    """Those of enhancements: tests/unit/test_enhance_package.py."""
    named = {
        kind: {card.data["external"]["adapter"] for card in cards.all_cards(kind) if card.family == external.FAMILY}
        for kind in ("frontalizer", "enhancement")
    }
    assert named["frontalizer"] == {*NAMES, *OWN}
    assert {path.name for path in ADAPTERS.iterdir()} == named["frontalizer"] | named["enhancement"]


QUICK = ("goae", "headgan_official")
"""One of those that turn all images at once and one that is started for each: enough after every change."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES])
def test_a_stand_in_that_knows_only_the_official_flags_is_driven_to_the_end(tmp_path: Path, name: str) -> None:
    outcomes = turned(tmp_path, name, "ok", images=2)
    assert words(outcomes) == [status.OK] * 2, outcomes
    card = cards.find("frontalizer", name)
    assert card.contract is not None
    for one in outcomes:
        assert one.image is not None and one.seconds > 0
        if card.contract.size:
            assert one.image.shape == (card.contract.size, card.contract.size, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("mode", "says"), [("oom", "out of memory"), ("crash", "it broke"), ("partial", "")])
def test_an_image_that_fails_is_a_row_with_its_reason(tmp_path: Path, name: str, mode: str, says: str) -> None:
    outcomes = turned(tmp_path, name, mode)
    # A program that turns all images at once takes those after the bad one with it when it dies.
    rest = status.MODEL_ERROR if name in BATCHED and mode != "partial" else status.OK
    # CFR-GAN hands on what it has only when it has all.
    first = rest if name == "cfr_gan" else status.OK
    assert words(outcomes) == [first, status.MODEL_ERROR, rest], outcomes
    assert says in outcomes[1].detail and outcomes[1].detail


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in (*BATCHED, "qwen_edit")])
def test_an_image_that_takes_too_long_is_a_row(tmp_path: Path, name: str) -> None:
    outcomes = turned(tmp_path, name, "hang", seconds_per_picture=6, seconds_to_start=60)
    assert words(outcomes) == [status.OK, status.MODEL_ERROR, status.OK], outcomes
    assert outcomes[1].detail == "took more than 6 seconds"


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLIPS))
def test_a_clip_that_is_too_short_is_a_row(tmp_path: Path, name: str) -> None:
    outcomes = turned(tmp_path, name, "short")
    assert words(outcomes) == [status.OK, status.MODEL_ERROR, status.OK], outcomes
    assert outcomes[1].detail == f"clip too short: 3 frames, expected at least {CLIPS[name]}"


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZED)
def test_a_result_of_the_wrong_size_is_a_row(tmp_path: Path, name: str) -> None:
    outcomes = turned(tmp_path, name, "size")
    assert words(outcomes) == [status.OK, status.MODEL_ERROR, status.OK], outcomes
    assert outcomes[1].detail.startswith("wrong size: ")


@pytest.mark.parametrize("name", [*NAMES, *OWN])
def test_an_adapter_stands_alone_and_says_what_it_needs(name: str) -> None:
    folder = ADAPTERS / name
    tree = ast.parse((folder / "run.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert name == "tddfa" or not any(module.split(".")[0] == "frontalbench" for module in imported)
    environment = yaml.safe_load((folder / "environment.yaml").read_text(encoding="utf-8"))
    assert {"pip": ["-r requirements.txt"]} in environment["dependencies"]
    python = external.read(cards.find("frontalizer", "tddfa_external" if name == "tddfa" else name)).python()
    assert not python or f"python ={python}" in environment["dependencies"]
    assert (folder / "README.md").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_lists_every_flag_with_its_official_default(name: str) -> None:
    readme = (ADAPTERS / name / "README.md").read_text(encoding="utf-8")
    said = external.read(cards.find("frontalizer", name))
    for program, spec in command_line(name)["programs"].items():
        assert f"`{program}`" in readme and spec["read_at"] in readme
        for flag, how in spec["flags"].items():
            row = re.search(rf"^\| `{re.escape(flag)}` \| (.*) \|$", readme, re.MULTILINE)
            assert row is not None, flag
            if how.get("required"):
                assert row[1] == "required"
            elif not how.get("switch") and how["default"] not in (None, ""):
                assert row[1] == f"`{how['default']}`"
    for asset in said.assets:
        assert f"`{asset.file}`" in readme
    assert all(text in readme for text in (*said.accept, said.url, said.commit))


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_says_where_names_were_read_at_another_commit_than_is_fetched(name: str) -> None:
    card = cards.find("frontalizer", name)
    commit, spec = external.read(card).commit, command_line(name)
    pinned = [commit, *(value for key, value in card.params.get("options", {}).items() if key.endswith("_commit"))]
    read = [program["read_at"] for program in spec["programs"].values()] + ([spec["read_at"]] if "read_at" in spec else [])
    other = bool(commit) and any(not any(one[:8] in at for one in pinned) for at in read)
    assert (f"Fetched is `{commit[:8]}`; these names were read at another commit" in (ADAPTERS / name / "README.md").read_text()) == other


def test_the_flags_that_a_run_passes_are_all_official() -> None:
    """Also those on paths that a stand-in does not take: every text that looks like a flag."""
    for name in NAMES:
        known = {flag for spec in command_line(name)["programs"].values() for names in spec["flags"] for flag in names.split()}
        tree = ast.parse((ADAPTERS / name / "run.py").read_text(encoding="utf-8"))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        flags = {text for text in texts if re.fullmatch(r"--?[A-Za-z][A-Za-z_]*", text)}
        ffmpeg = {"-y", "-f", "-i", "-shortest"}
        assert flags - known - ffmpeg - {"-m", "-C"} == set(), name


def _crop(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"eg3d_crop_{name}", ADAPTERS / name / "eg3d_crop.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_frame_of_eg3d_is_the_same_wherever_it_is_used() -> None:
    found = {(ADAPTERS / name / "eg3d_crop.py").read_bytes() for name in ("triplanenet", "goae", "eg3d_projector", "cfr_gan")}
    assert len(found) == 1


def _seen(rotation: np.ndarray, scale: float = 100.0) -> np.ndarray:
    """The five points of EG3D seen by a camera: pixels, y down."""
    points = (_crop("goae").POINTS @ rotation.T)[:, :2] * scale
    return points * [1, -1] + [200, 220]


def test_a_face_from_the_front_has_the_front_camera_and_lies_where_eg3d_has_it() -> None:
    module = _crop("goae")
    points = _seen(np.eye(3))
    unit = 300 * 512 / 700
    for seen, place in zip(points, module.POINTS, strict=True):
        image = np.zeros((400, 400, 3), np.uint8)
        x, y = np.rint(seen).astype(int)
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
        square, label = module.crop(Image.fromarray(image), points)
        bright = np.argwhere(np.asarray(square.convert("L")) > 127)
        # To within the rounding of the blob to pixels of the photograph.
        assert (
            square.size == (512, 512)
            and np.abs(bright.mean(axis=0) - [256 - place[1] * unit, 256 + place[0] * unit]).max() < unit / 100 + 1
        )
        pose = np.array(label[:16]).reshape(4, 4)
        assert np.allclose(pose, [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2.7], [0, 0, 0, 1]], atol=1e-6)
        assert label[16:] == [4.2647, 0.0, 0.5, 0.0, 4.2647, 0.5, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("yaw", [-40.0, -15.0, 0.0, 25.0, 50.0])
@pytest.mark.parametrize("pitch", [-10.0, 0.0, 15.0])
def test_a_turned_face_has_the_camera_that_sees_it(yaw: float, pitch: float) -> None:
    y, p = np.radians([yaw, pitch])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    rotation = turn @ nod
    scale, _, found = _crop("goae").camera(_seen(rotation))
    assert np.allclose(found, rotation, atol=1e-6) and np.isclose(scale, 100.0)
    _, label = _crop("goae").crop(Image.new("RGB", (400, 400)), _seen(rotation))
    pose = np.array(label[:16]).reshape(4, 4)
    assert np.isclose(np.linalg.norm(pose[:3, 3]), 2.7) and np.isclose(np.linalg.det(pose[:3, :3]), 1.0)
    # It looks at the middle of the head.
    assert np.allclose(pose[:3, :3] @ [0, 0, 2.7], -pose[:3, 3])


def test_points_that_hold_no_pose_are_refused() -> None:
    with pytest.raises(ValueError, match="no pose"):
        _crop("goae").camera(np.full((5, 2), 10.0))


def test_a_restorer_at_another_commit_is_refused(tmp_path: Path) -> None:
    card = stand_in(tmp_path, "cfr_gan", "ok")
    assert "codeformer_commit" in card.params["options"]
    path = Path(os.environ["FRONTALBENCH_STORE"]) / "external" / "cfr_gan" / "CodeFormer"
    (path / "another.txt").write_text("x")
    words_ = ["git", "-C", str(path), "-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
    subprocess.run([*words_, "add", "."], check=True)
    subprocess.run([*words_, "commit", "-qm", "another"], check=True)
    outcomes = load(card).frontalize(views())
    assert words(outcomes) == [status.MODEL_ERROR] * 3 and "CodeFormer is at commit" in outcomes[0].detail


def test_the_environment_of_our_own_stranger_has_the_versions_of_this_release() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in (ADAPTERS / "tddfa" / "requirements.txt").read_text(encoding="utf-8").splitlines():
        assert line in pins, line
    assert "torch" not in (ADAPTERS / "tddfa" / "requirements.txt").read_text(encoding="utf-8")
