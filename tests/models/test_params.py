"""Params of cards: a key that a family does not know, or a value of the wrong kind, is refused by name wherever the card is used.

With real weights or photographs.
"""

from __future__ import annotations

import pytest

from frontalbench.catalogue import cards
from frontalbench.catalogue.tryout import try_out
from frontalbench.errors import WeightsMissing


@pytest.mark.weights
@pytest.mark.parametrize(("kind", "name"), [("backbone", "w600k_mbf"), ("detector", "scrfd_500m"), ("frontalizer", "identity")])
def test_a_model_is_tried_out_with_a_random_crop(kind: str, name: str) -> None:
    try:
        assert try_out(cards.find(kind, name)).startswith("loads")
    except WeightsMissing as error:
        pytest.skip(str(error))
