"""ISO/IEC 29794-5 face image quality by its reference implementation, OFIQ, where its Python package is installed and has its models.

``pip install python-ofiq==0.3.1`` brings the program, ``python-ofiq setup`` its models (some 400 MB, into ``~/.ofiq/data`` or ``OFIQ_DATA_DIR``).
OFIQ looks at the whole photograph and finds the face by itself; its components are scalars of 0 to 100, higher is better. Of the head pose, which
3DDFA_V2 gives, the raw angles are taken and brought to this project's convention, so that they stand beside the measured ones.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput, EnvironmentMissing, one_line
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

BRING = "pip install python-ofiq==0.3.1, then python-ofiq setup (models, 400 MB)"
SCALARS = ("UnifiedQualityScore", "Sharpness", "IlluminationUniformity", "ExpressionNeutrality")
POSE = ("HeadPoseYaw", "HeadPosePitch", "HeadPoseRoll")
Values = tuple[float, float, float, float, float, float, float]


class Ofiq:
    """``engine``: an ``ofiq.OFIQ``; ``no_value``: what it raises for an image that it finds no face, or no landmarks, in."""

    def __init__(self, engine: Any, no_value: type[Exception]) -> None:
        self._engine, self._no_value = engine, no_value

    def image(self, image: RGB) -> Values:
        """(yaw, pitch, roll in degrees, then :data:`SCALARS`, 0 .. 100) of a whole image; NaN for what it does not give.

        Raises :class:`BadInput` when the answer holds none of the components that are asked for: another version's names.
        """
        try:
            found = self._engine.vector_quality(np.ascontiguousarray(image), include_raw=True)
        except self._no_value:
            return (math.nan,) * 7
        if not {*SCALARS, *POSE} & set(found):
            raise BadInput(
                f"OFIQ gave {', '.join(sorted(found)[:5]) or 'nothing'}; expected components like {SCALARS[0]}: use python-ofiq 0.3.1"
            )
        yaw, pitch, roll = (_of(found, name, "raw") for name in POSE)
        known = all(_of(found, name, "scalar") >= 0 for name in POSE)  # below 0 or nothing: it could not be assessed
        pose = in_our_convention(yaw, pitch, roll) if known else (math.nan,) * 3
        sharp, light, calm = (value if value >= 0 else math.nan for value in (_of(found, name, "scalar") for name in SCALARS[1:]))
        whole = _of(found, SCALARS[0], "scalar")
        return (*pose, whole if whole >= 0 else math.nan, sharp, light, calm)


def _of(found: dict[str, Any], name: str, kind: str) -> float:
    component = found.get(name)
    return math.nan if component is None else float(component[kind])


def in_our_convention(yaw: float, pitch: float, roll: float) -> tuple[float, float, float]:
    """OFIQ's raw angles (degrees) as this project's yaw, pitch, roll.

    OFIQ reads them from 3DDFA_V2's matrix F (y up, z to the camera) as F = Rx(pitch) Ry(yaw) Rz(roll) (HeadPose of OFIQ 1.1); turned about x by
    180 degrees, F is the matrix of ours.
    """
    turned = matrix_from_angles(0.0, pitch) @ matrix_from_angles(-yaw) @ matrix_from_angles(0.0, 0.0, -roll)
    ours = angles_from_matrix(turned)
    return float(ours[0]), float(ours[1]), float(ours[2])


def load(card: ModelCard, *, threads: int = 1) -> Ofiq:
    """The measure of a card of family ``ofiq``: no params. ``threads`` is not used, the library decides.

    Raises :class:`EnvironmentMissing` where the package or its models are not here.
    """
    Params(card).finish()
    try:
        import ofiq
    except ImportError as error:
        raise EnvironmentMissing(f"{card.kind} {card.name}: {one_line(error)}; {BRING}") from None
    folder = Path(ofiq.resolve_data_dir())
    if not (folder / "ofiq_config.jaxn").is_file() or not (folder / "models").is_dir():
        raise EnvironmentMissing(f"{card.kind} {card.name}: no OFIQ models in {folder} (ofiq_config.jaxn, models/); {BRING}")
    try:
        return Ofiq(ofiq.OFIQ(str(folder)), ofiq.QualityError)
    except ofiq.OFIQError as error:
        raise EnvironmentMissing(f"{card.kind} {card.name}: OFIQ does not start with {folder}: {one_line(error)}; {BRING}") from None
