"""Image quality: the measures against independent implementations, the stage's rows, the summary's numbers."""

from __future__ import annotations

import dataclasses
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d
from scipy.special import gamma
from sklearn.metrics.pairwise import polynomial_kernel

from frontalbench import images, tables
from frontalbench.catalogue import cards, families
from frontalbench.compare.jackknife import mean_intervals
from frontalbench.detect.select import Face
from frontalbench.errors import BadInput, WeightsMissing
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, align
from frontalbench.images import RGB
from frontalbench.networks import torchscript
from frontalbench.quality import brisque, distribution, expression, measures, pixels
from frontalbench.stages import distribution as stage
from frontalbench.stages.quality import Learned, Shards, angle_from_front, measure_quality
from frontalbench.tabulate import quality
from frontalbench.tabulate.dataset import TableSettings
from frontalbench.tabulate.facts import Facts
from frontalbench.weights import checksums

DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


SHOWN = {
    "synth_01/GT/synth_01_b.jpg": [[95.8, 119.1], [161.7, 121.3], [124.0, 159.5], [95.2, 186.4], [156.9, 188.4]],
    "synth_01/GT/synth_01_front.jpg": [[96.0, 119.1], [162.1, 120.6], [128.5, 159.1], [96.5, 187.8], [156.9, 189.1]],
    "synth_01/Angle/synth_01_l13.jpg": [[95.6, 118.7], [161.5, 120.4], [118.4, 157.5], [96.4, 188.0], [157.6, 189.5]],
    "synth_02/GT/synth_02_b.jpg": [[96.2, 119.6], [161.7, 121.2], [125.7, 158.8], [94.2, 182.0], [159.9, 183.7]],
}
"""Images and the five points that `scrfd_500m` finds in them, so that no detector is needed."""


def crops() -> list[RGB]:
    """Aligned crops of two synthetic people: two references of the first, one probe of it, a reference of the second."""
    return [align(images.decode((DEMO / name).read_bytes()), np.array(points, np.float32)) for name, points in SHOWN.items()]


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
    people = rng.integers(0, 5, size=90)
    assert distribution.kid(a, b, people[:40], people[40:], resamples=2).value == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_distances_of_equal_and_of_shifted_features() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(400, 6)), rng.normal(size=(400, 6))
    assert distribution.fid(a, a) == pytest.approx(0.0, abs=1e-9)
    assert distribution.fid(a + 2.0, a) == pytest.approx(24.0, rel=1e-9)
    people = np.arange(400) // 4
    near, far = distribution.kid(a, b, people, people), distribution.kid(a + 2.0, b, people, people)
    assert near.low < 0.0 < near.high and 0.0 < far.low < far.value < far.high
    assert distribution.kid(a, b, people, people) == near, "the same seed, the same draws"
    alone = distribution.kid(a, b, people, np.zeros(400, np.int64))
    assert alone.value == pytest.approx(near.value) and np.isnan(alone.low), "one person says nothing about people"
    for bad in (a[:1], a[:, 0], np.full((3, 2), np.nan)):
        with pytest.raises(BadInput, match="first"):
            distribution.fid(bad, a)
    with pytest.raises(BadInput, match="different length"):
        distribution.kid(a, a[:, :3], people, people)


def test_a_draw_of_people_is_counted_pair_by_pair() -> None:
    """The bootstrap's sums by person against loops over images: a person who was drawn twice is not compared with the own copy."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(7, 4)), rng.normal(size=(6, 4))
    p, q = np.array([0, 0, 1, 2, 2, 2, 1]), np.array([2, 1, 1, 0, 3, 3])
    drawn = np.array([2.0, 0.0, 1.0, 1.0])

    def mean(x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray, *, same: bool) -> float:
        sums = pairs = 0.0
        for i in range(len(x)):
            for j in range(len(y)):
                if not (same and i == j):
                    weight = drawn[u[i]] if u[i] == v[j] else drawn[u[i]] * drawn[v[j]]
                    sums, pairs = sums + weight * (x[i] @ y[j] / 4 + 1) ** 3, pairs + weight
        return sums / pairs

    expected = mean(a, a, p, p, same=True) + mean(b, b, q, q, same=True) - 2 * mean(a, b, p, q, same=False)
    counts = np.outer(np.bincount(p, minlength=4), np.bincount(q, minlength=4)).astype(np.float64)
    within = [distribution._within(x, code, 4) for x, code in ((a, p), (b, q))]
    got = distribution._mmd(drawn[None], within, (distribution._sums(a, b, p, q, 4), counts))
    assert got[0] == pytest.approx(expected, rel=1e-12)


def test_the_angle_from_the_front() -> None:
    assert angle_from_front(0, 0, 0) == pytest.approx(0.0, abs=1e-6)
    for pose in ((30.0, 0.0, 0.0), (0.0, -30.0, 0.0), (0.0, 0.0, 30.0)):
        assert angle_from_front(*pose) == pytest.approx(30.0)
    assert 30.0 < angle_from_front(30.0, 20.0, 0.0) < 50.0


@pytest.fixture(scope="module")
def assessed(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    pixels = {"a/gt1": first, "a/gt2": second, "a/p1": probe, "a/p2": probe, "b/gt1": stranger, "b/p1": first, "c/x": first}
    heads = {name: {"image_id": name, "identity": name[0], "role": role} for name, role in roles.items()}
    rows = [{**h, "subject": h["identity"], "sha256": name, "status": "ok", "detail": ""} for name, h in heads.items()]
    tables.write(root / "images.parquet", tables.from_rows(rows, tables.IMAGES))

    def write(variant: str, **changed: Any) -> Path:
        made = [{**h, "status": "ok", "detail": "", "image": images.encode_png(changed.get(n, pixels[n]))} for n, h in heads.items()]
        made[3].update(status="no_face", detail="no face above 0.5", image=None)
        tables.write(root / f"{variant}.parquet", tables.from_rows(made, tables.CROPS))
        return root / f"{variant}.parquet"

    original, mesh = write("original"), write("mesh", **{"a/p1": first, "b/p1": stranger})
    pose = root / "pose.parquet"
    angles = [{**h, "status": "ok", "detail": "", "yaw": -10.0, "pitch": 0.0, "roll": 0.0, "confidence": 1.0} for h in heads.values()]
    tables.write(pose, tables.from_rows(angles, tables.POSE))
    for variant, path in (("original", original), ("mesh.none", mesh)):
        shards = Shards([path], [pose] if variant != "original" else [])
        measure_quality([root / "images.parquet"], shards, Shards([original]), root / "quality/toy" / variant / "scrfd_500m.parquet")
    return root


def test_every_image_has_a_row_and_none_is_compared_with_itself(assessed: Path) -> None:
    rows = {r["image_id"]: r for r in tables.read(assessed / "quality/toy/original/scrfd_500m.parquet", tables.QUALITY).to_pylist()}
    assert len(rows) == 7
    assert {k: rows[k]["reference_id"] for k in ("a/gt1", "a/gt2", "a/p1", "b/p1")} == {
        "a/gt1": "a/gt2",
        "a/gt2": "a/gt1",
        "a/p1": "a/gt1",
        "b/p1": "b/gt1",
    }
    assert rows["a/p2"]["status"] == "no_face" and rows["a/p2"]["ssim"] is None
    assert rows["c/x"]["status"] == "not_used" and rows["b/gt1"]["ssim"] is None and "no other usable reference" in rows["b/gt1"]["detail"]
    turned = {r["image_id"]: r for r in tables.read(assessed / "quality/toy/mesh.none/scrfd_500m.parquet", tables.QUALITY).to_pylist()}
    assert turned["a/p1"]["ssim"] == pytest.approx(1.0) and turned["a/p1"]["psnr"] is None, "the very image of its reference"
    assert turned["a/p1"]["pose_error"] == pytest.approx(10.0, abs=1e-3) and rows["a/p1"]["pose_error"] is None


def test_the_summary_says_mean_interval_change_and_what_is_not_measured(assessed: Path) -> None:
    paths = sorted((assessed / "quality").rglob("*.parquet"))
    rows = quality.quality_rows(paths, Facts(synthetic=frozenset({"toy"})), TableSettings())
    found = {(r["variant"], r["role"], r["measure"]): r for r in rows}
    original = {r["image_id"]: r for r in tables.read(assessed / "quality/toy/original/scrfd_500m.parquet").to_pylist()}
    before = [original[name]["ssim"] for name in ("a/p1", "b/p1")]
    row = found["mesh.none", "probe", "ssim"]
    assert (row["n_images"], row["n_subjects"], row["n_eligible"], row["n_fta"], row["n_common"]) == (2, 2, 3, 1, 2)
    assert row["mean"] == pytest.approx(1.0) and row["change"] == pytest.approx(1.0 - np.mean(before), abs=1e-6)
    assert np.isnan([row["change_low"], row["change_high"], row["ci_low"], row["ci_high"]]).all(), "two people have no interval"
    assert row["mean_people"] == pytest.approx(1.0) and row["n_effective"] == 2.0 and "one person holds 50 % of the images" in row["note"]
    values, people = np.array([0.1, 0.3, 0.2, 0.5, 0.4, 0.6, 0.7, 0.2, np.nan]), np.array([*"abcdefghi"])
    low, high = mean_intervals(values[:8, None], np.ones((8, 1)))
    assert quality._interval(values, people, TableSettings()) == pytest.approx((low[0], high[0], 8))
    assert "synthetic people" in row["note"] and row["better"] == "higher"
    assert found["mesh.none", "probe", "abs_yaw"]["mean"] == pytest.approx(10.0)
    assert ("original", "probe", "abs_yaw") not in found, "not measured, so no row"
    assert found["original", "reference", "ssim"]["n_images"] == 2
    for name in quality.NOT_MEASURED:
        assert "mean" not in found["original", "probe", name] and found["original", "probe", name]["note"]
    with pytest.raises(BadInput, match="measure both again"):
        quality.quality_rows([p for p in paths if "original" not in str(p)], Facts(), TableSettings())
    reasons = {measure: found["original", "probe", measure]["note"] for measure in quality.ASKED}
    assert reasons["brisque"] == "not asked for: add no_reference to quality.measures in the configuration"


# Learned measures ----------------------------------------------------------------------------------------------------


class Difference:
    """Stands in for a learned distance and for scores."""

    def distance(self, crop: RGB, reference: RGB) -> tuple[float, float]:
        return float(np.abs(crop.astype(float) - reference).mean()), 0.5

    def score(self, crop: RGB) -> float:
        return float(crop.mean()) if crop[0, 0, 0] != 255 else float("nan")


def learned(**makers: Callable[[], Any]) -> dict[str, Learned]:
    """Measures as they are declared, with other models."""
    return {word: Learned(make, measures.BY_WORD[word].method, measures.BY_WORD[word].stored()) for word, make in makers.items()}


def test_learned_measures_fill_their_columns_and_missing_weights_say_so(assessed: Path, tmp_path: Path) -> None:
    def missing() -> Difference:
        raise WeightsMissing("quality ediffiqa_tiny: weight file x is missing")

    path = tmp_path / "quality/toy/original/scrfd_500m.parquet"
    shards = Shards([assessed / "original.parquet"])
    models = learned(perceptual=Difference, no_reference=Difference, face_quality=missing)
    measure_quality([assessed / "images.parquet"], shards, shards, path, models=models)
    rows = {r["image_id"]: r for r in tables.read(path, tables.QUALITY).to_pylist()}
    first, _, probe, stranger = crops()
    assert rows["a/p1"]["st_lpips_alex"] == pytest.approx(np.abs(probe.astype(float) - first).mean(), rel=1e-5)
    assert rows["a/p1"]["st_lpips_alex_face"] == 0.5 and rows["a/p1"]["brisque"] == pytest.approx(probe.mean(), rel=1e-5)
    assert rows["b/gt1"]["st_lpips_alex"] is None, "no other reference to compare with"
    assert rows["b/gt1"]["brisque"] == pytest.approx(stranger.mean(), rel=1e-5) and rows["a/p1"]["ediffiqa_tiny"] is None
    assert tables.provenance(path)["asked"] == ["face_quality", "no_reference", "perceptual"]
    turned = tmp_path / "mesh.parquet"
    measure_quality([assessed / "images.parquet"], Shards([assessed / "mesh.parquet"]), shards, turned, models=models)
    seen = {r["image_id"]: r["brisque"] for r in tables.read(turned, tables.QUALITY).to_pylist()}
    assert seen["a/p1"] is not None and seen["a/gt1"] is None, "of references, only the photographs themselves are measured by networks"
    found = {(r["measure"], r["role"]): r for r in quality.quality_rows([path], Facts(), TableSettings())}
    assert found["st_lpips_alex", "probe"]["better"] == found["brisque", "probe"]["better"] == "lower"
    assert "fetch_weights.py --card quality/ediffiqa_tiny" in found["ediffiqa_tiny", "probe"]["note"]
    assert found["ediffiqa_tiny", "probe"]["n_images"] == 0


def test_expressions_are_compared_with_the_photographs_where_both_can_be_read(assessed: Path, tmp_path: Path) -> None:
    """A reader that takes an image's brightness for an opened mouth, and cannot read one of them."""

    class Looks:
        def read(self, image: RGB, face: Face) -> expression.Look:
            if np.array_equal(image, stranger):
                raise ValueError("degenerate")
            points = np.random.default_rng(0).normal(0.0, 40.0, (68, 3))
            points[48:, 1] += image.mean()
            return expression.Look(np.full(52, image.mean() / 255.0), points)

    first, _, probe, stranger = crops()
    at = ARCFACE_TEMPLATE.ravel().tolist()
    shards = {}
    for variant in ("original", "mesh"):
        rows = tables.read(assessed / f"{variant}.parquet").to_pylist()
        found = [{**row, "score": 0.9, "n_faces": 1, "box": [0.0, 0.0, 112.0, 112.0], "points": at} for row in rows]
        faces = tmp_path / f"{variant}.parquet"
        tables.write(faces, tables.from_rows(found, tables.CROPS))
        shards[variant] = Shards([assessed / f"{variant}.parquet"], images=[assessed / f"{variant}.parquet"], faces=[faces])
    out = tmp_path / "quality.parquet"
    measure_quality([assessed / "images.parquet"], shards["mesh"], shards["original"], out, models=learned(expression=Looks))
    rows = {row["image_id"]: row for row in tables.read(out).to_pylist()}
    apart = abs(float(first.mean()) - float(probe.mean()))
    assert rows["a/p1"]["expression"] == pytest.approx(apart / 255.0) and rows["a/p1"]["expression_landmarks_turned"] > 0.0
    assert rows["a/p1"]["expression_landmarks"] == pytest.approx(rows["a/p1"]["expression_landmarks_turned"]), "nothing turned"
    assert rows["a/gt1"]["expression"] == rows["a/gt1"]["expression_landmarks"] == 0.0
    assert rows["b/p1"]["expression"] is None and rows["b/p1"]["expression_landmarks"] is None, "its frontal could not be read"


@pytest.mark.parametrize("given", [(0.5,), (0.5, 0.25, 0.125)], ids=["too few", "too many"])
def test_a_measure_that_gives_another_number_of_values_than_it_has_columns_fills_none(assessed: Path, tmp_path: Path, given: Any) -> None:
    class Other:
        def distance(self, crop: RGB, reference: RGB) -> Any:
            return given

    shards = Shards([assessed / "original.parquet"])
    with pytest.raises(ValueError, match="zip"):
        measure_quality([assessed / "images.parquet"], shards, shards, tmp_path / "out.parquet", models=learned(perceptual=Other))
    assert not (tmp_path / "out.parquet").exists()


def quality_network(path: Path) -> None:
    """A network with the interface of eDifFIQA: (1, 3, 112, 112) in, (1, 1) out; the mean of the red plane."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    red = np.zeros((1, 3, 1, 1), np.float32)
    red[0, 0] = 1.0
    nodes = [
        helper.make_node("Conv", ["input", "red"], ["plane"]),
        helper.make_node("GlobalAveragePool", ["plane"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["quality"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in (("input", [1, 3, 112, 112]), ("quality", [1, 1]))]
    graph = helper.make_graph(nodes, "fiqa", ends[:1], ends[1:], [numpy_helper.from_array(red, "red")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def test_face_quality_runs_as_soon_as_its_file_is_there(tmp_path: Path) -> None:
    quality_network(tmp_path / "fiqa.onnx")
    given = cards.find("quality", "ediffiqa_tiny")
    brought = dataclasses.replace(
        given,
        weights={
            "model": cards.WeightFile(
                "model", "fiqa.onnx", (tmp_path / "fiqa.onnx").stat().st_size, checksums.sha256(tmp_path / "fiqa.onnx"),
                (cards.FileSource(tmp_path / "fiqa.onnx"),),
            )
        },
    )  # fmt: skip
    crop = crops()[0]
    score = families.load(brought).score(crop)
    assert score == pytest.approx((crop[..., 0].astype(np.float64).mean() - 127.5) / 127.5, abs=1e-5), "RGB, (x - 127.5) / 127.5"
    with pytest.raises(BadInput, match="112 x 112"):
        families.load(brought).score(crop[:100])


# BRISQUE ----------------------------------------------------------------------------------------------------------------

"""Features that the authors' MATLAB code gave for two images, and below the scores that it gave (published with pybrisque 1.0)."""


def test_the_features_of_brisque_against_another_implementation() -> None:
    """By convolution with zeros beyond the border, torch's antialiased halving, and a search over all shapes."""
    grey = np.rint(crops()[2] @ np.array([0.2989, 0.5870, 0.1140]))
    window = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(window, window) / window.sum() ** 2
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))

    def nearest(ratio: float) -> float:
        return float(shapes[np.abs(ratios - ratio).argmin()])

    def of_scale(image: np.ndarray) -> list[float]:
        mean = convolve2d(image, window, "same")
        normal = (image - mean) / (np.sqrt(np.abs(convolve2d(image**2, window, "same") - mean**2)) + 1)
        out = [nearest(np.abs(normal).mean() ** 2 / (normal**2).mean()), (normal**2).mean()]
        for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
            x = normal * np.roll(np.roll(normal, down, 0), right, 1)
            left, right_ = (x[x < 0] ** 2).mean(), (x[x > 0] ** 2).mean()
            g = np.sqrt(left / right_)
            a = nearest(np.abs(x).mean() ** 2 / (x**2).mean() * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2)
            out += [a, (np.sqrt(right_) - np.sqrt(left)) * gamma(2 / a) / np.sqrt(gamma(1 / a) * gamma(3 / a)), left, right_]
        return out

    half = torch.nn.functional.interpolate(torch.from_numpy(grey)[None, None], size=(56, 56), mode="bicubic", antialias=True)
    expected = of_scale(grey) + of_scale(half[0, 0].numpy())
    assert brisque.features(grey) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "text", ["", "svm_type c_svc\nkernel_type rbf\nSV\n", "svm_type epsilon_svr\nkernel_type rbf\ntotal_sv 1\nSV\n1 99:1\n"]
)
def test_another_file_is_no_regression(text: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_text(text)
    with pytest.raises(BadInput, match="not the regression"):
        brisque.read_model(tmp_path / "model")


# FID and KID -------------------------------------------------------------------------------------------------------------


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Conv2d(2, 3, 3)
        self.steps: list[int] = [1, 2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)[:, :, :: self.steps[0]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The TorchScript type system")
def test_a_torchscript_archive_is_read_as_data(tmp_path: Path) -> None:
    network = Tiny()
    torch.jit.script(network).save(str(tmp_path / "tiny.pt"))
    found = torchscript.read_torchscript(tmp_path / "tiny.pt")
    assert found.keys() == network.state_dict().keys()
    for key, value in network.state_dict().items():
        assert torch.equal(found[key], value)


def test_what_an_archive_would_run_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path(tmp_path / "harm").touch, ()

    def archive(data: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "bad.pt", "w") as file:
            file.writestr("x/data.pkl", data)
        return tmp_path / "bad.pt"

    storage = b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x04\x00\x00\x00../0X\x03\x00\x00\x00cpuK\x01tQ."
    for data in (pickle.dumps(Harm()), storage, b"", b"\x80\x02cos\nsystem\n."):
        with pytest.raises(BadInput, match="read as data"):
            torchscript.read_torchscript(archive(data))
    assert not (tmp_path / "harm").exists()
    with pytest.raises(BadInput, match="no tensors"):
        torchscript.read_torchscript(archive(pickle.dumps({})))
    (tmp_path / "text.pt").write_text("no archive")
    with pytest.raises(BadInput, match="read as data"):
        torchscript.read_torchscript(tmp_path / "text.pt")


class Colours:
    """Stands in for the Inception: nine means of a crop."""

    def of(self, crops: np.ndarray) -> np.ndarray:
        return crops.reshape(len(crops), 112, 112, 3)[:, :96].reshape(len(crops), 3, 32, 112, 3).mean((2, 3)).reshape(len(crops), 9) / 255


@pytest.mark.parametrize("short", ["probes", "references"])
def test_fid_wants_as_many_crops_on_both_sides_as_its_features_have_numbers_and_kid_twenty(short: str) -> None:
    def rows(measure: str, least: int) -> list[dict[str, Any]]:
        made = []
        for count in (least - 1, least):
            sizes = (count, least + 1) if short == "probes" else (least + 1, count)
            a, b = (np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32) for n in sizes)
            people = [np.arange(n) % 10 for n in sizes]
            made.append(dict(stage._row(measure, a, people[0], b, people[1], resamples=2, seed=0)))
        return made

    for measure, least in (("fid", 2048), ("kid", 20)):
        few, enough = rows(measure, least)
        assert "value" not in few and f"fewer than {least:,} images" in few["detail"]
        assert np.isfinite(enough["value"]) and enough["detail"] == ""


def test_sets_of_crops_are_compared_with_their_counts(assessed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {"images_tables": [assessed / "images.parquet"], "original_crops": [assessed / "original.parquet"], "original_pose": []}

    def rows(variant: str, make: Any = Colours) -> dict[str, Any]:
        out = tmp_path / "distribution/toy" / variant / "scrfd_500m.parquet"
        crops_of = assessed / f"{variant.removesuffix('.none')}.parquet"
        stage.measure_distribution(crops=[crops_of], out=out, make=make, resamples=50, **paths)
        return {row["measure"]: row for row in tables.read(out, tables.DISTRIBUTION).to_pylist()}

    few = rows("original")
    assert all(row["value"] is None and "not supported by n" in row["detail"] for row in few.values())
    assert (few["kid"]["n_images"], few["kid"]["n_subjects"], few["kid"]["n_references"], few["kid"]["n_reference_subjects"]) == (
        2,
        2,
        3,
        2,
    )
    monkeypatch.setattr(stage, "FEWEST_FID", 2)
    monkeypatch.setattr(stage, "FEWEST_KID", 2)
    first, second, _, stranger = crops()
    a, b = Colours().of(np.stack([first, stranger])), Colours().of(np.stack([first, second, stranger]))  # probes of `mesh`, references
    found = rows("mesh.none")
    assert found["fid"]["value"] == pytest.approx(distribution.fid(a, b), abs=1e-6) and found["fid"]["low"] is None
    assert found["kid"]["value"] == pytest.approx(distribution.kid(a, b, np.array([0, 1]), np.array([0, 0, 1])).value, abs=1e-6)
    rows("original")
    of_sets = sorted((tmp_path / "distribution").rglob("*.parquet"))
    summary = quality.quality_rows(sorted((assessed / "quality").rglob("*.parquet")), Facts(), TableSettings(), of_sets)
    kid = next(r for r in summary if (r["variant"], r["measure"]) == ("mesh.none", "kid"))
    assert kid["mean"] == found["kid"]["value"] and (kid["n_images"], kid["n_references"], kid["better"]) == (2, 3, "lower")
    assert not any("not asked for" in r["note"] for r in summary if r["measure"] in ("fid", "kid"))

    def missing() -> Colours:
        raise WeightsMissing("quality inception_2015: gone")

    assert {row["status"] for row in rows("mesh.none", missing).values()} == {"weights_missing"}
