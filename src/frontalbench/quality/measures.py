"""Every measure of image quality, declared once; ``docs/add_a_measure.md`` shows how one is added.

The word in the configuration, the columns of the quality table, what the stage calls, the rows of the master table `quality` and the table in
``docs/statistics.md`` are made of :data:`MEASURES`. No stage imports it, so an edited sentence makes the summaries anew and no cell: what decides a
value is in the columns (the table's schema), in the card and in :meth:`Measure.meaning`, and these are hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FAMILIES: Mapping[str, str] = {
    "st_lpips": "frontalbench.quality.st_lpips:load",
    "inception": "frontalbench.quality.inception:load",
    "brisque": "frontalbench.quality.brisque:load",
    "fiqa_onnx": "frontalbench.quality.fiqa:load",
    "ofiq": "frontalbench.quality.ofiq:load",
}
"""Family of a card of kind ``quality`` -> what loads it."""
LOWER, HIGHER, NEITHER = "lower", "higher", ""


@dataclass(frozen=True)
class Column:
    """One column: which way is better, and what it is (the note of its rows). ``magnitude_of``: it is in the master table alone, the absolute value
    of that column of the quality table."""

    better: str
    what: str
    magnitude_of: str = ""


@dataclass(frozen=True)
class Measure:
    """``word``: its name in ``quality.measures``; ``about``: what it is, for whoever writes a configuration; ``columns``: in the order of the tables.

    ``card``: (kind, name) of the model behind it. ``method``: what the stage calls of the model, whose numbers fill ``columns`` in their order:
    ``score`` (crop), ``distance`` (crop, reference crop) or ``image`` (the whole image); empty where the stage has a way of its own. ``kept``:
    columns of the quality table before these. ``of_sets``: of the crops of a variant together, in a table of its own. ``bring``: how what it needs is
    brought, where that is no weight file.
    """

    word: str
    about: str
    columns: Mapping[str, Column]
    card: tuple[str, str] | None = None
    method: str = ""
    kept: tuple[str, ...] = field(default=())
    of_sets: bool = False
    bring: str = ""

    def meaning(self) -> str:
        """What decides a value besides the card's digest and the code: changes with it, and not with the sentences."""
        return f"{self.word}: {self.method or 'own'}({'/'.join(self.card or ())}) -> {', '.join(self.stored())}"

    def stored(self) -> list[str]:
        """Its columns of the quality table."""
        return [*self.kept, *(name for name, column in self.columns.items() if not column.magnitude_of)]


MEASURES: tuple[Measure, ...] = (
    Measure(
        "pixels",
        "SSIM, PSNR (against another reference of the person) and sharpness; cheap",
        {
            "ssim": Column(HIGHER, "luminance of the whole crop"),
            "psnr": Column(HIGHER, "dB, colours of the whole crop"),
            "ssim_face": Column(HIGHER, "inside the face mask"),
            "psnr_face": Column(HIGHER, "dB, inside the face mask"),
            "sharpness": Column(NEITHER, "variance of the Laplacian inside the face mask; noise and halos count as sharpness"),
        },
    ),
    Measure(
        "perceptual",
        "shift-tolerant LPIPS",
        {
            "st_lpips_alex": Column(LOWER, "shift-tolerant LPIPS (not LPIPS) of the whole crop; 0 is the same"),
            "st_lpips_alex_face": Column(LOWER, "shift-tolerant LPIPS (not LPIPS) inside the face mask"),
        },
        card=("quality", "st_lpips_alex"),
        method="distance",
    ),
    Measure(
        "no_reference",
        "BRISQUE",
        {"brisque": Column(LOWER, "no-reference score, 0 to about 100; made for whole photographs, so compare variants only")},
        card=("quality", "brisque_live"),
        method="score",
    ),
    Measure(
        "face_quality",
        "eDifFIQA",
        {"ediffiqa_tiny": Column(HIGHER, "face quality: how useful a recogniser is expected to find the crop")},
        card=("quality", "ediffiqa_tiny"),
        method="score",
    ),
    Measure(
        "pose",
        "how far the plain frontals are still turned",
        {
            "abs_yaw": Column(LOWER, "degrees, residual |yaw|", magnitude_of="yaw"),
            "abs_pitch": Column(LOWER, "degrees, residual |pitch|", magnitude_of="pitch"),
            "pose_error": Column(LOWER, "degrees between the image's pose and the frontal one"),
        },
        kept=("yaw", "pitch", "roll"),
    ),
    Measure(
        "expression",
        "distance to the expression of the photograph",
        {
            "expression": Column(LOWER, "mean difference of 51 blendshapes to the photograph"),
            "expression_landmarks": Column(
                LOWER,
                "mean distance of 68 landmarks to the photograph's in the plane, in distances of the outer eye corners (FSGAN 2019); turning counts",
            ),
            "expression_landmarks_turned": Column(
                LOWER, "the same after the photograph's landmarks were turned in space to look as the image does"
            ),
        },
        card=("landmarks", "face_landmarker"),
    ),
    Measure(
        "ofiq",
        "ISO/IEC 29794-5 quality of the whole image by OFIQ, where the package python-ofiq is installed",
        {
            "ofiq_unified": Column(HIGHER, "0 to 100, OFIQ's unified quality score of the whole image"),
            "ofiq_sharpness": Column(HIGHER, "0 to 100, its component Sharpness"),
            "ofiq_illumination": Column(HIGHER, "0 to 100, its component IlluminationUniformity"),
            "ofiq_expression": Column(HIGHER, "0 to 100, its component ExpressionNeutrality"),
            "ofiq_abs_yaw": Column(LOWER, "degrees, |yaw| as OFIQ sees it", magnitude_of="ofiq_yaw"),
            "ofiq_abs_pitch": Column(LOWER, "degrees, |pitch| as OFIQ sees it", magnitude_of="ofiq_pitch"),
            "ofiq_abs_roll": Column(LOWER, "degrees, |roll| as OFIQ sees it", magnitude_of="ofiq_roll"),
        },
        card=("quality", "ofiq"),
        method="image",
        kept=("ofiq_yaw", "ofiq_pitch", "ofiq_roll"),
        bring="pip install python-ofiq==0.3.1, then python-ofiq setup",
    ),
    Measure(
        "distribution",
        "FID and KID; three minutes of a core per 1,000 images",
        {
            "fid": Column(
                LOWER,
                "distance of the set of crops to the photographed references; biased upwards, the more the fewer images there are",
            ),
            "kid": Column(LOWER, "kernel distance of the set of crops to the photographed references; unbiased, so it may be below 0"),
        },
        card=("quality", "inception_2015"),
        of_sets=True,
    ),
)
"""All measures, in the order of the columns."""
BY_WORD: Mapping[str, Measure] = {measure.word: measure for measure in MEASURES}
OF_CROPS: tuple[Measure, ...] = tuple(measure for measure in MEASURES if measure.method)
"""Measures that a model takes of one crop, of a crop and its reference, or of a whole image."""
OF_IMAGES: tuple[Measure, ...] = tuple(measure for measure in MEASURES if measure.method == "image")
"""Those of whole images, which the stage has to be given."""
STORED: tuple[str, ...] = tuple(name for measure in MEASURES if not measure.of_sets for name in measure.stored())
"""The measured columns of the quality table, each a number per image, null where it was not measured."""


def columns(*, of_sets: bool = False) -> dict[str, Column]:
    """Measured values of the master table `quality`, by name: those of images, or ``of_sets``."""
    return {name: column for measure in MEASURES if measure.of_sets == of_sets for name, column in measure.columns.items()}


def asked(words: Iterable[str], *, of_sets: bool = False) -> list[Measure]:
    """The measures that a configuration asks for by these words, in the order of :data:`MEASURES`."""
    wanted = set(words)
    return [measure for measure in MEASURES if measure.word in wanted and measure.of_sets == of_sets]
