"""What a variant's recipe makes of a shard: a fusion, a control, a gate. A function from :class:`Shard` to :class:`Shard`, chosen once per cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from frontalbench import status
from frontalbench.compare import derived, gates, templates
from frontalbench.compare.feature import FeatureMap
from frontalbench.compare.kernel import Gallery
from frontalbench.compare.metadata import Metadata, places_of
from frontalbench.compare.shards import Embeddings, Shard
from frontalbench.plan.variant import FLIPPED, FLIPS, GATES, LEARNED, MATCHED, Variant
from frontalbench.types import Bool, Float, Float32

Recipe = Callable[[Shard], Shard]


def recipe_of(
    meta: Metadata,
    variant: Variant,
    shards: Sequence[Shard],
    originals: Sequence[Embeddings],
    gallery: Gallery,
    feature: FeatureMap | None = None,
    *,
    own: Sequence[Embeddings] = (),
    measured: Mapping[str, Float] | None = None,
    gate: gates.Gate | None = None,
) -> Recipe:
    """What to do with every shard of a variant before it is compared; a variant with pixels of its own stays as it is.

    ``shards``: all of the variant, with the originals beside them; ``originals``: what was read of these; ``gallery``: the references;
    ``feature``: the backbone's map, for ``feature_frontal``: without it every row of such a variant is ``weights_missing``; ``own``: what was read of
    the variant itself, for templates; ``measured``: what a quality table says of the photographs, for a learned gate (:data:`.gates.MEASURED`);
    ``gate``: what such a gate decided before, which is then taken as it is.
    """
    if variant.has_pixels or variant.recipe == MATCHED:
        return lambda shard: shard
    if variant.is_template:
        pooled = templates.pooled(meta, shards, templates.weights_of(variant.recipe, meta, own))
        return lambda shard: templates.replaced(meta, shard, pooled)
    if variant.recipe == "control_meanshift":
        shift = mean_shift_of(meta, shards)
        return lambda shard: shifted(shard, shift)
    if variant.recipe in FLIPS:
        weight = derived.BESIDE_FLIP if variant.weight is None else variant.weight
        opened = None if variant.recipe == FLIPPED else gates.by_yaw(meta.yaw, variant.angle or 0.0)
        return lambda shard: flipped(shard, weight, opened)
    if variant.recipe in GATES:
        by_yaw = gates.by_yaw(meta.yaw, variant.angle or 0.0)
        return lambda shard: gated(shard, by_yaw, fused=variant.recipe == "gate_fuse")
    if variant.recipe == LEARNED:
        learned = gate or _learned(meta, _seen(meta, originals, measured), _identity_gain(meta, gallery, shards))
        return lambda shard: gated(shard, learned, fused=False)
    if variant.recipe == "feature_frontal":
        return lambda shard: mapped(shard, feature, meta.yaw)
    if derived.combine(variant.recipe):
        return lambda shard: _with(shard, _either(shard))
    if variant.recipe == "fuse_yaw":
        by_turn = derived.weight_by_yaw(meta.yaw)[:, None]
        return lambda shard: _with(shard, (derived.fuse_mean(*_either(shard), by_turn[shard.rows]),))
    weight = derived.HALF if variant.weight is None else variant.weight
    return lambda shard: _with(shard, (derived.fuse_mean(*_either(shard), weight),))


def shifted(shard: Shard, shift: Float) -> Shard:
    """The originals moved by ``shift`` (D,), for rows that have both embeddings."""
    assert shard.original is not None
    words, detail = shard.status.copy(), shard.detail.copy()
    alone = shard.ok & ~shard.original_ok
    words[alone], detail[alone] = status.NO_FACE, "no embedding of the original"
    both = shard.ok & shard.original_ok
    vectors = np.where(both[:, None], derived.mean_shift(shard.original, shift), np.float32(0.0))
    return Shard(shard.rows, words, detail, (vectors,), shard.original, shard.original_ok)


def gated(shard: Shard, gate: gates.Gate, *, fused: bool) -> Shard:
    """The frontal (``fused``: its mean with the photograph) of the rows that the gate turns, the photograph of the others."""
    first, second = _either(shard)
    turned = gate.turned[shard.rows]
    taken = derived.fuse_mean(first, second) if fused else second
    made = _with(shard, (np.where(turned[:, None], taken, first),))
    # where the photograph is meant to stay, a frontal that is missing is not missed
    why = shard.original_ok & (shard.ok | ~turned)
    made.detail[why] = gate.words[shard.rows][why]
    return made


def flipped(shard: Shard, weight: float, gate: gates.Gate | None = None) -> Shard:
    """The mean of photograph, mirror image and frontal, the frontal's ``weight`` given; without it (where the ``gate`` is shut, or there is none) the
    mean of the other two."""
    assert shard.mirrored is not None and shard.mirrored_ok is not None
    first, frontal = _either(shard)
    second = np.where(shard.mirrored_ok[:, None], shard.mirrored, first)
    taken = shard.ok if gate is None else shard.ok & gate.turned[shard.rows]
    two, three = derived.fuse_mean(first, second), derived.fuse_flip(first, second, frontal, weight)
    made = _with(shard, (np.where(taken[:, None], three, two),))
    alone = made.ok & ~shard.ok & shard.mirrored_ok
    made.detail[alone] = f"{derived.ALONE[0]}, with its mirror image: the frontal has no embedding"
    if gate is not None:
        why = shard.original_ok & (shard.ok | ~gate.turned[shard.rows])
        made.detail[why] = gate.words[shard.rows][why]
    return made


def mapped(shard: Shard, feature: FeatureMap | None, yaw: Float32) -> Shard:
    """The mean of both embeddings, mapped by ``feature``; ``yaw`` (N,) of all images of the dataset, degrees."""
    first, second = _either(shard)
    if feature is not None:
        return _with(shard, (feature.apply(first, second, yaw[shard.rows]),))
    made = _with(shard, (np.zeros_like(first),))
    usable = made.ok
    made.status[usable], made.detail[usable] = status.WEIGHTS_MISSING, "no feature map of this backbone"
    return made


def _either(shard: Shard) -> tuple[Float32, Float32]:
    """(original, frontal), each in the other's place where only one of them is there."""
    assert shard.original is not None
    original, frontal = shard.original, shard.vectors[0]
    return np.where(shard.original_ok[:, None], original, frontal), np.where(shard.ok[:, None], frontal, original)


def _with(shard: Shard, vectors: tuple[Float32, ...]) -> Shard:
    """A fusion's rows: there where one of the two embeddings is, and its detail says when it is one alone."""
    words, detail, ok, there = shard.status.copy(), shard.detail.copy(), shard.ok, shard.original_ok
    words[there] = status.OK
    detail[there & ~ok] = f"{derived.ALONE[0]}: the frontal has no embedding"
    detail[ok & ~there] = f"{derived.ALONE[1]}: the original has no embedding"
    detail[ok & there] = ""
    return Shard(shard.rows, words, detail, vectors, shard.original, there)


def mean_shift_of(meta: Metadata, shards: Sequence[Shard]) -> Float:
    """(D,) mean frontal minus mean angled embedding over the probes that have both."""
    parts, n = [], 0
    for shard in shards:
        assert shard.original is not None
        both = _probes_with_both(meta, shard)
        parts.append((shard.vectors[0][both].astype(np.float64) - shard.original[both]).sum(axis=0))
        n += int(both.sum())
    shift: Float = sum(parts[1:], parts[0]) / max(n, 1)
    return shift


def _probes_with_both(meta: Metadata, shard: Shard) -> Bool:
    both: Bool = shard.ok & shard.original_ok & (meta.role[shard.rows] == "probe")
    return both


def _learned(meta: Metadata, seen: Float, gain: Float) -> gates.Gate:
    chance = gates.cross_fitted(seen, gain, meta.subject_code)
    return gates.learned(np.where(meta.role == "probe", chance, np.nan), gates.unknown(seen))


def _seen(meta: Metadata, originals: Sequence[Embeddings], measured: Mapping[str, Float] | None = None) -> Float:
    """(N, K) what a learned gate sees of each photograph (:func:`.gates.design`)."""
    score, norm = np.full(len(meta), np.nan), np.full(len(meta), np.nan)
    for one in originals:
        rows = places_of(meta, one.image_id, one.path)
        score[rows], norm[rows] = one.score, one.norm
    return gates.design(meta.yaw, meta.pitch, score, norm, measured)


def _identity_gain(meta: Metadata, gallery: Gallery, shards: Sequence[Shard]) -> Float:
    """(N,) of each probe with both embeddings: what its frontal gains on the own references more than on strangers'; NaN elsewhere."""
    sums = np.zeros((meta.n_subjects, gallery.vectors.shape[1]))
    np.add.at(sums, gallery.subject, np.asarray(gallery.vectors, np.float64))
    number = np.bincount(gallery.subject, minlength=meta.n_subjects)
    everybody, n = sums.sum(axis=0), len(gallery.subject)
    gain = np.full(len(meta), np.nan)
    for shard in shards:
        assert shard.original is not None
        code = meta.subject_code[shard.rows]
        own, others = number[code], n - number[code]
        usable = _probes_with_both(meta, shard) & (own > 0) & (others > 0)
        moved = (shard.vectors[0].astype(np.float64) - shard.original)[usable]
        mean = sums[code[usable]]
        to_own = np.einsum("ij,ij->i", moved, mean) / own[usable]
        to_others = np.einsum("ij,ij->i", moved, everybody - mean) / others[usable]
        gain[shard.rows[usable]] = to_own - to_others
    return gain
