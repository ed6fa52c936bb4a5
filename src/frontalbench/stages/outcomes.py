"""Outcomes of frontalizers and enhancements as rows."""

from __future__ import annotations

from concurrent.futures import Executor

from frontalbench import images, status
from frontalbench.frontalize.base import Outcome
from frontalbench.stages.common import Row, failed, head


def image_row(row: Row, outcome: Outcome, pool: Executor | None = None) -> Row:
    """What a frontalizer or an enhancement made of ``row``, as a row of :data:`tables.FRONTALS`; packed on ``pool``, where there is one."""
    if outcome.status != status.OK or outcome.image is None:
        return failed(row, outcome.status if outcome.status != status.OK else status.MODEL_ERROR, outcome.detail or "no image came out")
    return {
        **head(row),
        "status": status.OK,
        "detail": outcome.detail,
        "seconds": outcome.seconds,
        "image": images.encode_png(outcome.image) if pool is None else pool.submit(images.encode_png, outcome.image),
    }
