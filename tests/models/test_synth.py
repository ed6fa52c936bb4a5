"""Synthetic people: the turning directions, the search for measured angles, the image set and the shipped one.

With real weights or photographs.
"""

from __future__ import annotations

import numpy as np
import pytest

from frontalbench import images
from frontalbench.synth import directions, image_set
from tests.unit.test_synth import SHIPPED


@pytest.mark.weights
@pytest.mark.slow
def test_one_shipped_person_can_be_drawn_again() -> None:
    pytest.importorskip("openvino", reason="openvino is not installed (extra synth)")
    from frontalbench.errors import WeightsMissing
    from frontalbench.synth.mobilestylegan import Generator

    try:
        generator = Generator(threads=2)
    except WeightsMissing as error:
        pytest.skip(str(error))
    content = image_set.read_recipe(SHIPPED / "recipe.json")
    first = min(content["pictures"]).split("/")[0]
    some = {image: item for image, item in content["pictures"].items() if image.endswith(("_front.jpg", "_l52.jpg", "_b.jpg"))}
    drawn = list(image_set.draw(generator, directions.load(), content | {"pictures": some}, only=first))
    assert len(drawn) == 3
    for image, data in drawn:
        again, shipped = (images.decode(d).astype(int) for d in (data, (SHIPPED / image).read_bytes()))
        difference = np.abs(again - shipped)
        assert difference.mean() < 0.5, image  # another CPU may round a few pixels, and JPEG spreads that
        assert difference.max() <= 40, image
