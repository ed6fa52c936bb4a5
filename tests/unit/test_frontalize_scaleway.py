"""``scaleway_synth``: the shipped weights draw a face that stays a face, in the square that they were trained on."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import MappingProxyType

import pytest

from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import FileSource, WeightFile
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer


def test_a_file_that_the_trainer_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    digest = hashlib.sha256(b"nothing").hexdigest()
    weight = WeightFile("model", "other.safetensors", 7, digest, (FileSource(tmp_path / "other.safetensors"),))
    card = dataclasses.replace(cards.find("frontalizer", "scaleway_synth"), weights=MappingProxyType({"model": weight}))
    with pytest.raises(BadInput, match=r"other\.safetensors: .*; fetch the file again"):
        load_frontalizer(card)
