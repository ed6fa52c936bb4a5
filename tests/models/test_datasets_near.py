"""One photograph under two names is found by its pixels, and different people in the same studio are not.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frontalbench.datasets import listing, near
from tests.unit import datasetkit as kit
from tests.unit.test_datasets_near import stored


@pytest.mark.parametrize("name", ["lfw", "frll", "cfp"])
def test_no_two_people_of_the_real_sets_are_called_one_photograph_but_a_copy_is(shared: Path, name: str) -> None:
    root = shared / "testdata" / name
    members = listing.list_members(kit.card(name, root))
    if name != "lfw":  # the hardest part: everybody in front of one wall, seen alike
        members = [member for member in members if member.yaw == 0.0][:340]
    vectors = np.stack([near.signature(Path(member.path).read_bytes()) for member in members])
    people = [member.identity for member in members]
    assert near.pairs(vectors, people).apart == 0
    alike = vectors @ vectors.T
    alike[np.equal.outer(people, people)] = 0
    assert alike.max() < near.ALIKE - 0.04
    for place in range(0, len(members), 40):
        with Image.open(members[place].path) as image:
            copy = near.signature(stored(image.convert("RGB").resize((image.width // 2, image.height // 2)), quality=60))
        assert float(copy @ vectors[place]) > near.ALIKE
