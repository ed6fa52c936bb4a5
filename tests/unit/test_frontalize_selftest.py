"""The self-test of any frontalizer: what it asks of the images that it is given."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.frontalize.selftest import frontal_checks


def test_images_without_a_face_are_no_self_test() -> None:
    with pytest.raises(BadInput, match="at least one image in which a face is found"):
        frontal_checks(
            load_frontalizer(cards.find("frontalizer", "identity")), [View(np.zeros((8, 8, 3), np.uint8), None)], lambda *_: (0, 0, 0, 0)
        )
