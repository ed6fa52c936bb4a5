"""Every figure of one dataset: their names, what each needs, and how it is made.

:func:`stems` says which files come out before anything is run, so that a rule can declare them; :func:`make` draws them. A figure that has nothing
to draw (all failed, no yaw known) is still written and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.figures import examples, series
from frontalbench.figures.inputs import Inputs
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from frontalbench.figures.grids import Tile
    from frontalbench.images import RGB

NAMES = {
    "distributions": "similarity distributions of all groups, one row per variant",
    "gain_by_yaw": "Net Gain and identity gain in bins of |yaw|",
    "gain_curve": "Net Gain and identity gain as smooth curves over |yaw|",
    "heatmap": "detector x backbone, one value per cell with n and FTA",
    "cost": "seconds per image of every frontalizer and enhancement",
    "triples": "angled, frontal, GT: best, median and worst probes of a variant",
    "variants": "one probe through every variant, with its similarity",
    "ordered": "a frontal beside the gallery, sorted by similarity",
    "failures": "what failed, where and why",
}
GRIDS = frozenset({"triples", "variants", "ordered", "failures"})
"""Figures that show faces: JPEG, a tenth of the bytes of PNG, because the report carries them all."""


@dataclass(frozen=True)
class Request:
    """One figure: its name and what it is about (``variant``, ``judge``, ``metric`` as far as it needs them)."""

    name: str
    variant: str = ""
    judge: tuple[str, str] = ("", "")
    metric: str = ""

    @property
    def stem(self) -> str:
        """Path of the figure under the dataset's figure folder, without ending."""
        judge = f".{self.judge[0]}.{self.judge[1]}" if self.judge[0] else ""
        # A derived variant has a colon in its name, which some file systems refuse.
        subject = self.variant.replace(":", "-") or self.name
        return f"{self.name}/{subject}{judge}{'.' + self.metric if self.metric else ''}"

    @property
    def formats(self) -> tuple[str, ...]:
        return ("jpg",) if self.name in GRIDS else ("png", "svg")


@dataclass(frozen=True)
class ReportEntry:
    """What a rule says of one file: its path under the dataset's figure folder, and how the report shows it.

    ``caption``: a file in ``reports/captions``, "" for what the report leaves out; ``labels`` have the same keys in the same subcategory, as the
    report's tables want.
    """

    path: str
    caption: str
    subcategory: str
    labels: dict[str, str]


_SUBCATEGORY = {
    "distributions": "1 Similarity",
    "gain_by_yaw": "2 Gain",
    "gain_curve": "2 Gain",
    "heatmap": "3 Detectors and backbones",
    "cost": "4 Cost",
    "triples": "5 Pictures",
    "variants": "5 Pictures",
    "ordered": "5 Pictures",
    "failures": "6 Failures",
}


def report_entries(variants: Sequence[str], judges: Sequence[tuple[str, str]]) -> list[ReportEntry]:
    """Every file of :func:`stems` with its place in the report; of a plot with two files the SVG is shown."""
    entries = []
    for request in requests(variants, judges):
        labels = {"figure": request.name.replace("_", " ")}
        if request.name == "heatmap":
            labels |= {"variant": request.variant, "value": series.METRICS[request.metric]}
        elif request.judge[0]:
            labels |= (
                {"variant": request.variant}
                if request.name in ("triples", "ordered")
                else {"variant": "all"}
                if request.name == "variants"
                else {}
            )
            labels |= {"detector": request.judge[0], "backbone": request.judge[1]}
        for kind in request.formats:
            shown = len(request.formats) == 1 or kind == "svg"
            entries.append(ReportEntry(f"{request.stem}.{kind}", request.name if shown else "", _SUBCATEGORY[request.name], labels))
    return entries


def requests(variants: Sequence[str], judges: Sequence[tuple[str, str]]) -> Iterator[Request]:
    """The figures of a dataset with these variants (without ``original``) and these (detector, backbone) pairs; the first pair chooses pictures."""
    made = [v for v in variants if v != ORIGINAL]
    for judge in judges:
        yield Request("distributions", judge=judge)
        if made:
            yield Request("gain_by_yaw", judge=judge)
            yield Request("gain_curve", judge=judge)
    for metric in ("genuine", "rank1"):
        yield Request("heatmap", variant=ORIGINAL, metric=metric)
    for variant in made:
        yield Request("heatmap", variant=variant, metric="identity_gain")
        if parse(variant).has_pixels:
            yield Request("triples", variant=variant, judge=judges[0])
            yield Request("ordered", variant=variant, judge=judges[0])
    if made:
        yield Request("cost")
        yield Request("variants", judge=judges[0])
    yield Request("failures")


def stems(variants: Sequence[str], judges: Sequence[tuple[str, str]]) -> list[str]:
    """``name/file.png``, ``.svg`` or ``.jpg`` of every figure, in order, relative to the dataset's figure folder."""
    return [f"{request.stem}.{kind}" for request in requests(variants, judges) for kind in request.formats]


@dataclass
class Workshop:
    """Makes figures of one dataset; tables are read once and kept.

    ``notice``: ``""``, ``synthetic`` or ``research`` (the dataset card's licence). ``synthetic`` stands on every figure, ``research`` where faces are
    seen; ``examples``: rows per kind in the picture grids.
    """

    inputs: Inputs
    notice: str = ""
    edges: Sequence[float] = series.YAW_EDGES
    resamples: int = series.RESAMPLES
    seed: int = series.SEED
    examples: int = 3
    _similarity: dict[Path, pa.Table] = field(default_factory=dict, init=False, repr=False)

    def draw(self, request: Request) -> Figure:
        """The figure; raises :class:`BadInput` when its inputs are missing or hold nothing to draw."""
        makers: dict[str, Callable[[Request], Figure]] = {
            "distributions": self._distributions,
            "gain_by_yaw": self._gain_by_yaw,
            "gain_curve": self._gain_curve,
            "heatmap": self._heatmap,
            "cost": self._cost,
            "triples": self._triples,
            "variants": self._variants,
            "ordered": self._ordered,
            "failures": self._failures,
        }
        if request.name not in makers:
            raise BadInput(f"figure '{request.name}' is not known; known: {', '.join(NAMES)}")
        return makers[request.name](request)

    def make(self, out: Path, requests: Sequence[Request]) -> Iterator[tuple[Request, str]]:
        """Draw and save every figure under ``out``; yields each request with ``""``, or with the reason why there was nothing to draw."""
        from frontalbench.figures import plots, style

        for request in requests:
            reason = ""
            try:
                figure = self.draw(request)
            except BadInput as error:
                reason = str(error)
                figure = plots.nothing(reason, title=self._title(request), notice=self._notice(request))
            style.save(figure, out / f"{request.stem}.png", request.formats)
            yield request, reason

    # Tables -----------------------------------------------------------------------------------------------------------

    def _table(self, variant: str, judge: tuple[str, str]) -> pa.Table:
        path = self.inputs.similarity_of(variant, judge)
        if path not in self._similarity:
            self._similarity[path] = series.read_similarity(path)
        return self._similarity[path]

    def _judged(self, judge: tuple[str, str]) -> dict[str, pa.Table]:
        return {
            v: self._table(v, judge) for v in self.inputs.variants if grid.cell(self.inputs.dataset, v, *judge) in self.inputs.similarity
        }

    def _gains(self, variant: str, judge: tuple[str, str]) -> series.Gains:
        return series.gains(variant, self._table(ORIGINAL, judge), self._table(variant, judge))

    @cached_property
    def _original_pictures(self) -> tuple[Path, ...]:
        if ORIGINAL not in self.inputs.pictures:
            raise BadInput("figure: the image shards results/images/DATASET/*.parquet are needed too; add them to the inputs")
        return self.inputs.pictures[ORIGINAL]

    def _pictures(self, variant: str, ids: Sequence[str]) -> dict[str, RGB | None]:
        return examples.pictures(self.inputs.pictures.get(variant, ()), ids)

    def _notice(self, request: Request) -> str:
        return self.notice if request.name in GRIDS or self.notice != "research" else ""

    def _title(self, request: Request) -> str:
        judge = ", ".join(filter(None, request.judge))
        return ": ".join([self.inputs.dataset, NAMES[request.name].split(",")[0]]) + "".join(
            f" ({part})" for part in (request.variant, judge) if part
        )

    # Plots ------------------------------------------------------------------------------------------------------------

    def _distributions(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        groups = series.groups(self._table(ORIGINAL, request.judge), self._judged(request.judge), resamples=self.resamples, seed=self.seed)
        return plots.distributions(groups, title=self._title(request), notice=self._notice(request))

    def _gain_by_yaw(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        bins = {
            variant: series.by_yaw(self._gains(variant, request.judge), self.edges, resamples=self.resamples, seed=self.seed)
            for variant in self._judged(request.judge)
        }
        return plots.gain_by_yaw(bins, title=self._title(request), notice=self._notice(request))

    def _gain_curve(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        gains = {variant: self._gains(variant, request.judge) for variant in self._judged(request.judge)}
        return plots.gain_curve(gains, resamples=self.resamples, seed=self.seed, title=self._title(request), notice=self._notice(request))

    def _heatmap(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        cells = []
        for judge in self.inputs.judges:
            if grid.cell(self.inputs.dataset, request.variant, *judge) in self.inputs.similarity:
                original = None if request.variant == ORIGINAL else self._table(ORIGINAL, judge)
                cells.append(
                    series.cell_value(
                        request.metric, *judge, self._table(request.variant, judge), original, resamples=self.resamples, seed=self.seed
                    )
                )
        return plots.heatmap(
            cells,
            request.metric,
            title=f"{self.inputs.dataset}: {series.METRICS[request.metric]}, {request.variant}",
            notice=self._notice(request),
        )

    def _cost(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        return plots.cost(
            series.costs({v: shards for v, shards in self.inputs.pictures.items() if v != ORIGINAL}),
            title=self._title(request),
            notice=self._notice(request),
        )

    # Picture grids ----------------------------------------------------------------------------------------------------

    def _triples(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        gains = self._gains(request.variant, request.judge)
        chosen = examples.triples(
            gains, self._table(ORIGINAL, request.judge), self._table(request.variant, request.judge), each=self.examples
        )
        before = examples.pictures(self._original_pictures, [i for t in chosen for i in (t.image_id, t.reference_id)])
        after = self._pictures(request.variant, [t.image_id for t in chosen])
        rows = [
            [
                grids.Tile(before.get(t.image_id), (f"similarity to GT {_value(t.before)}",)),
                grids.Tile(after.get(t.image_id), (f"similarity to GT {_value(t.after)}",)),
                grids.Tile(before.get(t.reference_id), (t.subject,)),
            ]
            for t in chosen
        ]
        heads = [
            [
                t.rank,
                f"Net Gain {_gain(t.net)}",
                f"identity {_gain(t.identity)}",
                f"yaw {_number(t.yaw, '+.0f')}°" if t.yaw == t.yaw else "yaw unknown",
            ]
            for t in chosen
        ]
        title = f"{self.inputs.dataset}: {request.variant}, by Net Gain ({', '.join(request.judge)}, n = {len(gains.net):,}, {gains.lost:,} lost)"
        return grids.sheet(rows, title=title, notice=self._notice(request), columns=("Angled", "Frontal", "GT"), heads=heads)

    def _variants(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        original = self._table(ORIGINAL, request.judge)
        judged = {v: table for v, table in self._judged(request.judge).items() if parse(v).has_pixels}
        probes = examples.probes_to_show(original, most=max(1, min(self.examples, 4)))
        subject = dict(zip(series.strings(original, "image_id"), series.strings(original, "subject"), strict=True))
        pool = examples.references(original)
        references = {i: pool[subject[i]][0] for i in probes if pool.get(subject[i])}
        shown = examples.pictures(self._original_pictures, [*probes, *references.values()])
        similarity = {
            v: dict(zip(series.strings(t, "image_id"), series.numbers(t, "genuine"), strict=True))
            for v, t in {ORIGINAL: original, **judged}.items()
        }
        rows: list[list[Tile]] = []
        made = {v: self._pictures(v, probes) for v in judged}
        reasons = {v: dict(zip(series.strings(t, "image_id"), series.strings(t, "status"), strict=True)) for v, t in judged.items()}
        for probe in probes:
            tiles = [
                grids.Tile(shown.get(references.get(probe, "")), ("GT", str(subject[probe])), marked=True),
                grids.Tile(shown.get(probe), ("Angled", _value(similarity[ORIGINAL][probe]))),
            ]
            for variant in judged:
                value = similarity[variant].get(probe, float("nan"))
                text = _value(value) if value == value else reasons[variant].get(probe, "missing")
                tiles.append(grids.Tile(made[variant].get(probe), (variant, text), missing=reasons[variant].get(probe, "missing")))
            rows += [tiles[i : i + 7] for i in range(0, len(tiles), 7)]
        title = f"{self.inputs.dataset}: every variant of a probe, with its similarity to GT ({', '.join(request.judge)})"
        return grids.sheet(rows, title=title, notice=self._notice(request))

    def _ordered(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        original, variant = self._table(ORIGINAL, request.judge), self._table(request.variant, request.judge)
        gains = series.gains(request.variant, original, variant)
        chosen = examples.triples(gains, original, variant, each=max(1, self.examples - 1))
        vectors = [self._embeddings(v, request.judge) for v in (ORIGINAL, request.variant)]
        strips = [examples.ordered(t.image_id, original, vectors[0], vectors[1]) for t in chosen]
        shown = examples.pictures(self._original_pictures, [n.image_id for strip, _ in strips for n in strip])
        after = self._pictures(request.variant, [t.image_id for t in chosen])
        words = {"own": "own GT", "probe": "own angled photo", "other": "other"}
        rows = []
        for triple, (strip, size) in zip(chosen, strips, strict=True):
            tiles = [grids.Tile(after.get(triple.image_id), ("frontal", triple.subject))]
            for n in strip:
                place = f"{n.place} of {size}: " if n.place else ""
                tiles.append(grids.Tile(shown.get(n.image_id), (f"{place}{words[n.kind]}", _value(n.similarity)), marked=n.kind == "own"))
            rows.append(tiles)
        heads = [[t.rank, f"Net Gain {_gain(t.net)}"] for t in chosen]
        title = f"{self.inputs.dataset}: {request.variant}, ordered similarity of the frontal to the gallery ({', '.join(request.judge)})"
        return grids.sheet(rows, title=title, notice=self._notice(request), heads=heads, cell=128)

    def _embeddings(self, variant: str, judge: tuple[str, str]) -> pa.Table:
        cell = grid.cell(self.inputs.dataset, variant, *judge)
        if cell not in self.inputs.embeddings:
            raise BadInput(f"ordered similarity: the embeddings of {variant}, {', '.join(judge)} are needed too; add them to the inputs")
        return tables.concatenate(self.inputs.embeddings[cell], columns=["image_id", "status", "embedding"])

    def _failures(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        steps = []
        for variant in [ORIGINAL, *self.inputs.variants]:
            name = "photos" if variant == ORIGINAL else variant
            steps.append(
                examples.Step(
                    "reading the photos" if variant == ORIGINAL else variant, variant, ORIGINAL, self.inputs.pictures.get(variant, ())
                )
            )
            for (of, detector), shards in self.inputs.crops.items():
                if of == variant:
                    steps.append(examples.Step(f"{detector} on {name}", f"{variant} {detector}", variant, shards))
        found, counted = examples.failures(steps, most=4 * self.examples)
        if not found:
            raise BadInput("failures: none; every image went through every stage that is shown here")
        shown = {v: self._pictures(v, [f.image_id for f in found if f.step.sees == v]) for v in {f.step.sees for f in found}}
        tiles = [
            grids.Tile(
                shown[f.step.sees].get(f.image_id),
                (f"{f.status}: {f.identity}", f.step.label, f.detail),
                missing=f.detail or f.status.replace("_", " "),
            )
            for f in found
        ]
        summary = "; ".join(f"{stage}: {number:,} {state}" for (stage, state), number in sorted(counted.items()))
        return grids.sheet(
            [tiles[i : i + 6] for i in range(0, len(tiles), 6)],
            title=f"{self.inputs.dataset}: failures, each picture at the first stage where it fails",
            notes=[summary],
            notice=self._notice(request),
        )


def _number(value: float, form: str) -> str:
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}") if value == value else "none"


def _value(value: float) -> str:
    return _number(value, ".3f")


def _gain(value: float) -> str:
    return _number(value, "+.3f")
