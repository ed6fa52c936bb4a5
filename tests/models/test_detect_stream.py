"""From encoded images to rows: order, one row per image whatever it holds, reading only a little ahead.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.detect.stream import detect_stream


@pytest.mark.weights
def test_broken_and_odd_files_become_rows_with_a_real_detector(shared: Path) -> None:
    from frontalbench.catalogue import cards
    from frontalbench.detect import load_detector
    from frontalbench.errors import WeightsMissing

    try:
        detector = load_detector(cards.find("detector", "scrfd_500m"))
    except WeightsMissing as error:
        pytest.skip(str(error))
    good = (shared / "testdata" / "frll" / "neutral_front" / "001_03.jpg").read_bytes()
    grey = images.encode_png(np.full((1, 1, 3), 90, np.uint8))
    items = [("a", good), ("b", good[: len(good) // 2]), ("c", b""), ("d", grey), ("e", good)]
    rows = list(detect_stream(items, detector, decode_threads=2))
    assert [row.status for row in rows] == [status.OK, status.UNREADABLE, status.UNREADABLE, status.NO_FACE, status.OK]
    first, last = rows[0].crop, rows[-1].crop
    assert first is not None
    assert last is not None
    np.testing.assert_array_equal(first, last)
