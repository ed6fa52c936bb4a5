"""``frontalbench_rnr``: an untrained network leaves the mesh's image as it is, a trained one changes the face and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import MappingProxyType

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402


def card_with(path: Path) -> ModelCard:
    """The shipped card with weights of our own."""
    card = cards.find("frontalizer", "frontalbench_rnr")
    data = path.read_bytes()
    weight = WeightFile("model", path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))
    return dataclasses.replace(card, weights=MappingProxyType({"model": weight}))


def test_a_file_that_no_training_wrote_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"other\.safetensors: not a safetensors file"):
        load_frontalizer(card_with(tmp_path / "other.safetensors"))
    save_file({"x": torch.zeros(1)}, tmp_path / "silent.safetensors")
    with pytest.raises(BadInput, match=r"silent\.safetensors: does not say its width and levels .* train_network\.py"):
        load_frontalizer(card_with(tmp_path / "silent.safetensors"))
