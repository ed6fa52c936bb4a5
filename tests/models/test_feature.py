"""``feature_frontal``: the filter, the gate, the map's file, and a cell made with it.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.compare import feature
from frontalbench.compare.feature import covariances, wiener


@pytest.mark.weights
@pytest.mark.parametrize("backbone", ["w600k_mbf", "sface"])
def test_a_shipped_map_lies_the_way_round_that_people_who_do_not_exist_say(backbone: str, project_root: Path) -> None:
    """A filter of two covariances is not symmetric; twenty people are enough to tell it from its transpose (which was shipped once)."""
    from frontalbench.detect import choose, load_detector
    from frontalbench.embed import load_backbone
    from frontalbench.embed.base import normalise
    from frontalbench.geometry.similarity import align

    detector = load_detector(cards.find("detector", "scrfd_500m"))
    crops, who, frontal = [], [], []
    for number, person in enumerate(sorted(path for path in (project_root / "demo" / "synthetic").iterdir() if path.is_dir())):
        for place, path in enumerate([*sorted(person.glob("GT/*.jpg")), *sorted(person.glob("Angle/*.jpg"))]):
            image = images.decode(path.read_bytes())
            face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
            assert face is not None
            crops.append(align(image, face.points))
            who.append(number)
            frontal.append(place == 0)
    rows = normalise(load_backbone(cards.find("backbone", backbone)).embed(np.stack(crops)))[0]
    estimate = wiener(*covariances(rows, who, frontal), 8.0)
    shipped = feature.load(cards.find(feature.KIND, feature.card_name(backbone))).matrix
    assert np.sum((estimate - estimate.T) * (shipped - shipped.T)) > 0
