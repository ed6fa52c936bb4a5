"""``frontalbench_rnr``: an untrained network leaves the mesh's picture as it is, a trained one changes the face and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import cards, images  # noqa: E402
from frontalbench.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.errors import BadConfig, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.train import rnr  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"


def card_with(path: Path) -> ModelCard:
    """The shipped card with weights of our own."""
    card = cards.find("frontalizer", "frontalbench_rnr")
    data = path.read_bytes()
    weight = WeightFile("model", path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))
    return dataclasses.replace(card, weights=MappingProxyType({"model": weight}))


def trained(folder: Path, opened: float) -> ModelCard:
    """Weights of a network that adds ``opened`` to every pixel (0: as it starts)."""
    trainer = rnr.Trainer(dataclasses.replace(rnr.TINY, width=4, levels=2), [])
    with torch.no_grad():
        trainer.network.exit.bias += opened
    trainer.save(folder)
    return card_with(folder / rnr.WEIGHTS)


@pytest.mark.weights
def test_untrained_is_the_mesh_and_trained_changes_the_face_only(tmp_path: Path, weight: Weight) -> None:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    view = View(image, face)
    mesh = load_frontalizer(cards.find("frontalizer", "tddfa")).frontalize([view])[0]
    plain = load_frontalizer(trained(tmp_path / "a", 0.0)).frontalize([view])[0]
    lighter = load_frontalizer(trained(tmp_path / "b", 0.5)).frontalize([view])[0]
    assert mesh.image is not None and plain.image is not None and lighter.image is not None, plain.detail or lighter.detail
    assert np.array_equal(plain.image, mesh.image) and plain.place is not None
    change = lighter.image.astype(int) - mesh.image
    side = len(change)
    middle = change[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3]
    assert middle.mean() > 20 and np.abs(change[:2]).max() <= 1, "the face got lighter, the border of the crop stayed"


def test_the_shipped_card_says_that_there_are_no_weights_yet() -> None:
    with pytest.raises(WeightsMissing, match="frontalbench_rnr"):
        load_frontalizer(cards.find("frontalizer", "frontalbench_rnr"))


def test_a_file_that_train_rnr_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadConfig, match=r"train_network\.py"):
        load_frontalizer(card_with(tmp_path / "other.safetensors"))
