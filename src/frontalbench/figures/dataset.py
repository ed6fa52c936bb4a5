"""Every figure of one dataset: their names, what each needs, and how it is made.

:func:`stems` says which files come out before anything is run, so that a rule can declare them; :func:`make` draws them. A figure that has nothing
to draw (all failed, no yaw known) is still written and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frontalbench.compare.rows import read_rows
from frontalbench.errors import BadInput
from frontalbench.figures import series, sheets
from frontalbench.figures.plot import NAME, Plot
from frontalbench.plan import grid
from frontalbench.plan.variant import LEARNED, ORIGINAL, control_of, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PLOTS = (
    Plot(
        "distributions",
        "similarity distributions of all groups, one row per variant",
        "1 Similarity",
        about="judge",
        frontals=False,
        per_variant=12,
        needs="similarity of `original` and the variants",
        shows="a row for GT vs GT, the angled photographs and each variant; filled: against the own GT, outlined: against the angled "
        "photograph, grey: impostors",
        caption=f"How similar two images of the same person are, as {NAME} is judged by the detector and backbone named in the "
        "title: each row is one kind of probe (GT against GT, the angled photographs, every variant), filled against the "
        "person's own GT, outlined against the angled photograph itself, grey against other people. The diamond is the mean "
        "with its 95 % interval (over people; none with fewer than six) and n counts images: a frontalizer keeps "
        "identity where its filled hill lies right of the one of the angled photographs while its grey hill does not move.",
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
        "similarity(angled, GT) of the same probe, identity gain takes away what the same image gains on other people's "
        "GT. Above zero the frontal view is better than the photograph it was made from; a panel per variant, all on the same "
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
        caption=rf"What turning only some images of {NAME} gains: each point is a gate that takes the frontal from some \|yaw\| on and the "
        "photograph below it, and its height is the mean identity gain over all probes, turned or not, with a band of 95 % over "
        "people. Where the curve is highest left of its right end, selective frontalization beats turning every image; the "
        "best angle is chosen on the images that are shown, so its height is a little flattered. The dashed line is the "
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
        "these images; choose it on others than those you report.",
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
        caption=f"Every combination of detector (row) and backbone (column) judging the same images of {NAME}; the variant and "
        "the value are in the title. Each field gives the mean, its 95 % interval over people, the number n of images "
        "behind it and FTA, the share of probes for which no embedding could be made: a high value with a high FTA is a "
        "detector that gave up on the hard images.",
    ),
    Plot(
        "cost",
        "seconds per image of every frontalizer and enhancement",
        "4 Cost",
        about="dataset",
        per_variant=3,
        needs="frontals and variants",
        shows="seconds per image in the model: median, 5th to 95th percentile; finding faces and poses for it is in `results/cost`",
        caption=f"Seconds per image of {NAME} for every frontalizer and enhancement, model time only (loading and decoding left "
        "out), fastest on top. The mark is the median, the bar runs from the 5th to the 95th percentile; the times belong "
        "to the machine that ran this workflow and to nothing else.",
    ),
    *sheets.PLOTS,
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
    """The figures of a dataset with these variants (without ``original``) and these (detector, backbone) pairs; the first pair chooses images."""
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
                and not (plot.enhanced and not sheets.plain_of(variant, made))
            ):
                judge = judges[0] if plot.judged else ("", "")
                yield from (Request(plot.name, variant, judge, metric) for metric in plot.values or ("",))
    for plot in drawn:
        if plot.about == "dataset":
            yield Request(plot.name, judge=judges[0] if plot.judged else ("", ""))


def stems(variants: Sequence[str], judges: Sequence[tuple[str, str]]) -> list[str]:
    """``name/file.png``, ``.svg`` or ``.jpg`` of every figure, in order, relative to the dataset's figure folder."""
    return [f"{request.stem}.{kind}" for request in requests(variants, judges) for kind in request.formats]


@dataclass
class Workshop(sheets.Sheets):
    """Makes figures of one dataset; what it holds: :class:`~frontalbench.figures.reading.Reading`."""

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
        from frontalbench.figures import angles

        bins = {variant: series.by_yaw(self._gains(variant, request.judge), self.edges) for variant in self._judged(request.judge)}
        return angles.gain_by_yaw(bins, title=self._title(request), notice=self._notice(request))

    def _gain_curve(self, request: Request) -> Figure:
        from frontalbench.figures import angles

        gains = {variant: self._gains(variant, request.judge) for variant in self._judged(request.judge)}
        return angles.gain_curve(gains, title=self._title(request), notice=self._notice(request))

    def _gate_sweep(self, request: Request) -> Figure:
        from frontalbench.figures import angles

        original = self._table(ORIGINAL, request.judge)
        judged = {name: table for name, table in self._judged(request.judge).items() if not parse(name).is_gate}
        steps = {name: series.gate_steps(original, table) for name, table in judged.items()}
        controls = {name: control_of(name) for name in steps}
        shown = {name: found for name, found in steps.items() if name not in controls.values()} or steps
        control = {name: steps[controls[name]] for name in shown if controls[name] in steps and controls[name] != name}
        return angles.gate_sweep(shown, control, title=self._title(request), notice=self._notice(request))

    def _turn_curve(self, request: Request) -> Figure:
        from frontalbench.figures import angles

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
        return angles.turn_curve(curves, photograph, title=self._title(request), notice=self._notice(request))

    def _gate_calibration(self, request: Request) -> Figure:
        from frontalbench.figures import angles

        original, judged = self._table(ORIGINAL, request.judge), self._judged(request.judge)
        bases = {name: parse(name).base for name in judged if parse(name).recipe == LEARNED}
        found = {name: series.reliability(original, judged[name], judged[base]) for name, base in bases.items() if base in judged}
        return angles.gate_calibration(found, title=self._title(request), notice=self._notice(request))

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
            series.costs({v: shards for v, shards in self.inputs.images.items() if v != ORIGINAL}),
            title=self._title(request),
            notice=self._notice(request),
        )
