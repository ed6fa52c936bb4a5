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
from frontalbench.compare.jackknife import KURTOSIS_OF_CHANGES
from frontalbench.compare.rows import read_rows
from frontalbench.errors import BadConfig, BadInput
from frontalbench.figures import examples, palette, series
from frontalbench.figures.inputs import Inputs
from frontalbench.figures.plot import NAME, Plot
from frontalbench.plan import grid
from frontalbench.plan import variant as variant_names
from frontalbench.plan.variant import LEARNED, ORIGINAL, control_of, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from frontalbench.figures.grids import Tile
    from frontalbench.images import RGB


PLOTS = (
    Plot(
        "distributions",
        "similarity distributions of all groups, one row per variant",
        "1 Similarity",
        about="judge",
        frontals=False,
        per_variant=12,
        needs="similarity of `original` and the variants",
        shows="a row for GT vs GT, the angled photos and each variant; filled: against the own GT, outlined: against the angled "
        "photo, grey: impostors",
        caption=f"How similar two pictures of the same person are, as {NAME} is judged by the detector and backbone named in the "
        "title: each row is one kind of probe (GT against GT, the angled photos, every variant), filled against the "
        "person's own GT, outlined against the angled photo itself, grey against other people. The diamond is the mean "
        "with its 95 % interval (over people; none with fewer than six) and n counts pictures: a frontalizer keeps "
        "identity where its filled hill lies right of the one of the angled photos while its grey hill does not move.",
    ),
    Plot(
        "gain_by_yaw",
        "Net Gain and identity gain in bins of |yaw|",
        "2 Gain",
        about="judge",
        per_variant=11,
        needs="the same",
        shows="identity gain (full colour) and Net Gain (pale, dashed) in bins of |yaw|, a panel per variant on common axes",
        caption=f"What frontalization changes in {NAME}, by how far the head is turned: Net Gain is similarity(frontal, GT) minus "
        "similarity(angled, GT) of the same probe, identity gain takes away what the same picture gains on other people's "
        "GT. Above zero the frontal view is better than the photo it was made from; a panel per variant, all on the same "
        "axes; bars are 95 % intervals over people, n is the number of probes in the bin, a hollow mark has too few people "
        "for an interval, and probes that lost their face are counted as failures and not here.",
    ),
    Plot(
        "gain_curve",
        "Net Gain and identity gain as smooth curves over |yaw|",
        "2 Gain",
        about="judge",
        per_variant=11,
        needs="the same",
        shows="the same as smooth curves; drawn only where probes cover at least 8 different degrees",
        caption=rf"Net Gain and identity gain in {NAME} as a smooth function of the measured \|yaw\| (local linear fit), with a band "
        "of 95 % over people. Only drawn where probes cover enough different angles; between two nominal angles a curve "
        "would be invented, and the bins of the other figure are all there is.",
    ),
    Plot(
        "gate_sweep",
        "identity gain of gates against the share of probes turned",
        "2 Gain",
        about="judge",
        per_variant=9,
        needs="the same; for the control `mirror.none`",
        shows="mean identity gain over *all* probes when only those from some |yaw| on are turned, against the share turned; a panel per "
        "variant, its control (`mirror.none`, or the same fusion of it) dashed in each; the best gate's angle is written at its point",
        caption=rf"What turning only some pictures of {NAME} gains: each point is a gate that takes the frontal from some \|yaw\| on and the "
        "photograph below it, and its height is the mean identity gain over all probes, turned or not, with a band of 95 % over "
        "people. Where the curve is highest left of its right end, selective frontalization beats turning every picture; the "
        "best angle is chosen on the pictures that are shown, so its height is a little flattered. The dashed line is the "
        "same gate over mirror images.",
    ),
    Plot(
        "turn_curve",
        "similarity, identity gain and d' against the yaw that stays",
        "2 Gain",
        about="judge",
        turns=True,
        per_variant=14,
        needs="the same; only where variants with a share of the angle (`tddfa@0.85`) are in the grid",
        shows="similarity to the own GT, identity gain and d' against the share of the yaw that stays (100 %: drawn, not turned; 0 %: the frontal "
        "view), a row for each bin of |yaw|, a line for each method and each fusion of it; the photograph dashed",
        caption=rf"What every degree of turning costs or gains in {NAME}: a face is turned a part of the way to the front, and the share of its yaw "
        "that stays is on the horizontal axis, from the same face drawn and not turned (100 %), which is the price of the drawing alone, to the "
        r"frontal view (0 %). Each row is a bin of \|yaw\|; the three charts are the similarity to the person's own GT, the identity gain over "
        "the photograph, and d'; the dashed line is the photograph. Bars are 95 % intervals over people, a hollow mark has too few of them. "
        "All points of a line stand on the same probes, those that gave an embedding at every share. A share that is best here is best for "
        "these pictures; choose it on others than those you report.",
    ),
    Plot(
        "gate_calibration",
        "chances of learned gates against what came true",
        "2 Gain",
        about="judge",
        per_variant=9,
        recipe=LEARNED,
        needs="similarity of a `gate_learned` and of the variant that it turns to",
        shows="in bins of the chance that the gate gave a probe: the share of probes whose frontal was the better one; a panel per learned gate, "
        "with the Brier score and the number of probes in each bin; on the diagonal the chances are true",
        caption=rf"Whether the learned gates of {NAME} know what they do: probes are sorted by the chance that their frontal is the better one, as "
        "the gate gave it to people whom it was not fitted on, and each mark is the share of a bin for which it came true (bars: "
        "95 % over people). On the dashed diagonal the chances are true; a Brier score of 0.25 is no better than a coin.",
    ),
    Plot(
        "heatmap",
        "detector x backbone, one value per cell with n and FTA",
        "3 Detectors and backbones",
        about="variant",
        values=("identity_gain",),
        values_of_photographs=("genuine", "rank1"),
        kilobytes=28,
        needs="similarity of every judge",
        shows="detector x backbone; the gain of a variant, or similarity and rank-1 share of `original`; n and FTA in every field",
        caption=f"Every combination of detector (row) and backbone (column) judging the same pictures of {NAME}; the variant and "
        "the value are in the title. Each field gives the mean, its 95 % interval over people, the number n of pictures "
        "behind it and FTA, the share of probes for which no embedding could be made: a high value with a high FTA is a "
        "detector that gave up on the hard pictures.",
    ),
    Plot(
        "cost",
        "seconds per image of every frontalizer and enhancement",
        "4 Cost",
        about="dataset",
        per_variant=3,
        needs="frontals and variants",
        shows="seconds per image in the model: median, 5th to 95th percentile; finding faces and poses for it is in `results/cost`",
        caption=f"Seconds per picture of {NAME} for every frontalizer and enhancement, model time only (loading and decoding left "
        "out), fastest on top. The mark is the median, the bar runs from the 5th to the 95th percentile; the times belong "
        "to the machine that ran this workflow and to nothing else.",
    ),
    Plot(
        "triples",
        "angled, frontal, GT: best, median and worst probes of a variant",
        "5 Pictures",
        about="variant",
        faces=True,
        judged=True,
        kilobytes=220,
        needs="similarity, images, the variant's pictures (and crops, for a method that moves the crop)",
        shows="angled, what the variant made of it, GT: the best, the most ordinary and the worst by Net Gain",
        caption=f"Angled photo, what the variant made of it, and GT of the probes of {NAME} with the best, the most ordinary and "
        "the worst Net Gain, with their similarity to the person's GT. The rows are chosen by the numbers alone, ties by "
        "name, and of different people as far as there are enough: nobody picked them.",
    ),
    Plot(
        "variants",
        "one probe through every variant, with its similarity",
        "5 Pictures",
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
        "5 Pictures",
        about="variant",
        enhanced=True,
        faces=True,
        judged=True,
        kilobytes=240,
        needs="similarity under all judges, images, the pictures of the variant and of the plain frontals",
        shows="angled, the frontal before and after the enhancement, GT: the probes whose similarity rose most, least, and in between; below them "
        "what the enhancement changed under every judge, above them its mean over all probes",
        caption=f"Probes of {NAME} before and after an enhancement: the ones whose similarity to the GT changed for the better, for the worse, and "
        "most like the middle one, by the first judge. Below the picture after stands what the enhancement changed under every judge, above all "
        "pictures the mean difference of all probes that both have, with its 95 % interval over people. A judge in brackets took part in making "
        "these pictures: what only such a judge sees says nothing about the person.",
    ),
    Plot(
        "ordered",
        "a frontal beside the gallery, sorted by similarity",
        "5 Pictures",
        about="variant",
        faces=True,
        judged=True,
        kilobytes=320,
        needs="the same and embeddings",
        shows="a frontal beside the gallery, most similar first, the own GT framed",
        caption=f"What a variant made of a photo, beside the gallery of {NAME}, the most similar GT first: the person's own GT is "
        "framed wherever it lands, and that photo is shown at its own similarity. Identity is kept where the framed "
        "picture comes first and well before the next; one picture (the most similar one) is shown per person.",
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
        shows='every picture that failed, once, at the first step where it did; "also" names later steps at which the same '
        "picture failed. The counts above count every step",
        caption=f'Pictures of {NAME} for which no embedding came out, each once, at the first step where it failed; "also" names '
        "the later steps at which the same picture failed. They are counted as failures to acquire (FTA) in every table; a "
        "selection over all kinds of failure is shown, the line above gives all counts.",
    ),
)
"""Every figure of a dataset, in the order of the report and the site."""
NAMES = {plot.name: plot.text for plot in PLOTS}
GRIDS = frozenset(plot.name for plot in PLOTS if plot.faces)
SHEETS = tuple(plot.name for plot in PLOTS if plot.faces and plot.about == "variant")


def named(name: str) -> Plot:
    """The declaration of a figure; raises :class:`BadInput` for a name that is none."""
    found = next((plot for plot in PLOTS if plot.name == name), None)
    if found is None:
        raise BadInput(f"figure '{name}' is not known; known: {', '.join(NAMES)}")
    return found


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


def requests(variants: Sequence[str], judges: Sequence[tuple[str, str]]) -> Iterator[Request]:
    """The figures of a dataset with these variants (without ``original``) and these (detector, backbone) pairs; the first pair chooses pictures."""
    made = [v for v in variants if v != ORIGINAL]
    turned, recipes = bool(series.turn_shares(made)), {parse(v).recipe for v in made}
    wanted = [plot for plot in PLOTS if (turned or not plot.turns) and (not plot.recipe or plot.recipe in recipes)]
    drawn = [plot for plot in wanted if made or not plot.frontals]
    for judge in judges:
        yield from (Request(plot.name, judge=judge) for plot in drawn if plot.about == "judge")
    for plot in PLOTS:
        yield from (Request(plot.name, variant=ORIGINAL, metric=metric) for metric in plot.values_of_photographs)
    for variant in made:
        for plot in drawn:
            if (
                plot.about == "variant"
                and (parse(variant).has_pixels or not plot.faces)
                and not (plot.enhanced and not plain_of(variant, made))
            ):
                judge = judges[0] if plot.judged else ("", "")
                yield from (Request(plot.name, variant, judge, metric) for metric in plot.values or ("",))
    for plot in drawn:
        if plot.about == "dataset":
            yield Request(plot.name, judge=judges[0] if plot.judged else ("", ""))


def plain_of(variant: str, variants: Sequence[str]) -> str:
    """The frontals without enhancement, among ``variants``, that an enhanced variant was made of; "" where there are none."""
    of = parse(variant)
    plain = "" if of.is_plain or of.is_original or not of.has_pixels else variant_names.made(of.frontalizer)
    return plain if plain in variants else ""


def stems(variants: Sequence[str], judges: Sequence[tuple[str, str]]) -> list[str]:
    """``name/file.png``, ``.svg`` or ``.jpg`` of every figure, in order, relative to the dataset's figure folder."""
    return [f"{request.stem}.{kind}" for request in requests(variants, judges) for kind in request.formats]


@dataclass
class Workshop:
    """Makes figures of one dataset; tables are read once and kept.

    ``notice``: ``""``, ``synthetic``, ``research`` or ``own`` (:func:`frontalbench.datasets.licence.notice`). ``synthetic`` stands on every figure,
    the others where faces are seen, as does ``credit``, the line that the licence asks for; ``examples``: rows per kind in the picture grids.
    """

    inputs: Inputs
    notice: str = ""
    edges: Sequence[float] = series.YAW_EDGES
    examples: int = 3
    credit: str = ""
    _similarity: dict[Path, pa.Table] = field(default_factory=dict, init=False, repr=False)

    def draw(self, request: Request) -> Figure:
        """The figure; raises :class:`BadInput` when its inputs are missing or hold nothing to draw."""
        maker: Callable[[Request], Figure] = getattr(self, f"_{named(request.name).name}")
        return maker(request)

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
        return self.notice if request.name in GRIDS or self.notice == "synthetic" else ""

    def _title(self, request: Request) -> str:
        judge = ", ".join(filter(None, request.judge))
        return ": ".join([self.inputs.dataset, NAMES[request.name].split(",")[0]]) + "".join(
            f" ({part})" for part in (request.variant, judge) if part
        )

    # Plots ------------------------------------------------------------------------------------------------------------

    def _distributions(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        groups = series.groups(self._table(ORIGINAL, request.judge), self._judged(request.judge))
        return plots.distributions(groups, title=self._title(request), notice=self._notice(request))

    def _gain_by_yaw(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        bins = {variant: series.by_yaw(self._gains(variant, request.judge), self.edges) for variant in self._judged(request.judge)}
        return plots.gain_by_yaw(bins, title=self._title(request), notice=self._notice(request))

    def _gain_curve(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        gains = {variant: self._gains(variant, request.judge) for variant in self._judged(request.judge)}
        return plots.gain_curve(gains, title=self._title(request), notice=self._notice(request))

    def _gate_sweep(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        original = self._table(ORIGINAL, request.judge)
        judged = {name: table for name, table in self._judged(request.judge).items() if not parse(name).is_gate}
        steps = {name: series.gate_steps(original, table) for name, table in judged.items()}
        controls = {name: control_of(name) for name in steps}
        shown = {name: found for name, found in steps.items() if name not in controls.values()} or steps
        control = {name: steps[controls[name]] for name in shown if controls[name] in steps and controls[name] != name}
        return plots.gate_sweep(shown, control, title=self._title(request), notice=self._notice(request))

    def _turn_curve(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        judged = {
            name: grid_cell.similarity
            for name in self.inputs.variants
            for grid_cell in self.inputs.similarity
            if grid_cell == grid.cell(self.inputs.dataset, name, *request.judge)
        }
        if ORIGINAL not in judged:
            raise BadInput("turn curve: the similarity table of variant 'original' is needed too")
        rows = {name: read_rows(path) for name, path in judged.items()}
        curves = {
            name: series.turn_curve(rows[ORIGINAL], {share: rows[one] for share, one in shares.items()}, self.edges)
            for name, shares in series.turn_shares(judged).items()
        }
        photograph = series.turn_curve(rows[ORIGINAL], {1.0: rows[ORIGINAL]}, self.edges)
        return plots.turn_curve(curves, photograph, title=self._title(request), notice=self._notice(request))

    def _gate_calibration(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        original, judged = self._table(ORIGINAL, request.judge), self._judged(request.judge)
        bases = {name: parse(name).base for name in judged if parse(name).recipe == LEARNED}
        found = {name: series.reliability(original, judged[name], judged[base]) for name, base in bases.items() if base in judged}
        return plots.gate_calibration(found, title=self._title(request), notice=self._notice(request))

    def _heatmap(self, request: Request) -> Figure:
        from frontalbench.figures import plots

        cells = []
        for judge in self.inputs.judges:
            if grid.cell(self.inputs.dataset, request.variant, *judge) in self.inputs.similarity:
                original = None if request.variant == ORIGINAL else self._table(ORIGINAL, judge)
                cells.append(series.cell_value(request.metric, *judge, self._table(request.variant, judge), original))
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
        # A method that only moves the crop shows what it does in no picture but the crop.
        moved = examples.pictures(self._moved_crops(request), [t.image_id for t in chosen])
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
        return grids.sheet(rows, title=title, notice=self._notice(request), credit=self.credit, columns=columns, heads=heads)

    def _moved_crops(self, request: Request) -> tuple[Path, ...]:
        """The crops of a variant whose card aligns its pictures in a way of its own, by the judge's detector; none for the others."""
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
        return grids.sheet(rows, title=title, notice=self._notice(request), credit=self.credit)

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
        shown = examples.pictures(self._original_pictures, [*wanted, *(t.reference_id for t in chosen)])
        before, after = self._pictures(plain, wanted), self._pictures(request.variant, wanted)

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
            notice=self._notice(request),
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
        shown = examples.pictures(self._original_pictures, [n.image_id for strip, _ in strips for n in strip])
        after = self._pictures(request.variant, [t.image_id for t in chosen])
        words = {"own": "own GT", "probe": "own angled photo", "other": "other"}
        rows = []
        for triple, (strip, size) in zip(chosen, strips, strict=True):
            tiles = [grids.Tile(after.get(triple.image_id), (palette.heading(request.variant).lower(), triple.subject))]
            for n in strip:
                place = f"{n.place} of {size}: " if n.place else ""
                tiles.append(grids.Tile(shown.get(n.image_id), (f"{place}{words[n.kind]}", _value(n.similarity)), marked=n.kind == "own"))
            rows.append(tiles)
        heads = [[t.words, f"Net Gain {_gain(t.net)}"] for t in chosen]
        title = f"{self.inputs.dataset}: {request.variant}, ordered similarity to the gallery ({', '.join(request.judge)})"
        return grids.sheet(rows, title=title, notice=self._notice(request), credit=self.credit, heads=heads, cell=128)

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
            made = "reading the photos" if variant == ORIGINAL else variant
            steps.append(examples.Step(made, variant, self._made_from(variant), self.inputs.pictures.get(variant, ())))
            for (of, detector), shards in self.inputs.crops.items():
                if of == variant:
                    steps.append(examples.Step(f"{detector} on {name}", variant, variant, shards, makes=False))
        found, counted = examples.failures(steps, most=4 * self.examples)
        if not found:
            raise BadInput("failures: none; every image went through every stage that is shown here")
        shown = {v: self._pictures(v, [f.image_id for f in found if f.step.sees == v]) for v in {f.step.sees for f in found}}
        tiles = []
        for f in found:
            more = f"also: {', '.join(f.also)}" if f.also else ""
            lines = tuple(filter(None, (f.status.replace("_", " "), f.step.label, f.identity, more)))
            tiles.append(grids.Tile(shown[f.step.sees].get(f.image_id), lines, missing=f.detail or f.status.replace("_", " ")))
        summary = "; ".join(f"{stage}: {number:,} {state}" for (stage, state), number in sorted(counted.items()))
        return grids.sheet(
            [tiles[i : i + 6] for i in range(0, len(tiles), 6)],
            title=f"{self.inputs.dataset}: failures, each picture once, at the first step where it failed",
            notes=[summary],
            notice=self._notice(request),
            credit=self.credit,
            wrap=4,
        )

    def _made_from(self, variant: str) -> str:
        """Whose pixels a variant is made from: an enhanced one from the plain one, where that is there, else the photograph."""
        plain = f"{palette.frontalizer_of(variant)}.none"
        return plain if variant not in (ORIGINAL, plain) and plain in self.inputs.pictures else ORIGINAL


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
