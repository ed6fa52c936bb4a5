"""Every column of every table in ``results/master/RUN``: its type, range and meaning.

The tables of columns in ``docs/statistics.md`` are made of it (``workflow/scripts/write_pages.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from frontalbench.quality import measures


@dataclass(frozen=True)
class Kind:
    """What a column holds: its type in the files, the range of its values and which way is better, both in words (empty: nothing to say)."""

    arrow: pa.DataType
    range: str = ""
    better: str = ""

    def where(self, range: str, better: str = "") -> Kind:
        """The same type with another range, or another way that is better."""
        return Kind(self.arrow, range, better)


TEXT, INT, REAL, YES = Kind(pa.string()), Kind(pa.int64(), "0 .."), Kind(pa.float64()), Kind(pa.bool_(), "yes, no")
LOST = INT.where("0 ..", "lower")
PLACE = INT.where("1 ..", "lower")
FOR_A, FOR_B = INT.where("0 ..", "more: variant_a is better"), INT.where("0 ..", "more: variant_b is better")
BY_GROUP = REAL.where("-1 .. 1 (a gain: -2 .. 2)", "genuine groups and gains: higher; impostor groups: lower")
BY_MEASURE = REAL.where("by measure", "`better`")
SIMILARITY = REAL.where("-1 .. 1", "higher")
THRESHOLD = REAL.where("-1 .. 1")
GAIN = REAL.where("-2 .. 2", "higher")
STRANGERS = REAL.where("-2 .. 2", "lower (strangers should not come nearer)")
A_OVER_B = REAL.where("-2 .. 2", "above zero: variant_a is better")
DIFFERENCE = REAL.where("any", "by measure")
FRACTION, SHARE, RATE = REAL.where("0 .. 1"), REAL.where("0 .. 1", "higher"), REAL.where("0 .. 1", "lower")
RATE_CHANGE = REAL.where("-1 .. 1", "lower")
CHANCE = REAL.where("0 .. 1", "not a quality; small = unlikely to be chance")
DPRIME = REAL.where("any", "higher")
SLOPE = REAL.where("any", "nearer to 0 (steeper falls with yaw are negative)")
YAW, ABS_YAW = REAL.where("-180 .. 180"), REAL.where("0 .. 180")
Column = tuple[Kind, str]

CELL: dict[str, Column] = {
    "dataset": (TEXT, "dataset card"),
    "synthetic": (YES, "the people of this dataset do not exist"),
    "variant": (TEXT, "`original`, `<frontalizer>.<enhancement>`, or a derived one `<recipe>:<variant>`"),
    "recipe": (TEXT, "recipe of a derived variant (fusion, control), else empty"),
    "frontalizer": (TEXT, "frontalizer card, empty for `original`"),
    "enhancement": (TEXT, "enhancement or chain, empty for `original`"),
    "detector": (TEXT, "detector card"),
    "backbone": (TEXT, "backbone card"),
    "leak": (YES, "the backbone took part in training or refining this variant; such a cell is never ranked"),
    "verified": (TEXT, "the weakest verification level among the cell's cards that have weights: none < contract < real-weights < golden"),
}
_COUNTED: dict[str, Column] = {
    "n_images": (INT, "images behind the mean"),
    "n_pairs": (INT, "pairs behind the images' values"),
    "n_identities": (INT, "identities (folders, sequences) among the images"),
    "n_subjects": (INT, "people among the images; the units of every interval and test"),
    "n_eligible": (INT, "images that should have had a value: not left out, and of a person with a usable reference"),
    "n_fta": (LOST, "failures to acquire among them: unreadable, no face, model error, not delivered (images made elsewhere)"),
    "fta_rate": (RATE, "n_fta / n_eligible"),
}
_MEAN: dict[str, Column] = {
    "mean": (BY_GROUP, "mean over the images"),
    "median": (BY_GROUP, "median over the images"),
    "sd": (REAL.where("0 .."), "standard deviation over the images (n - 1)"),
    "ci_low": (BY_GROUP, "95 % interval of the mean over people: lower end; empty below six people's worth"),
    "ci_high": (BY_GROUP, "upper end"),
}
_PEOPLE: dict[str, Column] = {
    "mean_people": (BY_GROUP, "mean over the people of each one's mean: everybody counts once, however many images there are"),
    "n_effective": (
        REAL.where("1 .. n_subjects"),
        "effective number of people, (sum n)^2 / sum n^2 of their images: n_subjects when all have equally many",
    ),
}
_DECIDABLE: Column = (
    YES,
    "whether p_holm could fall below 0.05 at all with so many people and tests; where it could not, p_holm is empty and the note says so",
)
_FALLBACKS: Column = (LOST, "fusions: images among them that rest on one embedding alone, as the other image gave none")
MASTER: dict[str, Column] = {
    **CELL,
    "group": (TEXT, "pair group or gain"),
    "subset": (TEXT, "own | common | penalised"),
    "yaw_axis": (TEXT, "all | abs | signed"),
    "yaw_bin": (TEXT, "bin of the original image's yaw in degrees"),
    "yaw_low": (YAW, "lower edge (included), empty for all and unknown"),
    "yaw_high": (YAW, "upper edge (excluded)"),
    **_COUNTED,
    **_MEAN,
    "n_fallback": (LOST, "fusions: images of n_images that rest on one embedding alone, as the other image gave none"),
    "mean_both": (BY_GROUP, "mean over the images with both embeddings; charts over yaw draw this one"),
    "both_low": (BY_GROUP, "95 % interval of mean_both: lower end"),
    "both_high": (BY_GROUP, "upper end"),
    **_PEOPLE,
    "share_gaining": (SHARE, "gains only: share of images whose gain is above zero"),
    "share_gaining_low": (SHARE, "95 % interval: lower end"),
    "share_gaining_high": (SHARE, "upper end"),
    "p_value": (
        CHANCE,
        "gains only: sign-flip permutation test on the people's mean gains, two-sided; with strangers in them not below Student's t on both sides",
    ),
    "p_holm": (CHANCE, "the same, adjusted (Holm) over all variants of dataset, judge, group, subset and bin; empty where not decidable"),
    "decidable": _DECIDABLE,
    "cohen_dz": (
        REAL.where("any", "higher (0.2 small, 0.5 medium, 0.8 large)"),
        "gains only: mean / standard deviation of the people's mean gains",
    ),
    "note": (TEXT, "what a reader must know before believing the row"),
}
_JUDGED: dict[str, Column] = {
    "angled_gt": (SIMILARITY, "mean Angled vs GT over the images that both gave"),
    "frontal_gt": (SIMILARITY, "mean Frontal vs GT over the same images"),
    "net_gain": (GAIN, "frontal_gt - angled_gt, mean of the paired differences"),
    "net_gain_low": (GAIN, "95 % interval: lower end"),
    "net_gain_high": (GAIN, "upper end"),
    "impostor_gain": (STRANGERS, "the same difference against other people's references"),
    "impostor_gain_low": (STRANGERS, "95 % interval: lower end"),
    "impostor_gain_high": (STRANGERS, "upper end"),
    "identity_gain": (GAIN, "net_gain - impostor_gain"),
    "identity_gain_low": (GAIN, "95 % interval: lower end"),
    "identity_gain_high": (GAIN, "upper end"),
    "net_gain_people": (GAIN, "net gain as the mean over people of each one's mean"),
    "identity_gain_people": (GAIN, "identity gain as the mean over people of each one's mean: what p_holm tests"),
    "p_holm": (CHANCE, "identity gain differs from zero: sign-flip test, Holm over the variants of the judge; empty where not decidable"),
    "decidable": _DECIDABLE,
    "share_gaining": (SHARE, "share of images with a positive Net Gain"),
    "share_gaining_low": (SHARE, "95 % interval: lower end"),
    "share_gaining_high": (SHARE, "upper end"),
    "n_images": (INT, "images that both gave (N)"),
    "n_subjects": (INT, "people among them"),
    "n_fallback": (LOST, "fusions: images among them that rest on one embedding alone (the other image gave none)"),
    "net_gain_both": (GAIN, "net_gain over the images with both embeddings"),
    "identity_gain_both": (GAIN, "identity_gain over the images with both embeddings"),
    "identity_gain_both_low": (GAIN, "95 % interval: lower end"),
    "identity_gain_both_high": (GAIN, "upper end"),
    "n_effective": _PEOPLE["n_effective"],
    "n_fta_angled": (LOST, "failures of the original images"),
    "n_fta_frontal": (LOST, "failures of the frontals"),
    "fta_rate_frontal": (RATE, "n_fta_frontal / eligible probes"),
    "angled_gt_own": (SIMILARITY, "mean Angled vs GT over every original that gave an embedding: not comparable with frontal_gt_own"),
    "frontal_gt_own": (SIMILARITY, "mean Frontal vs GT over every frontal that gave one"),
    "turned": (REAL.where("0 .. 1"), "gates only: share of the probes whose frontal is taken"),
    "brier": (
        RATE,
        "gate_learned only: Brier score of the chance that the frontal is the better one, on people it was not fitted on (a coin: 0.25)",
    ),
    "over_mirror": (GAIN, "fusions only: identity gain minus that of `fuse_mean:mirror.none`, over the images that both gave"),
    "over_mirror_low": (GAIN, "95 % interval: lower end; a fusion counts only when it is above zero"),
    "over_mirror_high": (GAIN, "upper end"),
    "net_gain_penalised": (GAIN, "Net Gain when a failure counts as a stranger's similarity"),
    "gain_ranked": (
        GAIN,
        "what the place is by: identity gain as the mean over people, over the images that every ranked variant of the judge gave",
    ),
    "n_images_ranked": (INT, "images that every ranked variant of the judge gave"),
    "place": (PLACE, "place by gain_ranked among the ranked variants of the judge"),
    "first": (PLACE, "best place that the significant differences leave open (sign-flip test on people, Holm over all pairs of the judge)"),
    "last": (PLACE, "worst place"),
}
_LEADER: dict[str, Column] = {
    "best": (
        YES,
        "leader of its ranking, above every rival and above leaving the image as it is: over people, over images, and p_runner_up below 0.05",
    ),
    "p_runner_up": (
        CHANCE,
        "the leader against the rival that it beats least clearly (leaving the image as it is among them): sign-flip test on people, counted "
        "once for every comparison of judge and table; empty elsewhere and where not decidable",
    ),
}
_COMPARED: dict[str, Column] = {
    "mean": (BY_GROUP, "mean over the images that every compared cell gave"),
    "ci_low": (BY_GROUP, "95 % interval: lower end"),
    "ci_high": (BY_GROUP, "upper end"),
    **_PEOPLE,
    "n_images": (INT, "images that every compared cell gave (N)"),
    "n_subjects": (INT, "people among them"),
    "mean_own": (BY_GROUP, "mean over this cell's own images: not comparable with its neighbours"),
    "n_own": (INT, "images behind mean_own"),
    "n_eligible": (INT, "images that should have had a value"),
    "n_fta": (LOST, "failures to acquire among them"),
    "fta_rate": (RATE, "n_fta / n_eligible"),
    **_LEADER,
    "note": (TEXT, "what a reader must know before believing the value"),
}
TABLES: dict[str, dict[str, Column]] = {
    "master": MASTER,
    "table1_net_gain": {
        **CELL,
        **_JUDGED,
        **_LEADER,
        "note": MASTER["note"],
    },
    "table2_enhancement": {
        **CELL,
        **_COMPARED,
        "change": (GAIN, "mean difference to the same frontalizer without enhancement, over the images that every compared cell gave"),
        "change_low": (GAIN, "95 % interval: lower end"),
        "change_high": (GAIN, "upper end"),
    },
    "table3_backbones": {
        **{k: v for k, v in CELL.items() if k not in ("recipe", "frontalizer", "enhancement", "leak")},
        "group": MASTER["group"],
        **_COMPARED,
    },
    "verification": {
        **CELL,
        "n_images": _COUNTED["n_images"],
        "n_subjects": _COUNTED["n_subjects"],
        "n_fallback": MASTER["n_fallback"],
        **{
            f"{name}_both": (kind, f"{words} over the images with both embeddings (fusions; else the same)")
            for name, kind, words in (
                ("dprime", DPRIME, "d'"),
                ("eer", RATE, "equal error rate, genuine pairs"),
                ("rank1", SHARE, "rank1"),
                ("rank5", SHARE, "rank5"),
                ("slope", SLOPE, "slope"),
                ("area", SIMILARITY, "area"),
            )
        },
        "n_genuine": (INT, "genuine pairs (probe, own reference)"),
        "n_impostor": (INT, "impostor pairs (probe, other person's reference)"),
        "n_eligible": _COUNTED["n_eligible"],
        "n_fta": _COUNTED["n_fta"],
        "fta_rate": _COUNTED["fta_rate"],
        "dprime": (DPRIME, "d' over all pairs"),
        "dprime_low": (DPRIME, "95 % interval: lower end"),
        "dprime_high": (DPRIME, "upper end"),
        "dprime_change": (DPRIME, "d' minus d' of `original` over the images that both gave"),
        "dprime_change_low": (DPRIME, "95 % interval: lower end"),
        "dprime_change_high": (DPRIME, "upper end"),
        "eer": (RATE, "equal error rate"),
        "eer_low": (RATE, "95 % interval: lower end"),
        "eer_high": (RATE, "upper end"),
        "rank1": (SHARE, "share of probes whose person has the most similar reference"),
        "rank1_low": (SHARE, "95 % interval: lower end"),
        "rank1_high": (SHARE, "upper end"),
        "rank5": (SHARE, "share of probes whose person is among the five most similar"),
        "rank5_low": (SHARE, "95 % interval: lower end"),
        "rank5_high": (SHARE, "upper end"),
        "n_gallery": (INT, "people in the gallery"),
        "slope": (SLOPE, "change of genuine similarity per 10 degrees of |yaw|"),
        "slope_low": (SLOPE, "95 % interval: lower end"),
        "slope_high": (SLOPE, "upper end"),
        "area": (SIMILARITY, "mean height of the smooth curve of genuine similarity over |yaw|"),
        "area_low": (SIMILARITY, "95 % interval: lower end"),
        "area_high": (SIMILARITY, "upper end"),
        "yaw_reach": (ABS_YAW, "largest |yaw| that the curve reaches, degrees"),
    },
    "error_rates": {
        **CELL,
        "fmr_target": (FRACTION, "false match rate that is not exceeded"),
        "supported": (YES, "at least 30 false matches stand behind it, among the pairs of people too"),
        "threshold": (THRESHOLD, "similarity threshold"),
        "fmr": (RATE, "false match rate reached"),
        "fnmr": (RATE, "share of genuine pairs below the threshold; empty where not supported by n"),
        "fnmr_low": (RATE, "95 % interval: lower end"),
        "fnmr_high": (RATE, "upper end"),
        "fnmr_with_fta": (RATE, "the same with failures counted as non-matches: fta + (1 - fta) fnmr"),
        "n_fallback": _FALLBACKS,
        "fnmr_both": (RATE, "FNMR at the same threshold over the images with both embeddings (fusions; else the same)"),
        "fnmr_change": (RATE_CHANGE, "FNMR minus FNMR of `original` at the same FMR, pairs and thresholds of the images that both gave"),
        "fnmr_change_low": (
            RATE_CHANGE,
            "95 % interval: lower end; empty where fewer than six people have more or fewer misses than before",
        ),
        "fnmr_change_high": (RATE_CHANGE, "upper end"),
        "note": (TEXT, "'not supported by n' where there are too few impostor pairs"),
    },
    "fnmr_by_yaw": {
        **CELL,
        "fmr_target": (FRACTION, "false match rate of the cell's threshold, over all angles; supported ones only"),
        "yaw_bin": (TEXT, "bin of the original image's |yaw| in degrees"),
        "yaw_low": (ABS_YAW, "lower edge (included), empty for unknown"),
        "yaw_high": (ABS_YAW, "upper edge (excluded)"),
        "n_images": (INT, "probes"),
        "n_pairs": (INT, "genuine pairs"),
        "n_subjects": (INT, "people"),
        "fnmr": (RATE, "share of the bin's genuine pairs below the threshold"),
        "fnmr_low": (RATE, "95 % interval: lower end"),
        "fnmr_high": (RATE, "upper end"),
        "n_fallback": _FALLBACKS,
        "fnmr_both": (RATE, "FNMR at the same threshold over the images with both embeddings (fusions; else the same)"),
    },
    "judges": {
        **{k: CELL[k] for k in ("dataset", "synthetic", "detector", "backbone")},
        "measure": (TEXT, "slope, area, z_slope, z_area, stability, fnmr"),
        "better": (TEXT, "higher or lower"),
        "n_images": (INT, "probes that every judge gave, with a known yaw"),
        "n_subjects": (INT, "people among them"),
        "value": (BY_MEASURE, "the measure over these probes"),
        "low": (BY_MEASURE, "95 % interval: lower end"),
        "high": (BY_MEASURE, "upper end"),
        "place": (PLACE, "place by value among the judges that may be compared"),
        "first": (PLACE, "best place that the significant differences leave open"),
        "last": (PLACE, "worst place"),
        "n_ranked": (INT.where("1 .."), "judges that may be compared: all for z_ measures and fnmr, else those with the same backbone"),
        "note": (TEXT, "what the measure is"),
    },
    "judge_pairs": {
        **{k: CELL[k] for k in ("dataset", "synthetic")},
        "measure": (TEXT, "as in `judges`"),
        "n_images": (INT, "probes that every judge gave, with a known yaw"),
        "n_subjects": (INT, "people among them"),
        "detector_a": (TEXT, "first judge"),
        "backbone_a": (TEXT, "first judge"),
        "detector_b": (TEXT, "second judge"),
        "backbone_b": (TEXT, "second judge"),
        "difference": (DIFFERENCE, "value of the first minus value of the second"),
        "low": (DIFFERENCE, "95 % interval: lower end"),
        "high": (DIFFERENCE, "upper end"),
        "p_value": (CHANCE, "two-sided, Student's t on what the difference is without each person, as probe and as reference"),
        "p_holm": (CHANCE, "adjusted (Holm) over all pairs of dataset and measure"),
        "decidable": (YES, "whether so many people can decide at all; where not, p_value is empty and the note says so"),
        "significant": (YES, "p_holm below 0.05"),
        "note": (TEXT, "what a reader must know before believing the row"),
    },
    "cmc": {
        **CELL,
        "rank": (INT.where("1 .. 20"), "rank, up to 20 or the size of the gallery"),
        "n_gallery": (INT, "people in the gallery"),
        "n_images": (INT, "probes with an embedding"),
        "share": (SHARE, "share of them whose person is among the `rank` most similar ones"),
        "share_low": (SHARE, "95 % interval: lower end"),
        "share_high": (SHARE, "upper end"),
        "share_with_fta": (SHARE, "the same with failures counted as not found: (1 - fta) share"),
        "n_fallback": _FALLBACKS,
        "share_both": (SHARE, "share over the images with both embeddings (fusions; else the same)"),
    },
    "det": {
        **CELL,
        "threshold": (THRESHOLD, "similarity threshold"),
        "fmr": (RATE, "false match rate"),
        "fnmr": (RATE, "false non-match rate"),
        "fnmr_low": (RATE, "95 % interval: lower end"),
        "fnmr_high": (RATE, "upper end"),
        "fnmr_both": (RATE, "the same over the images with both embeddings (fusions; else the same)"),
    },
    "curves": {
        **CELL,
        "yaw": (ABS_YAW, "|yaw| in degrees"),
        "mean": (
            SIMILARITY,
            "smooth curve of genuine similarity; fusions: of the images with both embeddings; only where images are near",
        ),
        "ci_low": (SIMILARITY, "pointwise 95 % band: lower end"),
        "ci_high": (SIMILARITY, "upper end"),
        "weight": (REAL, "images' worth of data behind the point"),
    },
    "identities": {
        **CELL,
        "subject": (TEXT, "person"),
        "n_images": (INT, "images that both gave"),
        "n_fallback": MASTER["n_fallback"],
        "n_fta": _COUNTED["n_fta"],
        "angled_gt": (SIMILARITY, "mean Angled vs GT"),
        "frontal_gt": (SIMILARITY, "mean Frontal vs GT"),
        "net_gain": (GAIN, "mean Net Gain"),
        "impostor_gain": (STRANGERS, "mean impostor gain"),
        "identity_gain": (GAIN, "mean identity gain"),
    },
    "wins": {
        "dataset": CELL["dataset"],
        "synthetic": CELL["synthetic"],
        "detector": CELL["detector"],
        "backbone": CELL["backbone"],
        "variant_a": (TEXT, "first variant"),
        "variant_b": (TEXT, "second variant"),
        "n_images": (INT, "probes that both gave"),
        "n_subjects": (INT, "people among them"),
        "wins_a": (FOR_A, "probes more similar to their GT in variant_a"),
        "ties": (INT, "probes equally similar (within 0.000001)"),
        "wins_b": (FOR_B, "probes more similar in variant_b"),
        "p_probes": (CHANCE, "exact sign test on probes; too small, since images of one person hang together"),
        "subjects_a": (FOR_A, "people whose mean is higher in variant_a"),
        "subjects_b": (FOR_B, "people whose mean is higher in variant_b"),
        "p_subjects": (CHANCE, "exact sign test on people"),
        "p_value": (CHANCE, "sign-flip test on the people's mean differences"),
        "p_holm": (CHANCE, "p_value adjusted (Holm) over all pairs of the dataset and judge; empty where not decidable"),
        "decidable": _DECIDABLE,
        "mean_difference": (A_OVER_B, "mean of (variant_a - variant_b) over the images"),
        "ci_low": (A_OVER_B, "95 % interval: lower end"),
        "ci_high": (A_OVER_B, "upper end"),
        "n_fallback": (LOST, "images among them for which a fusion of the two rests on one embedding alone, as the other image gave none"),
        "difference_both": (A_OVER_B, "mean difference over the other ones (no fusion: the same as mean_difference)"),
        "mean_people": (A_OVER_B, _PEOPLE["mean_people"][1]),
        "n_effective": _PEOPLE["n_effective"],
        "winner": (
            TEXT,
            "the better variant: p_holm below 0.05, and higher in the mean over people and in the mean over images; else empty",
        ),
        "leak": (YES, "the backbone took part in training one of the two"),
        "note": MASTER["note"],
    },
    "counts": {
        "dataset": CELL["dataset"],
        "synthetic": CELL["synthetic"],
        "detector": CELL["detector"],
        "backbone": CELL["backbone"],
        "n_images": (INT, "images of the dataset"),
        "n_identities": (INT, "identities"),
        "n_subjects": (INT, "people"),
        "n_references": (INT, "reference images"),
        "n_references_usable": (INT, "reference images that gave an embedding"),
        "n_probes": (INT, "probe images"),
        "n_probes_usable": (INT, "probes that gave an embedding and have a reference"),
        "n_no_reference": (LOST, "probes of people without a usable reference"),
        "n_unused": (INT, "images left out on purpose"),
        "n_unreadable": (LOST, "images that could not be decoded"),
        "n_no_face": (LOST, "images without a face found"),
        "n_subjects_without_reference": (INT, "people without a usable reference"),
        "n_subjects_without_probe": (INT, "people with references only"),
        "n_same_photo": (INT, "images whose bytes occur under another name too"),
        "yaw_known": (INT, "probes with a yaw"),
        "yaw_source": (TEXT, "where their yaw comes from"),
        "probes_by_yaw": (TEXT, "probes in each bin of |yaw| in degrees that has any"),
    },
    "missing": {
        **{k: CELL[k] for k in ("dataset", "variant", "detector", "backbone")},
        "status": (TEXT, "weights_missing, not_made, or the one failure that every image shares"),
        "n_images": (INT, "images concerned"),
        "reason": (TEXT, "what is missing and what to do"),
    },
    "quality": {
        **{k: CELL[k] for k in ("dataset", "synthetic", "variant", "frontalizer", "enhancement")},
        "detector": (TEXT, "detector whose aligned crops were compared"),
        "role": (TEXT, "probe, or reference (of `original` only: what two photographs of one person reach)"),
        "measure": (TEXT, f"{', '.join([*measures.columns(), *measures.columns(of_sets=True)])}; or one that is not measured"),
        "better": (TEXT, "higher or lower; empty where neither is"),
        "n_images": (INT, "images behind the mean"),
        "n_subjects": (INT, "people among them"),
        "n_references": (INT, "fid and kid: photographs that the set is held against"),
        "n_eligible": (INT, "images that should have had a value"),
        "n_fta": (LOST, "failures to acquire among them"),
        **{k: (BY_MEASURE, text) for k, (_, text) in _MEAN.items() if k != "sd"},
        "mean_people": (BY_MEASURE, _PEOPLE["mean_people"][1]),
        "n_effective": _PEOPLE["n_effective"],
        "n_common": (INT, "images that `original` gave too"),
        "change": (BY_MEASURE, "mean minus that of `original`, over the images that both gave"),
        "change_low": (BY_MEASURE, "95 % interval: lower end"),
        "change_high": (BY_MEASURE, "upper end"),
        "note": (TEXT, "what the measure is, or why there is no value"),
    },
    "published": {
        "table": (TEXT, "table of the study"),
        "frontalizer": (TEXT, "as the study names it"),
        "enhancement": (TEXT, "as the study names it"),
        "dataset": (TEXT, "as the study names it"),
        "judge": (TEXT, "detector + backbone as the study names it"),
        "group": (TEXT, "pair group"),
        "printed": (TEXT, "value as printed"),
        "printed_n": (INT, "N as printed"),
        "printed_failures": (INT, "faces not detected, as printed"),
        "check": (TEXT, "what does not add up, empty when nothing was found"),
        "rerun": (BY_GROUP, "our value over the images that both gave, where that very cell was run"),
        "rerun_low": (BY_GROUP, "95 % interval: lower end"),
        "rerun_high": (BY_GROUP, "upper end"),
        "rerun_n": (INT, "images behind it"),
        "rerun_cell": (TEXT, "dataset, variant, detector, backbone of our value"),
    },
    "software": {
        "software": (TEXT, "library, or `cpu` for the architecture and instruction sets of the processor"),
        "version": (TEXT, "its version"),
        "n_cells": (INT, "cells that it had a part in, from the image to the comparison"),
        "mixed": (YES.where("yes, no", "no"), "other cells, or parts of the same ones, had another version"),
        "note": (TEXT, "what to do about it"),
    },
}
"""Table -> column -> (type, meaning), in the order of the files."""


def schema(table: str) -> pa.Schema:
    """Arrow schema of a table."""
    return pa.schema([(name, kind.arrow) for name, (kind, _) in TABLES[table].items()])
