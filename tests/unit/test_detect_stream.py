"""From encoded images to rows: order, one row per image whatever it holds, reading only a little ahead."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.detect import Detections
from frontalbench.detect import stream as pipeline
from frontalbench.detect.stream import FaceRow, detect_stream
from frontalbench.errors import BadConfig, NotEnoughMemory
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE
from frontalbench.images import RGB


class Scripted:
    """A detector whose result stands in the red value of the top left pixel: 0 none, 1 fails, 2 points in one place, else a face."""

    name = "scripted"

    def detect(self, image: RGB) -> Detections:
        code = int(image[0, 0, 0])
        time.sleep(0.002 * (code % 5))  # later images overtake earlier ones
        if code == 1:
            raise RuntimeError("shapes do\nnot fit")
        if code == 0:
            return Detections.none()
        points = np.full((5, 2), 50.0) if code == 2 else ARCFACE_TEMPLATE
        return Detections.sorted(np.array([[30, 40, 80, 100]]), np.array([0.9]), points[None])

    def glance(self, image: RGB, longest: int) -> Detections:
        return Detections.none()


def _image(code: int) -> bytes:
    return images.encode_png(np.full((112, 112, 3), code, np.uint8))


def _items(codes: list[int | None]) -> Iterator[tuple[str, bytes]]:
    for index, code in enumerate(codes):
        yield f"{index:03}", b"not an image" if code is None else _image(code)


CODES: list[int | None] = [9, 0, None, 1, 2, 200, 14, 0, 33, None, *range(100, 130)]
EXPECTED = {None: status.UNREADABLE, 0: status.NO_FACE, 1: status.MODEL_ERROR, 2: status.NO_FACE}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_image_gives_one_row_in_order_whatever_it_holds(threads: int) -> None:
    rows = list(detect_stream(_items(CODES), Scripted(), decode_threads=threads))
    assert [row.image_id for row in rows] == [f"{i:03}" for i in range(len(CODES))]
    for code, row in zip(CODES, rows, strict=True):
        assert row.status == EXPECTED.get(code, status.OK)
        if row.status == status.OK:
            assert row.crop is not None
            assert (row.crop == code).all()
            assert row.n_faces == 1
        else:
            assert row.crop is None
            assert row.detail
            assert "\n" not in row.detail


def test_the_number_of_threads_changes_nothing() -> None:
    one, many = (list(detect_stream(_items(CODES), Scripted(), decode_threads=threads)) for threads in (1, 4))
    for a, b in zip(one, many, strict=True):
        assert (a.image_id, a.status, a.detail, a.score, a.n_faces) == (b.image_id, b.status, b.detail, b.score, b.n_faces)
        if a.crop is not None:
            np.testing.assert_array_equal(a.crop, b.crop)


def test_images_are_read_only_a_little_ahead() -> None:
    given = 0

    def counted() -> Iterator[tuple[str, bytes]]:
        nonlocal given
        for item in _items([9] * 500):
            given += 1
            yield item

    stream = detect_stream(counted(), Scripted(), decode_threads=2)
    for taken in range(1, 21):
        assert isinstance(next(stream), FaceRow)
        assert given <= taken + pipeline.IN_FLIGHT * 2
    stream.close()  # type: ignore[attr-defined]
    assert given < 40


def test_an_error_of_the_source_reaches_the_reader() -> None:
    def breaking() -> Iterator[tuple[str, bytes]]:
        yield "a", _image(9)
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        list(detect_stream(breaking(), Scripted(), decode_threads=2))


def test_an_unknown_policy_is_an_error_before_anything_runs() -> None:
    with pytest.raises(BadConfig, match="'nearest'"):
        detect_stream(_items([9]), Scripted(), policy="nearest", decode_threads=2)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("bad allocation"), RuntimeError("Failed to allocate memory for\nrequested buffer")]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_that_runs_out_ends_the_job_and_is_nobodys_status(error: Exception, threads: int) -> None:
    class Starved:
        name = "starved"

        def detect(self, image: RGB) -> Detections:
            raise error

        def glance(self, image: RGB, longest: int) -> Detections:
            return Detections.none()

    with pytest.raises(NotEnoughMemory, match="mem_mb"):
        list(detect_stream(_items([9, 33, 100]), Starved(), decode_threads=threads))
