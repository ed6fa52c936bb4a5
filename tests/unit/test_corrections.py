"""The light corrections: colour, frame, border, blending, noise, blocks, background; each on its own and beside photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.detect.base import Detections
from frontalbench.enhance.background import OmitBackground
from frontalbench.enhance.base import Enhancement, apply, each_beside, looks_at_photographs
from frontalbench.enhance.blend import Blend
from frontalbench.enhance.border import Border, flat, smeared
from frontalbench.enhance.chain import Chain
from frontalbench.enhance.colour import Colour, matched, statistics
from frontalbench.enhance.deblock import Deblock, grid
from frontalbench.enhance.denoise import Denoise
from frontalbench.enhance.frame import Frame, moved, template
from frontalbench.enhance.keep import Keep
from frontalbench.enhance.unsharp import Unsharp
from frontalbench.errors import BadInput
from frontalbench.frontalize.base import Outcome
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE
from frontalbench.images import RGB
from frontalbench.plain import folders
from frontalbench.stages.enhance import enhance_shard

POINTS = ARCFACE_TEMPLATE * 0.8 + (30, 20)


class Eyes:
    """A detector that finds the marks that :func:`portrait` draws, none in an image without them."""

    name = "eyes"

    def detect(self, image: RGB) -> Detections:
        points = []
        for colour in MARKS:
            y, x = np.nonzero((np.abs(image.astype(int) - colour) <= 60).all(axis=-1))
            if not x.size:
                return Detections.none()
            points.append((x.mean(), y.mean()))
        array = np.array(points, np.float32)
        box = np.concatenate([array.min(axis=0) - 20, array.max(axis=0) + 20])
        return Detections(box[None], np.ones(1, np.float32), array[None])

    def glance(self, image: RGB, longest: int) -> Detections:
        return self.detect(image)


class Fixed:
    """A detector that knows where the face is."""

    name = "fixed"

    def detect(self, image: RGB) -> Detections:
        box = np.concatenate([POINTS.min(axis=0) - 20, POINTS.max(axis=0) + 20]).astype(np.float32)
        return Detections(box[None], np.ones(1, np.float32), POINTS[None].astype(np.float32))

    def glance(self, image: RGB, longest: int) -> Detections:
        return self.detect(image)


MARKS = ((0, 0, 255), (0, 255, 0), (255, 0, 255), (0, 255, 255), (255, 255, 0))


def portrait(
    points: np.ndarray = POINTS, size: tuple[int, int] = (140, 160), *, light: float = 1.0, seed: int = 0, marked: bool = True
) -> RGB:
    """Skin-coloured noise of ``size`` (width, height), ``marked`` where the points are."""
    random = np.random.default_rng(seed)
    skin = np.array([180, 130, 110]) + random.normal(0, 8, (size[1], size[0], 3))
    image = np.clip(light * cv2.GaussianBlur(skin, (0, 0), 1.0), 0, 255).astype(np.uint8)
    for point, colour in zip(points, MARKS if marked else (), strict=marked):
        cv2.circle(image, (round(float(point[0])), round(float(point[1]))), 3, colour, -1)
    return image


def all_of_them() -> list[Enhancement]:
    eyes = Eyes()
    return [
        Colour("color", eyes),
        Frame("frame", eyes, near=3.0),
        Border("border", colours=[(0, 0, 0)], smallest=0.002, largest=0.6, smear=12, radius=4),
        Blend("blend", eyes, AllSkin(), method="gradient"),
        Blend("blend_opencv", eyes, AllSkin(), method="opencv"),
        Denoise("denoise", method="nlmeans", strength=3, colour=3, reach=7),
        Denoise("bilateral", method="bilateral", strength=3, colour=0, reach=3),
        Deblock("deblock", step=14, visible=1.15),
        OmitBackground("bg_blur", Left(), fill="blurred", sigma=0.05, smallest=0.02),
        OmitBackground("bg_mean", Left(), fill="mean", smallest=0.02),
    ]


class AllSkin:
    """A parsing that sees skin everywhere; ``up_to`` columns of 16, and background beside them."""

    def __init__(self, up_to: int = 16) -> None:
        self.up_to = up_to

    def probabilities(self, image: RGB) -> np.ndarray:
        likely = np.zeros((16, 16, 19), np.float32)
        likely[:, : self.up_to, 1] = 1.0
        likely[:, self.up_to :, 0] = 1.0
        return likely


class Left:
    """The left half is person."""

    def matte(self, image: RGB) -> np.ndarray:
        matte = np.zeros(image.shape[:2], np.float32)
        matte[:, : image.shape[1] // 2] = 1.0
        return matte


ALL = [one.name for one in all_of_them()]


def named(name: str) -> Enhancement:
    return next(one for one in all_of_them() if one.name == name)


def run(enhancement: Enhancement, image: RGB, photograph: RGB | None = None) -> Outcome:
    [outcome] = apply(enhancement, [image], [photograph if photograph is not None else image])
    return outcome


# What holds for every one ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_correction_gives_bytes_of_the_image_s_size_and_leaves_its_input_alone(name: str) -> None:
    image, photograph = portrait(), portrait(POINTS + 3, light=0.8, seed=1)
    before = image.copy()
    outcome = run(named(name), image, photograph)
    assert outcome.status == status.OK, outcome.detail
    assert outcome.image is not None
    assert (outcome.image.dtype, outcome.image.shape) == (np.uint8, image.shape)
    assert np.array_equal(image, before)
    again = run(named(name), image, photograph)
    assert np.array_equal(outcome.image, again.image)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 9), (5, 4), (17, 16)])
def test_tiny_images_are_corrected_or_refused_with_a_reason_and_never_raise(name: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    outcome = run(named(name), image)
    assert (outcome.image is None) == (outcome.status != status.OK)
    if outcome.image is None:
        assert outcome.status in status.FAILURE_TO_ACQUIRE
        assert "Error" not in outcome.detail, outcome.detail


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_grey_image_stays_grey_or_has_no_face(name: str, level: int) -> None:
    image = np.full((40, 60, 3), level, np.uint8)
    outcome = run(named(name), image)
    if outcome.image is None:
        assert outcome.status == status.NO_FACE, outcome.detail
    else:
        assert np.abs(outcome.image.astype(int) - level).max() <= 1


def test_colours_that_were_matched_stay_as_they_are() -> None:
    image, photograph = portrait(marked=False), portrait(light=0.85, seed=2, marked=False)
    colour = Colour("color", Fixed())
    once = run(colour, image, photograph).image
    assert once is not None
    twice = run(colour, once, photograph).image
    assert twice is not None
    assert np.abs(twice.astype(int) - once).mean() < 0.05 * np.abs(once.astype(int) - image).mean()


def test_a_face_that_was_moved_into_its_place_stays_there() -> None:
    frame = Frame("frame", Eyes(), near=1.5)
    once = run(frame, portrait(template((300, 300), 0.55) * 1.04 + 4, (300, 300))).image
    assert once is not None
    assert run(frame, once).image is once


@pytest.mark.parametrize("name", ["border", "deblock", "bg_mean"])
def test_a_second_time_changes_next_to_nothing(name: str) -> None:
    image = portrait(POINTS * 1.1 + 4)
    image[:, :9] = 0
    photograph = portrait(POINTS, light=0.85, seed=2)
    once = run(named(name), image, photograph).image
    assert once is not None
    twice = run(named(name), once, photograph).image
    assert twice is not None
    change, first = (np.abs(a.astype(int) - b).mean() for a, b in ((twice, once), (once, image)))
    assert change <= max(0.3, 0.1 * first)


@pytest.mark.parametrize("name", ["color", "frame", "blend", "blend_opencv"])
def test_without_a_face_there_is_nothing_to_correct(name: str) -> None:
    blank = np.full((50, 50, 3), 90, np.uint8)
    assert run(named(name), blank, portrait()).status == status.NO_FACE


# Cards -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["border", "denoise", "deblock", "sharp"])
def test_cards_without_weights_load_and_run(name: str) -> None:
    from frontalbench.enhance import load_enhancement

    assert run(load_enhancement(name), portrait()).status == status.OK


def test_every_enhancement_of_a_photograph_says_so_and_a_chain_says_it_for_its_steps() -> None:
    colour, keep = named("color"), Keep()
    assert [looks_at_photographs(one) for one in (colour, keep, Chain([keep, colour]), Chain([keep, keep]))] == [True, False, True, False]


def test_border_colours_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    from dataclasses import replace

    from frontalbench.enhance import border
    from frontalbench.errors import BadConfig

    card = cards.find("enhancement", "border")
    for wrong in ([[0, 0]], "black", [[0, 0, 256]], [0, 0, 0], None):
        with pytest.raises(BadConfig, match=r"params\.colours should be a list of R, G, B"):
            border.load(replace(card, params={**card.params, "colours": wrong}))


# Colour ------------------------------------------------------------------------------------------------------------------------------------


def test_the_face_gets_mean_and_spread_of_the_photograph_s_skin() -> None:
    image, photograph = portrait(marked=False), portrait(light=0.8, seed=3, marked=False)
    wanted, before = statistics(photograph, POINTS), statistics(image, POINTS)
    outcome = run(Colour("color", Fixed(), most=10), image, photograph)
    assert outcome.image is not None
    after = statistics(outcome.image, POINTS)
    assert np.abs(after[0] - wanted[0]).max() < 0.3
    assert np.abs(after[1] - wanted[1]).max() < 0.3
    assert np.abs(before[0] - wanted[0]).max() > 8
    assert np.array_equal(outcome.image[:5], image[:5])  # above the face


@given(st.integers(0, 2**16), st.floats(0.5, 2.0), st.floats(-15, 15))
@settings(max_examples=15, deadline=None)
def test_matching_statistics_is_the_formula_of_reinhard(seed: int, factor: float, shift: float) -> None:
    from frontalbench.enhance.colour import lab

    pixels = np.random.default_rng(seed).integers(110, 140, (12, 12, 3), dtype=np.uint8)
    values = lab(pixels).reshape(-1, 3).astype(float)
    own = values.mean(axis=0), values.std(axis=0)
    wanted = own[0] + shift * np.array([1, 0.2, 0.2]), own[1] * factor
    made = matched(pixels, own, wanted, most=2.0)
    back = cv2.cvtColor(made / np.float32(255), cv2.COLOR_RGB2Lab).reshape(-1, 3)
    assert np.abs(back - ((values - own[0]) * factor + wanted[0])).max() < 0.5


def test_a_photograph_without_spread_or_with_far_more_changes_no_spread_beyond_the_limit() -> None:
    image = portrait()
    own = statistics(image, POINTS)
    made = matched(image, own, (own[0], own[1] * 100), most=1.5)
    again = statistics(np.clip(np.rint(made), 0, 255).astype(np.uint8), POINTS)
    assert (again[1] < 1.7 * own[1]).all()


def test_an_image_whose_photograph_cannot_be_read_is_an_error_of_that_image() -> None:
    good = portrait()
    outcomes = named("color").enhance_beside([good, good], [None, good])  # type: ignore[attr-defined]
    assert [one.status for one in outcomes] == [status.MODEL_ERROR, status.OK]
    assert "not at hand" in outcomes[0].detail


# Frame -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [-20, 0, 35])
def test_the_points_land_where_the_template_has_them(turn: float) -> None:
    angle = np.deg2rad(turn)
    matrix = 0.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (ARCFACE_TEMPLATE - 56) @ matrix.T + (75, 85)
    outcome = run(Frame("frame", Eyes(), share=0.6), portrait(points))
    assert outcome.image is not None
    [found] = Eyes().detect(outcome.image).points
    assert np.abs(found - template((140, 160), 0.6)).max() < 1.5


def test_a_face_that_is_in_place_is_not_resampled() -> None:
    image = portrait(template((140, 160), 0.7))
    assert run(Frame("frame", Eyes(), share=0.7, near=2.0), image).image is image


@pytest.mark.parametrize(
    "matrix",
    [
        [[0.9, 0.2, -8.0], [-0.2, 0.9, 15.0]],
        [[1.3, 0.0, 10.0], [0.0, 1.3, -60.0]],
        [[0.85, 0.0, 200.0], [0.0, 0.85, 0.0]],  # farther away than the image is wide
        [[3.0, 0.0, -100.0], [0.0, 3.0, -100.0]],  # nothing from beyond the border
        [[0.81, 0.0, 0.0], [0.0, 0.81, 0.0]],
    ],
)
def test_what_comes_in_from_beyond_the_border_is_mirrored_as_opencv_does_it(matrix: list[list[float]]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (160, 140, 3), dtype=np.uint8)
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0), np.uint8)
    plain = cv2.warpAffine(image, np.array(matrix), (140, 160), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    assert np.abs(moved(image, np.array(matrix)).astype(int) - plain).max() <= 1


# Blend -------------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gradient", "opencv"])
def test_a_seam_around_the_face_gets_weaker_and_nothing_outside_of_the_face_s_own_pixels_changes(method: str) -> None:
    plain = portrait(marked=False)
    y, x = np.mgrid[:160, :140]
    middle = POINTS.mean(axis=0)
    pasted = np.where((np.hypot((x - middle[0]) / 32, (y - middle[1]) / 41) < 1.0)[..., None], plain + np.uint8(35), plain)
    made = run(Blend("blend", Fixed(), AllSkin(), method=method, step=14), pasted).image
    assert made is not None
    before, after = (np.abs(one.astype(int) - plain).mean() for one in (pasted, made))
    assert after < 0.5 * before
    half = run(Blend("blend", Fixed(), AllSkin(8), method=method, step=14), pasted).image
    assert half is not None
    changed = np.nonzero((half != pasted).any(axis=(0, 2)))[0]
    assert changed.max() < 0.65 * 140 and changed.size


@pytest.mark.parametrize("method", ["gradient", "opencv"])
def test_a_face_with_no_skin_around_it_is_left_alone(method: str) -> None:
    image = portrait(marked=False)
    assert run(Blend("blend", Fixed(), AllSkin(0), method=method), image).image is image


# Border ------------------------------------------------------------------------------------------------------------------------------------


def warped_away(border: int, scale: int = 1) -> tuple[RGB, RGB]:
    """A smooth image, and the same shifted and turned with a border of the given kind."""
    y, x = np.mgrid[: 120 * scale, : 100 * scale].astype(np.float32) / scale
    image = np.stack([120 + 40 * np.sin(x / 20), 130 + 30 * np.cos(y / 25), 110 + 20 * np.sin((x + y) / 30)], axis=-1).astype(np.uint8)
    angle = 0.0 if border == cv2.BORDER_REPLICATE else 8.0
    matrix = cv2.getRotationMatrix2D((50 * scale, 60 * scale), angle, 1.0)
    matrix[:, 2] += (18 * scale, 0)
    return image, cv2.warpAffine(image, matrix, (100 * scale, 120 * scale), borderMode=border)


def test_a_black_border_of_a_warp_is_found_and_painted_with_its_surroundings() -> None:
    _, warped = warped_away(cv2.BORDER_CONSTANT)
    found = flat(warped, [(0, 0, 0)], smallest=0.002, largest=0.6)
    black = (warped == 0).all(axis=-1)
    assert black.mean() > 0.15
    assert (found & ~black).sum() == 0
    assert (black & ~found).mean() < 0.01
    outcome = run(named("border"), warped)
    assert outcome.image is not None
    assert (outcome.image.min(axis=-1) < 40).mean() < 0.001  # the tip of a wedge, thinner than a pixel
    far = cv2.dilate(black.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    assert np.array_equal(outcome.image[far], warped[far])


def test_an_edge_that_was_drawn_out_is_found_and_an_image_of_its_own_is_not() -> None:
    image, warped = warped_away(cv2.BORDER_REPLICATE)
    assert smeared(warped, 12)[:, :16].all()
    assert not smeared(warped, 12)[:, 24:].any()
    assert not smeared(image, 12).any()
    assert run(named("border"), image).image is image


def test_a_dark_patch_inside_of_the_image_and_a_background_that_fills_it_are_no_borders() -> None:
    image, _ = warped_away(cv2.BORDER_CONSTANT)
    image = image.copy()
    image[40:60, 40:60] = 0
    assert not flat(image, [(0, 0, 0)], smallest=0.002, largest=0.6).any()
    image[:] = 0
    image[50:70, 40:60] = 200
    assert not flat(image, [(0, 0, 0)], smallest=0.002, largest=0.6).any()


def test_a_large_image_s_border_is_painted_without_a_seam() -> None:
    _, large = warped_away(cv2.BORDER_CONSTANT, 5)
    outcome = run(named("border"), large)
    assert outcome.image is not None
    assert (outcome.image.min(axis=-1) < 40).mean() < 0.001
    assert np.abs(np.diff(outcome.image[300].astype(int), axis=0)).max() < 25


# Noise and blocks --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["denoise", "bilateral"])
def test_noise_goes_down_and_an_edge_stays(name: str) -> None:
    clean = np.full((64, 64, 3), 90, np.uint8)
    clean[:, 32:] = 170
    noisy = np.clip(clean + np.random.default_rng(0).normal(0, 3, clean.shape), 0, 255).astype(np.uint8)
    made = run(named(name), noisy).image
    assert made is not None
    before, after = (np.abs(one.astype(int) - clean).mean() for one in (noisy, made))
    assert after < 0.75 * before
    assert made[:, 34:].mean() - made[:, :30].mean() > 77


def compressed(quality: int) -> tuple[RGB, RGB]:
    """A smooth image before and after JPEG."""
    y, x = np.mgrid[:96, :120].astype(np.float32)
    image = np.stack([120 + 50 * np.sin(x / 17), 120 + 45 * np.cos(y / 21), 120 + 30 * np.sin((x + y) / 15)], axis=-1).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    return image, cv2.imdecode(data, cv2.IMREAD_COLOR)


@pytest.mark.parametrize("cut", [0, 3])
def test_blocks_of_strong_compression_are_found_wherever_the_grid_lies_and_the_error_goes_down(cut: int) -> None:
    image, jpeg = (one[cut:, cut:] for one in compressed(12))
    assert grid(jpeg.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32))[0] == (8 - cut) % 8
    made = run(Deblock("deblock", step=20, visible=1.15), np.ascontiguousarray(jpeg)).image
    assert made is not None
    before, after = (((one.astype(float) - image) ** 2).mean() for one in (jpeg, made))
    assert after < 0.93 * before


def test_an_image_that_was_never_compressed_stays_as_it_is() -> None:
    image, _ = compressed(12)
    assert run(named("deblock"), image).image is image
    random = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert run(named("deblock"), random).image is random


# Background --------------------------------------------------------------------------------------------------------------------------------


def test_a_background_becomes_its_own_mean_and_no_colour_of_the_person_gets_into_a_blurred_one() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :20] = (250, 10, 10)
    image[::2, 20:] = (10, 100, 200)
    image[1::2, 20:] = (30, 120, 220)
    mean, blurred = run(named("bg_mean"), image).image, run(named("bg_blur"), image).image
    assert mean is not None
    assert blurred is not None
    assert (mean[:, 20:] == (20, 110, 210)).all()
    assert np.array_equal(mean[:, :20], image[:, :20])
    assert np.array_equal(blurred[:, :20], image[:, :20])
    assert np.abs(blurred[4:-4, 20:].astype(int) - (20, 110, 210)).max() <= 8
    assert blurred[..., 20:, 0].max() < 40  # nothing of the red


def test_a_matte_that_covers_everything_leaves_no_background_to_blur() -> None:
    class Everything:
        def matte(self, image: RGB) -> np.ndarray:
            return np.ones(image.shape[:2], np.float32)

    outcome = run(OmitBackground("bg_mean", Everything(), fill="mean", smallest=0.02), portrait())
    assert (outcome.status, "no background" in outcome.detail) == (status.MODEL_ERROR, True)


# Photographs beside the images -----------------------------------------------------------------------------------------------------------


class Darker:
    """Half of image and photograph."""

    name = "darker"
    looks_at_photographs = True

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return self.enhance_beside(images, [None] * len(images))

    def enhance_beside(self, images: Sequence[RGB], photographs: Sequence[RGB | None]) -> list[Outcome]:
        return each_beside(images, photographs, lambda a, b: ((a.astype(int) + b[: a.shape[0], : a.shape[1]]) // 2).astype(np.uint8))


def shard(path: Path, levels: dict[str, int | None], schema: str = "frontals") -> Path:
    rows = [
        {
            "image_id": name,
            "identity": "a",
            "role": "probe",
            "status": status.OK if level is not None else status.NO_FACE,
            "detail": "",
            "image": images.encode_png(np.full((6, 6, 3), level, np.uint8)) if level is not None else None,
        }
        for name, level in levels.items()
    ]
    tables.write(path, tables.from_rows(rows, tables.SCHEMAS[schema]))
    return path


def test_every_image_of_a_shard_gets_its_own_photograph_whatever_failed_before(tmp_path: Path) -> None:
    names = [f"p{i:02d}" for i in range(20)]
    frontals = shard(tmp_path / "f.parquet", {name: None if i % 7 == 3 else 10 * i for i, name in enumerate(names)})
    photographs = shard(tmp_path / "i.parquet", {name: None if i == 5 else 200 for i, name in enumerate(names)}, "images")
    counts = enhance_shard(frontals, tmp_path / "out.parquet", "darker", "0", Darker, photographs=photographs)
    assert counts == {status.OK: 16, status.NO_FACE: 3, status.MODEL_ERROR: 1}
    made = tables.read(tmp_path / "out.parquet", tables.FRONTALS).to_pylist()
    for i, row in enumerate(made):
        if row["status"] == status.OK:
            assert images.decode(row["image"])[0, 0, 0] == (10 * i + 200) // 2
    assert set(tables.provenance(tmp_path / "out.parquet")["inputs"]) == {str(frontals), str(photographs)}


def test_photographs_that_are_needed_and_not_there_end_the_job_in_one_line(tmp_path: Path) -> None:
    images = shard(tmp_path / "f.parquet", {"a": 10, "b": 20})
    with pytest.raises(BadInput, match="give --photographs"):
        enhance_shard(images, tmp_path / "out.parquet", "darker", "0", Darker)
    other = shard(tmp_path / "i.parquet", {"a": 10, "c": 20}, "images")
    with pytest.raises(BadInput, match="no row for image 'b'"):
        enhance_shard(images, tmp_path / "out.parquet", "darker", "0", Darker, photographs=other)
    assert not (tmp_path / "out.parquet").exists()


def test_an_enhancement_that_looks_at_no_photograph_never_opens_the_file(tmp_path: Path) -> None:
    images = shard(tmp_path / "f.parquet", {"a": 10})
    broken = shard(tmp_path / "i.parquet", {"b": 10}, "images")

    def make() -> Enhancement:
        return Unsharp("sharp", sigma=1, side=256, amount=0.5, threshold=0)

    assert enhance_shard(images, tmp_path / "out.parquet", "sharp", "0", make, photographs=broken) == {status.OK: 1}


def test_a_folder_of_frontals_finds_its_photographs_by_its_list_or_by_name(tmp_path: Path) -> None:
    photos, frontals = tmp_path / "photos", tmp_path / "frontals"
    for folder in (photos / "anna", frontals / "anna"):
        folder.mkdir(parents=True)
    cv2.imwrite(str(photos / "anna" / "left.jpg"), np.full((8, 8, 3), 50, np.uint8))
    cv2.imwrite(str(photos / "anna" / "right.jpg"), np.full((8, 8, 3), 150, np.uint8))
    cv2.imwrite(str(frontals / "anna" / "x.png"), np.full((8, 8, 3), 1, np.uint8))
    cv2.imwrite(str(frontals / "anna" / "right.png"), np.full((8, 8, 3), 2, np.uint8))
    (frontals / "rows.csv").write_text(
        "image_id,identity,status,detail,file,photo,frontalizer\nanna/left.jpg,anna,ok,,anna/x.png,anna/left.jpg,mesh\n", encoding="utf-8"
    )
    with folders.as_shard(frontals) as (table, temporary):
        beside = folders.photographs_beside(table, photos, temporary)
        rows = tables.read(beside, None, ["image_id", "image"]).to_pylist()
        assert {row["image_id"]: round(images.decode(row["image"]).mean() / 50) for row in rows} == {"anna/right.png": 3, "anna/x.png": 1}
        (photos / "anna" / "left.jpg").unlink()
        with pytest.raises(BadInput, match=r"no photograph 'anna/left\.jpg' for the image 'anna/x\.png'"):
            folders.photographs_beside(table, photos, temporary)
