"""Several photographs of real people as one head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.detect import load_detector
from frontalbench.detect.select import DEFAULT_POLICY
from frontalbench.detect.upright import find_face
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.frontalize.multiview import MultiviewFrontalizer

pytestmark = pytest.mark.weights
VIEWS = ("left_3quarter", "right_3quarter")


@pytest.fixture(scope="module")
def views(shared: Path) -> dict[str, list[View]]:
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    found: dict[str, list[View]] = {}
    for person in ("002", "004"):
        for number, view in ((2, VIEWS[0]), (4, VIEWS[1])):
            image = images.decode((shared / "testdata" / "frll" / f"neutral_{view}" / f"{person}_{number:02d}.jpg").read_bytes())
            found.setdefault(person, []).append(View(image, find_face(image, detector, DEFAULT_POLICY)[0]))
    return found


@pytest.mark.parametrize("name", ["multiview_tddfa", "multiview_mesh"])
def test_two_three_quarter_views_become_one_face_and_a_stranger_is_refused(name: str, views: dict[str, list[View]]) -> None:
    model = load_frontalizer(cards.find("frontalizer", name))
    assert isinstance(model, MultiviewFrontalizer)
    made = model.together(views["002"])
    assert [one.status for one in made] == ["ok", "ok"]
    assert made[0].image is not None and float(np.std(made[0].image)) > 20
    mixed = model.together([*views["002"], views["004"][0]])
    assert [one.status for one in mixed] == ["ok", "ok", status.VIEWS_DISAGREE]
    strangers = model.together([views["002"][0], views["004"][0]])
    assert [one.status for one in strangers] == [status.VIEWS_DISAGREE] * 2
