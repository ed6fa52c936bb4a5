"""Picture quality: the measures against independent implementations, the stage's rows, the summary's numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import polynomial_kernel

from frontalbench import cards, images, tables
from frontalbench.compare.bootstrap import mean_intervals
from frontalbench.detect import choose, load_detector
from frontalbench.errors import BadInput
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, align
from frontalbench.images import RGB
from frontalbench.quality import distribution, expression, pixels
from frontalbench.stages.quality import Shards, angle_from_front, judge_quality
from frontalbench.tabulate import quality
from frontalbench.tabulate.dataset import Settings
from frontalbench.tabulate.facts import Facts

DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


def crops() -> list[RGB]:
    """Aligned crops of two synthetic people: two references of the first, one probe of it, a reference of the second."""
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    found = []
    people = sorted(p for p in DEMO.iterdir() if p.is_dir())
    for path in (
        *sorted((people[0] / "GT").glob("*"))[:2],
        sorted((people[0] / "Angle").glob("*"))[0],
        sorted((people[1] / "GT").glob("*"))[0],
    ):
        picture = images.decode(path.read_bytes())
        face = choose(detector.detect(picture), picture.shape[:2])
        assert face is not None
        found.append(align(picture, face.points))
    return found


def ssim_by_hand(a: RGB, b: RGB) -> tuple[float, float]:
    """SSIM of the luminance (Wang et al. 2004, equation 13) with OpenCV's Gaussian filter: over the crop's inside, over the face mask."""
    x, y = (cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.float64) for i in (a, b))

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)

    mx, my = blur(x), blur(y)
    vx, vy, c = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    scores = (2 * mx * my + c1) * (2 * c + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(scores[5:-5, 5:-5].mean()), float(scores[pixels.face_mask(112)].mean())


def test_ssim_and_psnr_against_another_implementation() -> None:
    first, second, probe, stranger = crops()
    for a, b in ((first, second), (first, probe), (first, stranger)):
        got = pixels.likeness(a, b)
        assert (got.ssim, got.ssim_face) == pytest.approx(ssim_by_hand(a, b), abs=1e-6)
        error = (a.astype(np.float64) - b) ** 2
        assert got.psnr == pytest.approx(10 * np.log10(255**2 / error.mean()), abs=1e-9)
        assert got.psnr_face == pytest.approx(10 * np.log10(255**2 / error[pixels.face_mask(112)].mean()), abs=1e-9)
    same = pixels.likeness(first, first)
    assert same.ssim == pytest.approx(1.0) and np.isnan(same.psnr)
    assert pixels.likeness(first, second).ssim_face > pixels.likeness(first, stranger).ssim_face
    with pytest.raises(BadInput, match="different sizes"):
        pixels.likeness(first, first[:100])


def test_the_mask_is_the_face_of_the_template_and_blur_is_less_sharp() -> None:
    mask = pixels.face_mask(112)
    assert all(mask[round(y), round(x)] for x, y in ARCFACE_TEMPLATE)
    assert not mask[0].any() and not mask[:, 0].any() and 0.3 < mask.mean() < 0.5
    crop = crops()[0]
    assert pixels.sharpness(crop) > 2 * pixels.sharpness(cv2.GaussianBlur(crop, (5, 5), 1.0)) > 0


def fid_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as printed, with SciPy's matrix square root."""
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real))


@given(st.integers(0, 10_000))
def test_fid_and_mmd_against_scipy_and_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 9))
    a, b = rng.normal(size=(40, d)) @ rng.normal(size=(d, d)), rng.normal(0.3, 1.2, size=(50, d))
    assert distribution.fid(a, b) == pytest.approx(fid_by_hand(a, b), rel=1e-6, abs=1e-7)
    aa, bb, ab = (polynomial_kernel(x, y, degree=3, gamma=1 / d, coef0=1) for x, y in ((a, a), (b, b), (a, b)))
    np.fill_diagonal(aa, 0.0)
    np.fill_diagonal(bb, 0.0)
    expected = aa.sum() / (40 * 39) + bb.sum() / (50 * 49) - 2 * ab.mean()
    assert distribution.squared_mmd(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_distances_of_equal_and_of_shifted_features() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 6)), rng.normal(size=(400, 6))
    assert distribution.fid(a, a) == pytest.approx(0.0, abs=1e-9)
    assert distribution.fid(a + 2.0, a) == pytest.approx(24.0, rel=1e-9)
    near, far = distribution.kid(a, b), distribution.kid(a + 2.0, b)
    assert abs(near.value) < 3 * near.sd and far.value > 10 * far.sd and (far.n_first, far.n_second) == (400, 400)
    assert distribution.kid(a, b) == near, "the same seed, the same subsets"
    for bad in (a[:1], a[:, 0], np.full((3, 2), np.nan)):
        with pytest.raises(BadInput, match="first"):
            distribution.fid(bad, a)
    with pytest.raises(BadInput, match="different length"):
        distribution.kid(a, a[:, :3])


@pytest.mark.weights
def test_blendshapes_of_a_mirrored_face_change_sides() -> None:
    """Left and right shapes swap under a mirror; the same photograph has the same expression, another photograph another one."""
    reader = expression.Reader(cards.find("landmarks", "face_landmarker"))
    detector = load_detector(cards.find("detector", "scrfd_500m"))

    def read(picture: RGB) -> np.ndarray:
        face = choose(detector.detect(picture), picture.shape[:2])
        assert face is not None
        return reader.read(picture, face)

    people = sorted(p for p in DEMO.iterdir() if p.is_dir())
    first, other = (images.decode(sorted((p / "GT").glob("*"))[0].read_bytes()) for p in people[:2])
    code, mirrored, strange = read(first), read(np.ascontiguousarray(first[:, ::-1])), read(other)
    assert code.shape == (52,) and (code >= 0).all() and (code <= 1).all()
    # browDownLeft/Right, browOuterUp, cheekSquint, eyeBlink, ..., mouthSmile: pairs lie side by side in the network's order
    swapped = code.copy()
    for left in (1, 4, 7, 9, 11, 13, 15, 17, 19, 21, 28, 30, 34, 36, 44, 46, 48, 50):
        swapped[[left, left + 1]] = code[[left + 1, left]]
    swapped[[24, 26, 33, 39]] = code[[26, 24, 39, 33]]  # jawLeft and jawRight, mouthLeft and mouthRight
    assert expression.distance(code, code) == 0.0
    assert expression.distance(mirrored, swapped) < 0.7 * expression.distance(code, strange)


def test_the_angle_from_the_front() -> None:
    assert angle_from_front(0, 0, 0) == pytest.approx(0.0, abs=1e-6)
    for pose in ((30.0, 0.0, 0.0), (0.0, -30.0, 0.0), (0.0, 0.0, 30.0)):
        assert angle_from_front(*pose) == pytest.approx(30.0)
    assert 30.0 < angle_from_front(30.0, 20.0, 0.0) < 50.0


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quality of `original` and of a variant whose probe is the reference itself, of a person with two references, one probe, a failure."""
    root = tmp_path_factory.mktemp("quality")
    first, second, probe, stranger = crops()
    roles = {
        "a/gt1": "reference",
        "a/gt2": "reference",
        "a/p1": "probe",
        "a/p2": "probe",
        "b/gt1": "reference",
        "b/p1": "probe",
        "c/x": "unused",
    }
    pictures = {"a/gt1": first, "a/gt2": second, "a/p1": probe, "a/p2": probe, "b/gt1": stranger, "b/p1": first, "c/x": first}
    heads = {name: {"image_id": name, "identity": name[0], "role": role} for name, role in roles.items()}
    rows = [{**h, "subject": h["identity"], "sha256": name, "status": "ok", "detail": ""} for name, h in heads.items()]
    tables.write(root / "images.parquet", tables.from_rows(rows, tables.IMAGES))

    def write(variant: str, **changed: Any) -> Path:
        made = [{**h, "status": "ok", "detail": "", "image": images.encode_png(changed.get(n, pictures[n]))} for n, h in heads.items()]
        made[3].update(status="no_face", detail="no face above 0.5", image=None)
        tables.write(root / f"{variant}.parquet", tables.from_rows(made, tables.CROPS))
        return root / f"{variant}.parquet"

    original, mesh = write("original"), write("mesh", **{"a/p1": first, "b/p1": stranger})
    pose = root / "pose.parquet"
    angles = [{**h, "status": "ok", "detail": "", "yaw": -10.0, "pitch": 0.0, "roll": 0.0, "confidence": 1.0} for h in heads.values()]
    tables.write(pose, tables.from_rows(angles, tables.POSE))
    for variant, path in (("original", original), ("mesh.none", mesh)):
        shards = Shards([path], [pose] if variant != "original" else [])
        judge_quality([root / "images.parquet"], shards, Shards([original]), root / "quality/toy" / variant / "scrfd_500m.parquet")
    return root


def test_every_image_has_a_row_and_none_is_compared_with_itself(judged: Path) -> None:
    rows = {r["image_id"]: r for r in tables.read(judged / "quality/toy/original/scrfd_500m.parquet", tables.QUALITY).to_pylist()}
    assert len(rows) == 7
    assert {k: rows[k]["reference_id"] for k in ("a/gt1", "a/gt2", "a/p1", "b/p1")} == {
        "a/gt1": "a/gt2",
        "a/gt2": "a/gt1",
        "a/p1": "a/gt1",
        "b/p1": "b/gt1",
    }
    assert rows["a/p2"]["status"] == "no_face" and rows["a/p2"]["ssim"] is None
    assert rows["c/x"]["status"] == "not_used" and rows["b/gt1"]["ssim"] is None and "no other usable reference" in rows["b/gt1"]["detail"]
    turned = {r["image_id"]: r for r in tables.read(judged / "quality/toy/mesh.none/scrfd_500m.parquet", tables.QUALITY).to_pylist()}
    assert turned["a/p1"]["ssim"] == pytest.approx(1.0) and turned["a/p1"]["psnr"] is None, "the very picture of its reference"
    assert turned["a/p1"]["pose_error"] == pytest.approx(10.0, abs=1e-3) and rows["a/p1"]["pose_error"] is None


def test_the_summary_says_mean_interval_change_and_what_is_not_measured(judged: Path) -> None:
    paths = sorted((judged / "quality").rglob("*.parquet"))
    rows = quality.quality_rows(paths, Facts(synthetic=frozenset({"toy"})), Settings(resamples=200))
    found = {(r["variant"], r["role"], r["measure"]): r for r in rows}
    original = {r["image_id"]: r for r in tables.read(judged / "quality/toy/original/scrfd_500m.parquet").to_pylist()}
    before = [original[name]["ssim"] for name in ("a/p1", "b/p1")]
    row = found["mesh.none", "probe", "ssim"]
    assert (row["n_images"], row["n_subjects"], row["n_eligible"], row["n_fta"], row["n_common"]) == (2, 2, 3, 1, 2)
    assert row["mean"] == pytest.approx(1.0) and row["change"] == pytest.approx(1.0 - np.mean(before), abs=1e-6)
    low, high = mean_intervals(1.0 - np.array([before]).T, np.ones((2, 1)), resamples=200)
    assert (row["change_low"], row["change_high"]) == pytest.approx((low[0], high[0]), abs=1e-6)
    assert "synthetic people" in row["note"] and row["better"] == "higher"
    assert found["mesh.none", "probe", "abs_yaw"]["mean"] == pytest.approx(10.0)
    assert ("original", "probe", "abs_yaw") not in found, "not measured, so no row"
    assert found["original", "reference", "ssim"]["n_images"] == 2
    for name in quality.NOT_MEASURED:
        assert "mean" not in found["original", "probe", name] and found["original", "probe", name]["note"]
    with pytest.raises(BadInput, match="judge both again"):
        quality.quality_rows([p for p in paths if "original" not in str(p)], Facts(), Settings())
