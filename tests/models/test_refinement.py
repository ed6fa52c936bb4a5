"""Refinement with the real networks: the copies with a gradient are the networks that judge, and what refines here is a frontal of a photograph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.embed import load_backbone
from frontalbench.embed.gradient import load_recognizer
from frontalbench.enhance import load_enhancement
from frontalbench.geometry.similarity import align


@pytest.mark.weights
@pytest.mark.parametrize("name", ["w600k_mbf", "sface"])
def test_the_copy_with_a_gradient_says_what_onnx_runtime_says(name: str, weight: Callable[..., Path]) -> None:
    weight("backbone", name)
    card = cards.find("backbone", name)
    noise = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    crops = np.stack([cv2.GaussianBlur(one, (0, 0), 3) for one in noise])
    expected = load_backbone(card).embed(crops)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = load_recognizer(card)(torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32)))[0].numpy()
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.weights
def test_a_soft_image_comes_nearer_to_its_photograph_within_its_bound(shared: Path, weight: Callable[..., Path]) -> None:
    for kind, name in (("detector", "scrfd_500m"), ("quality", "st_lpips_alex"), ("backbone", "w600k_mbf")):
        weight(kind, name)
    photograph = images.decode((shared / "testdata" / "frll" / "neutral_front" / "011_03.jpg").read_bytes())
    small = cv2.resize(photograph, (256, 256), interpolation=cv2.INTER_AREA)
    soft = np.asarray(cv2.GaussianBlur(small, (0, 0), 2.0), np.uint8)
    model = load_enhancement("identity_refine")
    model.recipe = type(model.recipe)(steps=6)  # type: ignore[attr-defined]
    [outcome] = model.enhance_beside([soft], [photograph])  # type: ignore[attr-defined]
    assert outcome.status == status.OK, outcome.detail
    before, after = (float(word) for word in outcome.detail.split("w600k_mbf ")[1].split(" -> "))
    assert after > before + 0.01
    assert outcome.image is not None
    difference = np.abs(outcome.image.astype(int) - soft)
    assert 0 < difference.max() <= 8
    assert not difference[:20].any()
    # What the row says is what the judge's own file says of the same alignment.
    detector = load_enhancement("frame")._detector  # type: ignore[attr-defined]
    crops = [align(one, detector.detect(one).points[0]) for one in (soft, outcome.image, photograph)]
    rows = load_backbone(cards.find("backbone", "w600k_mbf")).embed(np.stack(crops))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[1] @ rows[2] - rows[0] @ rows[2] == pytest.approx(after - before, abs=0.03)
