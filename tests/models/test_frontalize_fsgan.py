"""``fsgan`` on a real face: the view that is asked for, its steps, both sides mixed, and weights that mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.frontalize import framing, load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import FRONTAL, View  # noqa: E402
from frontalbench.frontalize.fsgan import FsganFamily, FsganFrontalizer  # noqa: E402
from frontalbench.frontalize.multiview import AppearanceFrontalizer, Group  # noqa: E402
from frontalbench.fsgan import heatmaps  # noqa: E402
from frontalbench.fsgan.views import mixture  # noqa: E402
from frontalbench.landmarks import tddfa  # noqa: E402
from frontalbench.landmarks.tddfa import DenseFitter  # noqa: E402
from tests.unit.test_frontalize_fsgan import card_of, files  # noqa: E402

Weight = Callable[..., Path]
Float = npt.NDArray[np.float64]
DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01"
PHOTOGRAPH = DEMO / "Angle" / "synth_01_l39.jpg"
CPU = torch.device("cpu")


class Shows(torch.nn.Module):
    """Draws the source it is given, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []

    def forward(self, levels: Sequence[torch.Tensor]) -> torch.Tensor:
        assert [tuple(level.shape[1:]) for level in levels] == [(101, 256, 256), (101, 128, 128)]
        self.shown.append(levels[0])
        return levels[0][:, :3]


@pytest.fixture(scope="module")
def fitter(weight: Weight) -> DenseFitter:
    card = cards.find("landmarks", "tddfa_mb1")
    for key in card.weights:
        weight("landmarks", "tddfa_mb1", key)
    return tddfa.load(card)


@pytest.fixture(scope="module")
def view(weight: Weight) -> View:
    weight("detector", "scrfd_500m")
    return seen(PHOTOGRAPH)


def seen(path: Path) -> View:
    image = images.decode(path.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    return View(image, face)


def model_of(fitter: DenseFitter, network: torch.nn.Module, *, interpolated: bool = False, step: float = 0.0) -> FsganFrontalizer:
    family = FsganFamily(network, fitter, None, interpolated=interpolated, step=step, device=CPU)  # type: ignore[arg-type]
    return FsganFrontalizer("fsgan", family, takes_target_pose=not interpolated, batch=4)


def places(maps: torch.Tensor) -> Float:
    """Where the discs of heat maps (98, n, n) lie, in shares."""
    return np.asarray(heatmaps.located(maps[None])[0].double().numpy())


def test_the_wanted_view_is_frontal_symmetric_and_framed_as_a_detector_frames_it(fitter: DenseFitter, view: View) -> None:
    network = Shows()
    outcome, none = model_of(fitter, network).frontalize([view, View(view.image, None)])
    assert outcome.status == status.OK and outcome.image is not None and outcome.image.shape == (256, 256, 3), outcome.detail
    assert none.status == status.NO_FACE
    points = places(network.shown[0][0, 3:])
    assert np.abs(points - heatmaps.mirrored(points)).max() < 0.03, "a frontal face is about its own mirror image"
    assert abs(points[54, 0] - 0.5) < 0.02 and 0.35 < points[[96, 97], 1].mean() < 0.5 and 0.85 < points[16, 1] < 0.99
    assert outcome.place is not None
    reference = seen(DEMO / "GT" / "synth_01_front.jpg").face
    assert reference is not None
    box = framing.detection(reference.box, 256)
    own = (reference.points @ box[:, :2].T + box[:, 2] + 0.5) / 256
    drawn = np.stack([points[96], points[97], points[54], points[76], points[82]])
    assert np.abs(own - drawn).max() < 0.06, "the same person, photographed from the front and framed by the detector, has them there"


def test_each_step_starts_from_the_image_before_it(fitter: DenseFitter, view: View) -> None:
    network = Shows()
    batch = [view, seen(DEMO / "Angle" / "synth_01_r26.jpg")]
    once = model_of(fitter, network).frontalize(batch)
    assert len(network.shown) == 1 and len(network.shown[0]) == 2, "one call for the batch"
    network = Shows()
    stepped = model_of(fitter, network, step=10.0).frontalize(batch)
    assert len(network.shown) >= 4 and all(outcome.status == status.OK for outcome in stepped)
    noses = [places(shown[0, 3:])[54, 0] - places(shown[0, 3:])[[60, 72], 0].mean() for shown in network.shown]
    assert all(abs(b) < abs(a) + 1e-6 for a, b in pairwise(noses)) and abs(noses[0]) > 5 * abs(noses[-1]), (
        "the nose comes to the middle step by step"
    )
    for one, other in zip(once, stepped, strict=True):
        assert one.place is not None and other.place is not None and np.allclose(one.place.matrix, other.place.matrix)
        assert one.image is not None and other.image is not None and np.abs(one.image.astype(int) - other.image).max() <= 1


def test_another_pose_keeps_the_expression_and_moves_the_head(fitter: DenseFitter, view: View) -> None:
    network = Shows()
    model = model_of(fitter, network)
    for pose in ((30.0, 0.0, 0.0), (-30.0, 0.0, 0.0), (0.0, 0.0, 20.0)):
        assert model.frontalize([view], pose)[0].status == status.OK
    left, right, tilted = (places(shown[0, 3:]) for shown in network.shown)
    assert left[54, 0] < left[[60, 72], 0].mean() - 0.03 and right[54, 0] > right[[60, 72], 0].mean() + 0.03, "yaw > 0 looks to the left"
    across = tilted[97] - tilted[96]
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(20.0, abs=4.0)


def test_without_three_dimensions_landmarks_and_images_are_those_of_both_sides_mixed(fitter: DenseFitter, view: View) -> None:
    network = Shows()
    model = model_of(fitter, network, interpolated=True)
    outcome = model.frontalize([view])[0]
    first, second = network.shown[0]
    assert np.array_equal(first[:3], second[:3].flip(2)), "the photograph and its mirror image"
    points = places(first[3:])
    assert np.abs(points - heatmaps.mirrored(points)).max() < 2e-3
    assert outcome.image is not None
    flipped = outcome.image[:, ::-1]
    assert np.abs(outcome.image.astype(int) - flipped).max() <= 1, "half of each"
    with pytest.raises(ValueError, match="does not take a target pose"):
        model.frontalize([view], (10.0, 0.0, 0.0))


def test_views_on_both_sides_are_drawn_with_one_set_of_landmarks_and_mixed_by_their_place_in_pose_space(
    fitter: DenseFitter, view: View
) -> None:
    network = Shows()
    single = model_of(fitter, network)
    others = [seen(DEMO / "Angle" / f"synth_01_{name}.jpg") for name in ("r26", "r52")]
    model = AppearanceFrontalizer("multiview_fsgan", single, single.pose, None, Group())
    made = model.together([view, *others])
    assert [one.status for one in made] == ["ok"] * 3 and made[0].image is not None
    assert all(one.image is made[0].image for one in made)
    poses = np.array([single.pose(one)[:2] for one in (view, *others)])
    wanted = mixture(poses, np.array([[0.0, 0.0]]))
    shares = wanted.weights[0]
    assert shares[2] < 1e-6 < shares[0] < shares[1], "39 to the left and 26 to the right are around the front; 52 is behind 26"
    (shown,) = network.shown
    assert len(shown) == 2 and torch.equal(shown[0, 3:], shown[1, 3:]), "one set of landmarks for both"
    mixed = sum(share * image for share, image in zip(shares[:2], shown[:, :3].double(), strict=True))
    drawn = ((mixed + 1.0) * 127.5).round().clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.abs(made[0].image.astype(float) - drawn).max() <= 1.0
    assert [one.place is not None for one in made] == [False, True, False]
    assert made[0].detail.startswith("mixed of 2 of 3 photographs")
    assert model.together([view])[0].status == status.TOO_FEW_VIEWS


def test_a_card_that_goes_in_steps_mixes_no_views(fitter: DenseFitter, view: View) -> None:
    made = model_of(fitter, Shows(), step=15.0).mixed([view, view], [0.5, 0.5], FRONTAL)
    assert made.status == status.MODEL_ERROR and "step 0" in made.detail


def test_a_network_that_only_copies_fails_the_self_test(fitter: DenseFitter, view: View) -> None:
    checks = {check.name: check for check in model_of(fitter, Shows()).selftest([view])}
    assert checks["own pose"].passed, "copying is right where nothing turns"
    assert not checks["|yaw| left (degrees)"].passed


@pytest.mark.parametrize("name", ["fsgan", "fsgan_iterative", "fsgan_interpolated"])
def test_files_as_published_load_by_every_card(name: str, fitter: DenseFitter, tmp_path: Path) -> None:
    assert load_frontalizer(card_of(files(tmp_path), name)).takes_target_pose == (name != "fsgan_interpolated")  # type: ignore[attr-defined]


def test_numbers_that_mean_nothing_draw_an_image_and_no_landmarks(fitter: DenseFitter, view: View, tmp_path: Path) -> None:
    paths = files(tmp_path)
    drawn = load_frontalizer(card_of(paths, landmarks="fit")).frontalize([view])[0]
    assert drawn.status == status.OK and drawn.image is not None and drawn.image.shape == (256, 256, 3), drawn.detail
    lost = load_frontalizer(card_of(paths)).frontalize([view])[0]
    assert lost.status == status.MODEL_ERROR and "another face or other weights" in lost.detail
