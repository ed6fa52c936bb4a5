"""The frame around networks: order, one bad image, batches that do not fit, numbers that are not finite, seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from frontalbench import status  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import NotEnoughMemory  # noqa: E402
from frontalbench.frontalize import batches  # noqa: E402
from frontalbench.frontalize.base import FRONTAL, NoFace, Place, View  # noqa: E402
from frontalbench.frontalize.batches import Batched, to_image, to_tensor  # noqa: E402

FACE = Face(np.array([1, 1, 6, 6], np.float32), 0.9, np.ones((5, 2), np.float32), 1)


def view(value: int, face: Face | None = FACE) -> View:
    return View(np.full((8, 8, 3), value, np.uint8), face)


class Negative:
    """Turns an image into its negative; certain grey values make it fail in one way or another."""

    def __init__(self, fits: int = 99) -> None:
        self.fits, self.sizes = fits, list[int]()

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> int:
        value = int(view.image[0, 0, 0])
        if value == 1:
            raise NoFace("no face in it")
        if value == 2:
            raise ValueError("far too\n dark")
        return value

    def run(self, items: Sequence[int]) -> torch.Tensor:
        self.sizes.append(len(items))
        if len(items) > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if 3 in items:
            raise RuntimeError("singular matrix")
        drawn = torch.tensor([255.0 - value for value in items])[:, None, None, None].expand(-1, 3, 4, 4).clone()
        drawn[[value == 4 for value in items], 0, 0, 0] = torch.nan
        return drawn

    def finish(self, item: int, drawn: torch.Tensor) -> tuple[np.ndarray, Place | None]:
        if item == 5:
            raise ValueError("nowhere to put it")
        return to_image(drawn, 0, 255), None


WORDS = {1: (status.NO_FACE, "no face in it"), 2: (status.MODEL_ERROR, "far too dark"), 3: (status.MODEL_ERROR, "singular matrix")}
WORDS |= {4: (status.MODEL_ERROR, "the network gave numbers that are not finite"), 5: (status.MODEL_ERROR, "nowhere to put it")}


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 5))
def test_every_view_gets_its_own_outcome_whatever_stands_beside_it(values: list[int], batch: int) -> None:
    outcomes = Batched("negative", Negative(), takes_target_pose=True, batch=batch).frontalize([view(v) for v in values])
    assert len(outcomes) == len(values)
    for value, outcome in zip(values, outcomes, strict=True):
        if value in WORDS:
            assert (outcome.status, outcome.detail) == WORDS[value] and outcome.image is None
        else:
            assert outcome.status == status.OK and outcome.image is not None and (outcome.image == 255 - value).all()


def test_a_view_without_a_face_never_reaches_the_network() -> None:
    family = Negative()
    outcomes = Batched("negative", family, takes_target_pose=True, batch=4).frontalize([view(9, None), view(9, None)])
    assert [o.status for o in outcomes] == [status.NO_FACE] * 2 and family.sizes == []


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    family = Negative(fits=2)
    outcomes = Batched("negative", family, takes_target_pose=True, batch=8).frontalize([view(20 + i) for i in range(8)])
    assert [o.status for o in outcomes] == [status.OK] * 8
    assert max(size for size in family.sizes if size <= 2) == 2 and family.sizes[0] == 8


def test_one_image_that_does_not_fit_ends_the_job_and_is_no_row() -> None:
    with pytest.raises(NotEnoughMemory):
        Batched("negative", Negative(fits=0), takes_target_pose=True, batch=2).frontalize([view(20), view(21)])


class Timed(Negative):
    """Takes as many seconds of a clock of its own for an image as its grey value says to prepare it, eight a batch, and one to finish."""

    now = 0.0

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> int:
        self.now += float(view.image[0, 0, 0])
        return super().prepare(view, target_pose)

    def run(self, items: Sequence[int]) -> torch.Tensor:
        self.now += 8.0
        return super().run(items)

    def finish(self, item: int, drawn: torch.Tensor) -> tuple[np.ndarray, Place | None]:
        self.now += 1.0
        return super().finish(item, drawn)


def test_seconds_are_shared_by_a_batch_and_own_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Timed()
    monkeypatch.setattr(batches.time, "perf_counter", lambda: family.now)
    outcomes = Batched("negative", family, takes_target_pose=True, batch=4).frontalize([view(v) for v in (20, 30, 2, 40, 50)])
    assert [o.seconds for o in outcomes] == [20 + 2 + 1, 30 + 2 + 1, 2, 40 + 2 + 1, 50 + 2 + 1]


def test_another_pose_than_the_frontal_one_is_refused_where_the_network_knows_no_other() -> None:
    frontal_only = Batched("negative", Negative(), takes_target_pose=False, batch=1)
    assert frontal_only.frontalize([view(20)], FRONTAL)[0].status == status.OK
    with pytest.raises(ValueError, match="does not take a target pose"):
        frontal_only.frontalize([view(20)], (10.0, 0.0, 0.0))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_images_come_back_from_a_tensor_as_they_went_in(low: float, high: float) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 7, 5, 3), dtype=np.uint8)
    tensor = to_tensor(list(images), low, high, torch.device("cpu"))
    assert tensor.shape == (2, 3, 7, 5) and float(tensor.min()) >= low and float(tensor.max()) <= high
    np.testing.assert_array_equal(np.stack([to_image(one, low, high) for one in tensor]), images)
