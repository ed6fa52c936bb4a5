"""What every pose estimator looks like from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.detect.select import Face


class PoseEstimator(Protocol):
    """Measures how a head is turned."""

    @property
    def name(self) -> str: ...

    def estimate(self, image: RGB, face: Face) -> tuple[float, float, float, float]:
        """(yaw, pitch, roll, confidence) of ``face`` in ``image``.

        Degrees; yaw > 0: turned towards the left edge of the image, pitch > 0: looking down, roll > 0: tilted clockwise. Confidence is
        0..1, as far as the model knows one. Raises ValueError when the face is degenerate.
        """
        ...
