"""The status words of rows: every row of every stage carries exactly one.

``ok`` goes on to the next stage. Anything else is an outcome that is counted and passes through the later stages unchanged, so that the row
count of a dataset is the same at every stage.
"""

from __future__ import annotations

OK = "ok"
UNREADABLE = "unreadable"
"""The image bytes could not be decoded."""
NO_FACE = "no_face"
"""The detector (or the frontalizer's own detector) found no usable face."""
NOT_USED = "not_used"
"""Left out on purpose by the dataset card (``detail`` says which rule)."""
WEIGHTS_MISSING = "weights_missing"
"""The model's weights are out of reach on this machine."""
ENVIRONMENT_MISSING = "environment_missing"
"""The environment that a foreign system runs in was not made on this machine."""
REPOSITORY_MISSING = "repository_missing"
"""The code of a foreign system is not on this machine."""
MODEL_ERROR = "model_error"
"""The model failed on this image; ``detail`` carries the message."""
NOT_DELIVERED = "not_delivered"
"""Of images made elsewhere: nobody delivered a result for this photograph."""
TOO_FEW_VIEWS = "too_few_views"
"""Of a frontalizer that needs several photographs of a person: this one stands alone."""
VIEWS_DISAGREE = "views_disagree"
"""Of such a frontalizer: this photograph shows somebody else than the person's others."""
NO_REFERENCE = "no_reference"
"""In similarity tables only: a probe whose subject has no usable reference, so that there is nothing to compare it with."""

FAILURE_TO_ACQUIRE = frozenset({UNREADABLE, NO_FACE, MODEL_ERROR, NOT_DELIVERED, TOO_FEW_VIEWS, VIEWS_DISAGREE})
"""Counted as failure to acquire (FTA): an image was there, no embedding came out of it."""

CANNOT_RUN_HERE = frozenset({WEIGHTS_MISSING, ENVIRONMENT_MISSING, REPOSITORY_MISSING})
"""The model cannot run on this machine: no failure of an image."""

ALL = frozenset({OK, UNREADABLE, NO_FACE, NOT_USED, *CANNOT_RUN_HERE, MODEL_ERROR, NOT_DELIVERED, TOO_FEW_VIEWS, VIEWS_DISAGREE})
"""What a row of a table of images can say."""
