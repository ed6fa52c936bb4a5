"""One look at a model: its card's params are read, its files loaded, and where a crop is all that it takes it runs once."""

from __future__ import annotations

from typing import Any

import numpy as np

from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.errors import BadInput, FrontalbenchError, one_line, raise_if_memory_ran_out
from frontalbench.geometry.similarity import ARCFACE_SIZE


def try_out(card: ModelCard) -> str:
    """What the model of ``card`` made of a random crop (uint8 (112, 112, 3)), or that it loads; one line.

    Raises :class:`~frontalbench.errors.BadConfig` for params that the family does not know or that are not what they should be,
    :class:`~frontalbench.errors.WeightsMissing`, and :class:`~frontalbench.errors.BadInput` where the files do not fit the card.
    """
    crop = np.random.default_rng(0).integers(0, 256, (ARCFACE_SIZE, ARCFACE_SIZE, 3), np.uint8)
    try:
        model: Any = families.load(card)
        if card.kind == "backbone":
            vector = model.embed(crop[None])[0]
            if not np.isfinite(vector).all():
                raise BadInput(f"{card.path}: the embedding of a random crop is not finite; is the file the one that the card describes?")
            return f"loads; an embedding of {len(vector)} numbers, length {np.linalg.norm(vector):.3g}"
        if card.kind == "detector":
            return f"loads; {len(model.detect(crop))} faces in noise"
        if card.kind == "quality" and hasattr(model, "score"):
            return f"loads; noise scores {model.score(crop):.3g}"
    except FrontalbenchError:
        raise
    except Exception as error:
        raise_if_memory_ran_out(error)
        raise BadInput(f"{card.path}: the model does not run ({one_line(error)}); check the card's params and file") from error
    return "loads"
