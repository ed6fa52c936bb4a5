"""Faces that cannot be turned well: every family gives a status and a sentence or an image, and never an exception.

A family is entered in ``FAMILIES`` with stand-ins for its networks: what breaks on such input is the crop and what is measured for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import WeightsMissing  # noqa: E402
from frontalbench.frontalize import hassner, hrn, points68  # noqa: E402
from frontalbench.frontalize.base import Frontalizer, View  # noqa: E402
from frontalbench.frontalize.batches import Batched  # noqa: E402
from frontalbench.frontalize.cvthead import CvtHeadFamily  # noqa: E402
from frontalbench.frontalize.da_gan import DaGanFamily  # noqa: E402
from frontalbench.frontalize.deca import DecaFamily, Surface  # noqa: E402
from frontalbench.frontalize.eg3d import Eg3dFamily  # noqa: E402
from frontalbench.frontalize.ffwm import FfwmFamily  # noqa: E402
from frontalbench.frontalize.fsgan import FsganFamily  # noqa: E402
from frontalbench.frontalize.gan_inversion import GanInversionFamily  # noqa: E402
from frontalbench.frontalize.headgan import HeadGanFamily  # noqa: E402
from frontalbench.frontalize.inversion import Target  # noqa: E402
from frontalbench.frontalize.scaleway_published import ScalewayPublishedFamily  # noqa: E402
from frontalbench.images import RGB  # noqa: E402
from frontalbench.landmarks import load_landmarks  # noqa: E402
from frontalbench.morphable.basel import Basel  # noqa: E402
from frontalbench.morphable.uv import Unrolled  # noqa: E402
from frontalbench.networks.cvthead import Mesh  # noqa: E402
from frontalbench.types import Float32  # noqa: E402
from frontalbench.weights import store  # noqa: E402
from tests.golden import faces  # noqa: E402
from tests.unit.facekit import small_basel  # noqa: E402
from tests.unit.test_frontalize_hrn import STANDARD  # noqa: E402

CPU = torch.device("cpu")
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"
Weight = Callable[..., Path]


class Same(nn.Module):
    """Gives back what it was shown."""

    def forward(self, x: Tensor, *_: object) -> Tensor:
        return x


class SameFinest(nn.Module):
    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        return levels[0][:, :3]


class SameThrice(nn.Module):
    def forward(self, x: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
        return x, x, x


def fsgan(*, interpolated: bool, step: float) -> Frontalizer:
    fitter = load_landmarks(cards.find("landmarks", "tddfa_mb1"))
    family = FsganFamily(SameFinest(), fitter, None, interpolated=interpolated, step=step, device=CPU)  # type: ignore[arg-type]
    return Batched("fsgan", family, takes_target_pose=not interpolated, batch=2)


class Shown:
    """In place of an inversion: the head as it was shown."""

    def turned(self, target: Target) -> Tensor:
        assert target.label.shape == target.wanted.shape == (25,) and np.isfinite(target.points).all()
        return torch.from_numpy(target.pixels.copy()).permute(2, 0, 1) / 127.5 - 1.0


def eg3d() -> Frontalizer:
    family = Eg3dFamily(load_landmarks(cards.find("landmarks", "tddfa_mb1")), Shown())
    return Batched("eg3d", family, takes_target_pose=True, batch=1)


class Redrawn(nn.Module):
    """In place of HeadGAN: the photograph where the wanted head is."""

    def forward(self, driving: Tensor, reference: Tensor) -> SimpleNamespace:
        return SimpleNamespace(image=reference[:, 3:] * (driving[:, :1] > 0.0))


def headgan() -> Frontalizer:
    family = HeadGanFamily(load_landmarks(cards.find("landmarks", "tddfa_mb1")), Redrawn(), CPU)  # type: ignore[arg-type]
    return Batched("headgan", family, takes_target_pose=True, batch=2)


def real_hassner(locate: points68.Locate, hidden: str) -> Frontalizer:
    card = cards.find("frontalizer", "hassner")
    try:
        reference = hassner.read_reference(store.fetch(card, "model"), store.fetch(card, "eyes"))
    except WeightsMissing as error:
        pytest.skip(str(error))
    return hassner.HassnerFrontalizer("hassner", reference, locate, hidden=hidden)


class Given(nn.Module):
    """The same codes for every image."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, x: Tensor) -> Tensor:
        return self.codes[None].expand(len(x), -1)


def deca(locate: points68.Locate) -> Frontalizer:
    """A made-up head in the middle of the crop."""
    codes = torch.zeros(236)
    codes[206] = 8.0
    surface = Surface(faces.flame(), faces.flame_unrolled(), faces.eye_mask().astype(np.float32))
    family = DecaFamily(locate, surface, Given(codes), None, mirrored=True, device=CPU)  # type: ignore[arg-type]
    return Batched("deca", family, takes_target_pose=True, batch=2)


class Finest(nn.Module):
    def forward(self, images: Sequence[Tensor], noise: Tensor) -> tuple[Tensor]:
        return (images[0],)


class Drawn(nn.Module):
    def forward(self, image: Tensor, mask: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        return image, mask


def made_up_cvthead(locate: points68.Locate) -> Frontalizer:
    """A made-up head in the middle of the crop, and a network that gives the photograph back."""
    codes = torch.zeros(236)
    codes[206] = 8.0
    nothing = torch.zeros(1, dtype=torch.long)
    mesh = Mesh(nothing, nothing, nothing, nothing, nothing, nothing)

    def matte(image: RGB) -> Float32:
        return np.ones(image.shape[:2], np.float32)

    family = CvtHeadFamily(locate, matte, faces.flame(), mesh, Given(codes), Drawn(), CPU)  # type: ignore[arg-type]
    return Batched("cvthead", family, takes_target_pose=True, batch=2)


def made_up_hrn(locate: points68.Locate) -> Frontalizer:
    """A made-up face in the middle of the crop, aligned by a made-up standard."""
    arrays = small_basel()
    vertices = arrays["meanshape"].reshape(-1, 3)
    none = np.zeros((len(vertices), 3, 80), np.float32)
    basel = Basel(
        vertices - vertices.mean(axis=0),
        none,
        none[..., :64],
        np.full_like(vertices, 0.6).astype(np.float32),
        none,
        arrays["tri"] - 1,
        arrays["point_buf"] - 1,
    )
    surface = hrn.Surface(basel, Unrolled(arrays["places"].astype(np.float64), basel.triangles, basel.triangles))
    coefficients = torch.zeros(257)

    def matte(image: RGB) -> Float32:
        return np.ones(image.shape[:2], np.float32)

    network: nn.Module = Given(coefficients)
    family = hrn.HrnFamily(locate, matte, surface, STANDARD, network, None, hidden="model", device=CPU)  # type: ignore[arg-type]
    return Batched("hrn", family, takes_target_pose=True, batch=2)


FAMILIES: dict[str, tuple[int, Callable[[points68.Locate], Frontalizer]]] = {
    "ffwm": (
        128,
        lambda locate: Batched("ffwm", FfwmFamily(locate, Same(), SameThrice(), CPU), takes_target_pose=False, batch=2),  # type: ignore[arg-type]
    ),
    "scaleway_published": (
        128,
        lambda locate: Batched("scaleway", ScalewayPublishedFamily(locate, Same(), CPU), takes_target_pose=False, batch=2),  # type: ignore[arg-type]
    ),
    "gan_inversion": (
        256,
        lambda locate: Batched("gan", GanInversionFamily(locate, Same(), side=256, device=CPU), takes_target_pose=False, batch=2),  # type: ignore[arg-type]
    ),
    "hassner": (320, lambda locate: real_hassner(locate, "counts")),
    "hassner_depth": (320, lambda locate: real_hassner(locate, "depth")),
    "eg3d": (512, lambda _: eg3d()),
    "headgan": (256, lambda _: headgan()),
    "cvthead": (256, made_up_cvthead),
    "da_gan": (128, lambda locate: Batched("da_gan", DaGanFamily(locate, Finest(), seed=0, device=CPU), takes_target_pose=False, batch=2)),  # type: ignore[arg-type]
    "deca": (224, deca),
    "hrn": (512, made_up_hrn),
    "fsgan": (256, lambda _: fsgan(interpolated=False, step=30.0)),
    "fsgan_interpolated": (256, lambda _: fsgan(interpolated=True, step=0.0)),
}
"""Family -> side of its result, and how it is made of something that gives 68 points."""


def found(image: RGB) -> View:
    size = (image.shape[1], image.shape[0])
    return View(image, choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), size))


def scaled(image: RGB, factor: float) -> RGB:
    import cv2

    return np.asarray(cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def moved(face: Face, factor: float, shift: tuple[float, float] = (0.0, 0.0)) -> Face:
    box, points = face.box * factor + np.tile(shift, 2), face.points * factor + shift
    return Face(box.astype(np.float32), face.score, points.astype(np.float32), face.n_faces)


@pytest.fixture(scope="module")
def views(weight: Weight) -> dict[str, View]:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    image = images.decode(PHOTOGRAPH.read_bytes())
    whole = found(image)
    face = whole.face
    assert face is not None
    x1, y1, x2, y2 = (int(v) for v in face.box)
    middle = (x1 + x2) // 2
    width = float(x2 - x1)
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    flat = Face(np.array([100, 100, 100, 180], np.float32), 0.5, np.full((5, 2), 100, np.float32), 1)
    away = moved(face, 1.0, (3.0 * image.shape[1], 0.0))
    unknown = Face(np.full(4, np.nan, np.float32), 0.5, np.full((5, 2), np.nan, np.float32), 1)
    half = np.ascontiguousarray(image[:, :middle])
    return {
        "whole": whole,
        "no face": View(image, None),
        "two faces": found(np.ascontiguousarray(np.concatenate([image, image[:, ::-1]], axis=1))),
        "32 pixel face": View(scaled(image, 32 / width), moved(face, 32 / width)),
        "8 pixel face": View(scaled(image, 8 / width), moved(face, 8 / width)),
        "2 pixel face": View(scaled(image, 2 / width), moved(face, 2 / width)),
        "grey": View(grey, face),
        "cut by the border": View(half, face),
        "only the face": View(np.ascontiguousarray(image[y1:y2, x1:x2]), moved(face, 1.0, (-x1, -y1))),
        "black": View(np.zeros_like(image), face),
        "on its head": View(np.ascontiguousarray(image[::-1, ::-1]), moved(face, -1.0, (image.shape[1] - 1, image.shape[0] - 1))),
        "no width": View(image, flat),
        "outside of the image": View(image, away),
        "not a number": View(image, unknown),
    }


@pytest.fixture(scope="module")
def locate() -> points68.Locate:
    return points68.loaded(cards.find("frontalizer", "ffwm"))


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_is_wrong_with_a_face_becomes_its_row(family: str, views: dict[str, View], locate: points68.Locate) -> None:
    side, make = FAMILIES[family]
    outcomes = dict(zip(views, make(locate).frontalize(list(views.values())), strict=True))
    for name, outcome in outcomes.items():
        if outcome.status == status.OK:
            assert outcome.image is not None and outcome.image.shape == (side, side, 3) and outcome.image.dtype == np.uint8, name
            assert outcome.place is not None and np.isfinite(outcome.place.matrix).all(), name
        else:
            assert outcome.image is None and outcome.detail and "\n" not in outcome.detail, name
            assert outcome.status in (status.NO_FACE, status.MODEL_ERROR), name
    turned = [name for name, outcome in outcomes.items() if outcome.status == status.OK]
    assert {"whole", "two faces", "32 pixel face", "grey", "cut by the border", "only the face"} <= set(turned)
    assert outcomes["no face"].status == status.NO_FACE
    assert {"2 pixel face", "not a number"}.isdisjoint(turned)


@pytest.mark.parametrize("family", FAMILIES)
def test_profiles_of_real_people_are_cut_upright(family: str, shared: Path, locate: points68.Locate, weight: Weight) -> None:
    weight("detector", "scrfd_500m")
    _, make = FAMILIES[family]
    paths = sorted((shared / "testdata" / "frll" / "neutral_right_profile").glob("*.jpg"))[:4]
    given = [found(images.decode(path.read_bytes())) for path in paths]
    for path, outcome in zip(paths, make(locate).frontalize(given), strict=True):
        assert outcome.place is not None, (path.name, outcome.detail)
        turn = np.degrees(np.arctan2(outcome.place.matrix[1, 0], outcome.place.matrix[0, 0]))
        assert abs(turn) < 15.0, f"{path.name}: people stood upright for these photographs, the crop is turned by {turn:.0f} degrees"
