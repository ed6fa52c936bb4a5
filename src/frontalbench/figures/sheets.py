"""Sheets of images: which people a variant was best, middling and worst for, what an enhancement changed, who the gallery puts first, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from frontalbench import tables
from frontalbench.compare.jackknife import KURTOSIS_OF_CHANGES
from frontalbench.errors import BadConfig, BadInput
from frontalbench.figures import examples, palette, series
from frontalbench.figures.plot import NAME, Plot
from frontalbench.figures.reading import Reading
from frontalbench.plan import grid
from frontalbench.plan import variant as variant_names
from frontalbench.plan.variant import ORIGINAL, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from frontalbench.figures.dataset import Request
    from frontalbench.figures.grids import Tile

PLOTS = (
    Plot(
        "triples",
        "angled, frontal, GT: best, median and worst probes of a variant",
        "5 Images",
        about="variant",
        faces=True,
        judged=True,
        kilobytes=220,
        needs="similarity, images, the variant's images (and crops, for a method that moves the crop)",
        shows="angled, what the variant made of it, GT: the best, the most ordinary and the worst by Net Gain",
        caption=f"Angled photograph, what the variant made of it, and GT of the probes of {NAME} with the best, the most ordinary and "
        "the worst Net Gain, with their similarity to the person's GT. The rows are chosen by the numbers alone, ties by "
        "name, and of different people as far as there are enough: nobody picked them.",
    ),
    Plot(
        "variants",
        "one probe through every variant, with its similarity",
        "5 Images",
        about="dataset",
        faces=True,
        judged=True,
        per_variant=26,
        needs="the same, all variants",
        shows="one probe through every variant",
        caption=f"One probe of {NAME} in every variant, from a slightly to a strongly turned head, beside the person's GT (framed); "
        "the number is the similarity to the GT. Where a variant failed its status stands in place of the number.",
    ),
    Plot(
        "before_after",
        "before and after an enhancement, with the difference under every judge",
        "5 Images",
        about="variant",
        enhanced=True,
        faces=True,
        judged=True,
        kilobytes=240,
        needs="similarity under all judges, images, the images of the variant and of the plain frontals",
        shows="angled, the frontal before and after the enhancement, GT: the probes whose similarity rose most, least, and in between; below them "
        "what the enhancement changed under every judge, above them its mean over all probes",
        caption=f"Probes of {NAME} before and after an enhancement: the ones whose similarity to the GT changed for the better, for the worse, and "
        "most like the middle one, by the first judge. Below the image after stands what the enhancement changed under every judge, above all "
        "images the mean difference of all probes that both have, with its 95 % interval over people. A judge in brackets took part in making "
        "these images: what only such a judge sees says nothing about the person.",
    ),
    Plot(
        "ordered",
        "a frontal beside the gallery, sorted by similarity",
        "5 Images",
        about="variant",
        faces=True,
        judged=True,
        kilobytes=320,
        needs="the same and embeddings",
        shows="a frontal beside the gallery, most similar first, the own GT framed",
        caption=f"What a variant made of a photograph, beside the gallery of {NAME}, the most similar GT first: the person's own GT is "
        "framed wherever it lands, and that photograph is shown at its own similarity. Identity is kept where the framed "
        "image comes first and well before the next; one image (the most similar one) is shown per person.",
    ),
    Plot(
        "failures",
        "what failed, where and why",
        "6 Failures",
        about="dataset",
        faces=True,
        frontals=False,
        kilobytes=110,
        needs="images, frontals, variants, crops",
        shows='every image that failed, once, at the first step where it did; "also" names later steps at which the same '
        "image failed. The counts above count every step",
        caption=f'Images of {NAME} for which no embedding came out, each once, at the first step where it failed; "also" names '
        "the later steps at which the same image failed. They are counted as failures to acquire (FTA) in every table; a "
        "selection over all kinds of failure is shown, the line above gives all counts.",
    ),
)
"""The figures that show faces; :data:`frontalbench.figures.dataset.PLOTS` holds them with the others."""


class Sheets(Reading):
    """Makes :data:`PLOTS`."""

    def _triples(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        gains = self._gains(request.variant, request.judge)
        chosen = examples.triples(
            gains, self._table(ORIGINAL, request.judge), self._table(request.variant, request.judge), each=self.examples
        )
        before = examples.pixels_of(self._original_images, [i for t in chosen for i in (t.image_id, t.reference_id)])
        after = self._images(request.variant, [t.image_id for t in chosen])
        # A method that only moves the crop shows what it does in no image but the crop.
        moved = examples.pixels_of(self._moved_crops(request), [t.image_id for t in chosen])
        rows = []
        for t in chosen:
            row = [
                grids.Tile(before.get(t.image_id), (f"similarity to GT {_value(t.before)}",)),
                grids.Tile(after.get(t.image_id), (f"similarity to GT {_value(t.after)}",)),
                grids.Tile(before.get(t.reference_id), (t.subject,)),
            ]
            rows.append(row[:2] + [grids.Tile(moved.get(t.image_id), ("as it is judged",))] * bool(moved) + row[2:])
        heads = [
            [
                t.words,
                f"Net Gain {_gain(t.net)}",
                f"identity {_gain(t.identity)}",
                f"yaw {_number(t.yaw, '+.0f')}°" if t.yaw == t.yaw else "yaw unknown",
            ]
            for t in chosen
        ]
        title = f"{self.inputs.dataset}: {request.variant}, by Net Gain ({', '.join(request.judge)}, n = {len(gains.net):,}, {gains.lost:,} lost)"
        columns = ("Angled", palette.heading(request.variant), *["Moved crop"] * bool(moved), "GT")
        return grids.sheet(rows, title=title, notice=self.notice, credit=self.credit, columns=columns, heads=heads)

    def _moved_crops(self, request: Request) -> tuple[Path, ...]:
        """The crops of a variant whose card aligns its images in a way of its own, by the judge's detector; none for the others."""
        own = palette.aligns(request.variant)
        return self.inputs.crops.get((request.variant, request.judge[0]), ()) if own else ()

    def _variants(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        original = self._table(ORIGINAL, request.judge)
        judged = {v: table for v, table in self._judged(request.judge).items() if parse(v).has_pixels}
        probes = examples.probes_to_show(original, most=max(1, min(self.examples, 4)))
        subject = dict(zip(series.strings(original, "image_id"), series.strings(original, "subject"), strict=True))
        pool = examples.references(original)
        references = {i: pool[subject[i]][0] for i in probes if pool.get(subject[i])}
        shown = examples.pixels_of(self._original_images, [*probes, *references.values()])
        similarity = {
            v: dict(zip(series.strings(t, "image_id"), series.numbers(t, "genuine"), strict=True))
            for v, t in {ORIGINAL: original, **judged}.items()
        }
        rows: list[list[Tile]] = []
        made = {v: self._images(v, probes) for v in judged}
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
        return grids.sheet(rows, title=title, notice=self.notice, credit=self.credit)

    def _before_after(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        plain = plain_of(request.variant, self.inputs.variants)
        judges = [one for one in self.inputs.judges if {plain, request.variant} <= self._judged(one).keys()]
        if not plain or request.judge not in judges:
            raise BadInput(
                f"before and after: the similarity of {request.variant} and of the plain frontals is needed; add both to the inputs"
            )
        insiders = _insiders(self.inputs.dataset, request.variant, judges)
        changes = {judge: series.gains(request.variant, self._table(plain, judge), self._table(request.variant, judge)) for judge in judges}
        of_row = {judge: {str(i): float(net) for i, net in zip(g.image_id, g.net, strict=True)} for judge, g in changes.items()}
        chosen = examples.triples(
            changes[request.judge], self._table(ORIGINAL, request.judge), self._table(request.variant, request.judge), each=1
        )
        wanted = [t.image_id for t in chosen]
        shown = examples.pixels_of(self._original_images, [*wanted, *(t.reference_id for t in chosen)])
        before, after = self._images(plain, wanted), self._images(request.variant, wanted)

        def called(judge: tuple[str, str]) -> str:
            name = ", ".join(judge)
            return f"({name})" if judge in insiders else name

        def difference(judge: tuple[str, str], image_id: str) -> str:
            value = of_row[judge].get(image_id)
            return f"{'failed' if value is None else _gain(value)} {called(judge)}"

        rows = [
            [
                grids.Tile(shown.get(t.image_id), ("photograph",)),
                grids.Tile(before.get(t.image_id), (f"similarity to GT {_value(t.after - t.net)}",)),
                grids.Tile(
                    after.get(t.image_id), (f"similarity to GT {_value(t.after)}", *(difference(judge, t.image_id) for judge in judges))
                ),
                grids.Tile(shown.get(t.reference_id), (t.subject,)),
            ]
            for t in chosen
        ]
        notes = []
        for judge, found in changes.items():
            mean = series.mean_interval(found.net, found.subject, KURTOSIS_OF_CHANGES)
            span = f" [{_gain(mean.low)}, {_gain(mean.high)}]" if mean.low == mean.low else ""
            notes.append(f"{called(judge)}: {_gain(mean.mean)}{span}, n = {len(found.net):,}, {found.lost:,} lost")
        return grids.sheet(
            rows,
            title=f"{self.inputs.dataset}: {request.variant} against {plain}, chosen by {', '.join(request.judge)}",
            notice=self.notice,
            credit=self.credit,
            columns=("Angled", "Before", "After", "GT"),
            heads=[[t.words, "after less", f"before {_gain(t.net)}"] for t in chosen],
            wrap=2,
            notes=[f"Change in similarity to GT, 95 % over people: {notes[0]}", *notes[1:]],
        )

    def _ordered(self, request: Request) -> Figure:
        from frontalbench.figures import grids

        original, variant = self._table(ORIGINAL, request.judge), self._table(request.variant, request.judge)
        gains = series.gains(request.variant, original, variant)
        chosen = examples.triples(gains, original, variant, each=max(1, self.examples - 1))
        vectors = [self._embeddings(v, request.judge) for v in (ORIGINAL, request.variant)]
        strips = [examples.ordered(t.image_id, original, vectors[0], vectors[1]) for t in chosen]
        shown = examples.pixels_of(self._original_images, [n.image_id for strip, _ in strips for n in strip])
        after = self._images(request.variant, [t.image_id for t in chosen])
        words = {"own": "own GT", "probe": "own angled photograph", "other": "other"}
        rows = []
        for triple, (strip, size) in zip(chosen, strips, strict=True):
            tiles = [grids.Tile(after.get(triple.image_id), (palette.heading(request.variant).lower(), triple.subject))]
            for n in strip:
                place = f"{n.place} of {size}: " if n.place else ""
                tiles.append(grids.Tile(shown.get(n.image_id), (f"{place}{words[n.kind]}", _value(n.similarity)), marked=n.kind == "own"))
            rows.append(tiles)
        heads = [[t.words, f"Net Gain {_gain(t.net)}"] for t in chosen]
        title = f"{self.inputs.dataset}: {request.variant}, ordered similarity to the gallery ({', '.join(request.judge)})"
        return grids.sheet(rows, title=title, notice=self.notice, credit=self.credit, heads=heads, cell=128)

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
            made = "reading the photographs" if variant == ORIGINAL else variant
            steps.append(examples.Step(made, variant, self._made_from(variant), self.inputs.images.get(variant, ())))
            for (of, detector), shards in self.inputs.crops.items():
                if of == variant:
                    steps.append(examples.Step(f"{detector} on {name}", variant, variant, shards, makes=False))
        found, counted = examples.failures(steps, most=4 * self.examples)
        if not found:
            raise BadInput("failures: none; every image went through every stage that is shown here")
        shown = {v: self._images(v, [f.image_id for f in found if f.step.sees == v]) for v in {f.step.sees for f in found}}
        tiles = []
        for f in found:
            more = f"also: {', '.join(f.also)}" if f.also else ""
            lines = tuple(filter(None, (f.status.replace("_", " "), f.step.label, f.identity, more)))
            tiles.append(grids.Tile(shown[f.step.sees].get(f.image_id), lines, missing=f.detail or f.status.replace("_", " ")))
        summary = "; ".join(f"{stage}: {number:,} {state}" for (stage, state), number in sorted(counted.items()))
        return grids.sheet(
            [tiles[i : i + 6] for i in range(0, len(tiles), 6)],
            title=f"{self.inputs.dataset}: failures, each image once, at the first step where it failed",
            notes=[summary],
            notice=self.notice,
            credit=self.credit,
            wrap=4,
        )

    def _made_from(self, variant: str) -> str:
        """Whose pixels a variant is made from: an enhanced one from the plain one, where that is there, else the photograph."""
        plain = f"{palette.frontalizer_of(variant)}.none"
        return plain if variant not in (ORIGINAL, plain) and plain in self.inputs.images else ORIGINAL


def plain_of(variant: str, variants: Sequence[str]) -> str:
    """The frontals without enhancement, among ``variants``, that an enhanced variant was made of; "" where there are none."""
    of = parse(variant)
    plain = "" if of.is_plain or of.is_original or not of.has_pixels else variant_names.made(of.frontalizer)
    return plain if plain in variants else ""


def _insiders(dataset: str, variant: str, judges: Sequence[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The judges that took part in making a variant. Of a model or dataset without a card here nothing is known."""
    from frontalbench.tabulate import facts

    cells = {judge: grid.cell(dataset, variant, *judge) for judge in judges}
    try:
        known = facts.from_cards(cells.values())
    except BadConfig:
        return frozenset()
    return frozenset(judge for judge, cell in cells.items() if known.leak(cell))


def _number(value: float, form: str) -> str:
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}") if value == value else "none"


def _value(value: float) -> str:
    return _number(value, ".3f")


def _gain(value: float) -> str:
    return _number(value, "+.3f")
