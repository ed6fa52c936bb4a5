"""Render the site: pages from the master tables and cards, images and figures where they are given.

The same inputs give the same bytes. Links are relative, scripts and styles lie beside the pages, data for scripts are ``.js`` files: everything
works from ``file://``, without a server and without a network. Names from tables are text, never markup.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from frontalbench import __version__
from frontalbench.catalogue import cards
from frontalbench.datasets import card as dataset_cards
from frontalbench.datasets import licence
from frontalbench.errors import BadConfig
from frontalbench.figures import dataset as figures
from frontalbench.figures import palette
from frontalbench.figures.inputs import Inputs
from frontalbench.files import folderswap
from frontalbench.plan.variant import ORIGINAL
from frontalbench.site import browser, charts, faces, moving
from frontalbench.site.filters import environment, is_control, slug
from frontalbench.site.labels import labelled
from frontalbench.site.master import Master, Row, ranking, verdict
from frontalbench.tabulate.columns import MASTER
from frontalbench.tabulate.judges import COMPARED_ON_SCALE
from frontalbench.tabulate.verification import YAW_GRID
from frontalbench.tabulate.write import csv_text

HERE = Path(__file__).parent
LISTING = "files.txt"
"""Names every file of the site, so that the next build knows what it may replace."""
SHOWN = (
    *("dataset", "variant", "detector", "backbone", "group", "subset", "mean", "ci_low", "ci_high", "n_images", "n_subjects"),
    *("n_fallback", "mean_both"),
    *("fta_rate", "share_gaining", "p_holm", "verified", "leak", "note"),
)
"""Columns of the table of all numbers; its rows are those over all angles (the bins are in the CSV file)."""
NOTICES = {
    "synthetic": "SYNTHETIC: the people of this dataset do not exist.",
    "research": "Research use only: the photographs of this dataset must not be published, and neither must this page.",
    "own": "Your own images: show this page only to people whom everybody on it has agreed to be seen by.",
}
GROUPS = ("Angled vs GT", "GT vs GT", "Angled vs Angled")
SEQUENCES = 3
"""Sequences of a dataset that are shown frame by frame."""
IN_A_STRIP = 6
"""Variants below the photographs of a strip."""
PANELS = 9
"""Frontalizers whose gain by yaw the first page shows; the others have their own pages."""
CURVE_STEP = float(YAW_GRID[1] - YAW_GRID[0])


@dataclass
class Site:
    """What the pages are made of. ``inputs``: per dataset, for the probe browser; ``figures``: ``results/figures/RUN``; ``costs``: the tables of
    ``results/cost/RUN`` by name (:mod:`frontalbench.tabulate.cost`); ``search``, ``slices``, ``over_time``: those of
    ``results/search/RUN`` and so on (:mod:`frontalbench.tabulate.asked`), which have a page where they are given."""

    master: Master
    out: Path
    inputs: Mapping[str, Inputs] = field(default_factory=dict)
    figures: Path | None = None
    costs: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    people: int = 12
    search: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    slices: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    over_time: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    _written: list[str] = field(default_factory=list, init=False)
    _browsers: list[str] = field(default_factory=list, init=False)
    _folder: Path = field(default=Path(), init=False)
    _environment: jinja2.Environment = field(default_factory=lambda: environment(), init=False, repr=False)

    def build(self) -> list[str]:
        """Write the whole site, or nothing; returns the files, relative to ``out``. Raises :class:`BadInput` when ``out`` holds something else."""
        with folderswap.replacing(self.out, LISTING, _listed) as self._folder:
            self._render()
            self._write(LISTING, "".join(f"{path}\n" for path in sorted(set(self._written))))
        return sorted(set(self._written))

    def _render(self) -> None:
        for name in ("style.css", "site.js"):
            self._write(f"static/{name}", (HERE / "static" / name).read_text(encoding="utf-8"))
        browsers = {d: browser.browse(files, self._folder, f"people/{slug(d)}", people=self.people) for d, files in self.inputs.items()}
        self._browsers = sorted(d for d, shown in browsers.items() if shown)
        self._written += sorted({p.file for shown in browsers.values() for one in shown for p in _images(one) if p.file})
        self._page(
            "index.html",
            "overview.html",
            title="Overview",
            blocks=[{**self._overview(d), **self._look(d)} for d in self.master.datasets],
            compared=self.costs.get("comparison", ()),
            software=self.master.rows("software"),
        )
        for name in self.master.frontalizers:
            self._page(f"frontalizers/{slug(name)}.html", "frontalizer.html", title=name, **self._frontalizer(name))
        for name in self.master.datasets:
            self._page(f"datasets/{slug(name)}.html", "dataset.html", title=name, browser=bool(browsers.get(name)), **self._dataset(name))
            if browsers.get(name):
                judges = self.inputs[name].judges
                self._page(
                    f"people/{slug(name)}.html",
                    "people.html",
                    title=f"People of {name}",
                    dataset=name,
                    notice=self._notice(name),
                    credit=self._credit(name),
                    people=browsers[name],
                    judges=judges,
                )
        self._page("judges.html", "judges.html", title="Detectors and backbones", datasets=[self._judges(d) for d in self.master.datasets])
        if self.search:
            self._page("search.html", "search.html", title="Search, line-ups, thresholds", blocks=self._searched())
        if self.slices:
            self._page("slices.html", "slices.html", title="Slices", blocks=self._sliced())
        if self.over_time:
            self._page("sequences.html", "sequences.html", title="Sequences over time", blocks=self._over_time())
        self._numbers()

    # Pages ------------------------------------------------------------------------------------------------------------

    def _overview(self, dataset: str) -> dict[str, Any]:
        judged = []
        for judge in self.master.judges_of(dataset):
            rows = self.master.rows("table1_net_gain", dataset=dataset, detector=judge[0], backbone=judge[1])
            ranked, left_out = ranking(rows)
            keys = ("identity_gain", "identity_gain_low", "identity_gain_high")
            bounds = charts.limits_of_ranking([(one.row[keys[0]], one.row[keys[1]], one.row[keys[2]]) for one in ranked])
            judged.append(
                {"judge": judge, "ranked": ranked, "left_out": left_out, "limits": bounds, "verdict": verdict(ranked, is_control)}
            )
        # A judge without a single embedding of the photographs is in no ranking; the reason stands in the table of what is missing.
        not_judging = self.master.rows("missing", dataset=dataset, variant=ORIGINAL)
        return {
            "dataset": dataset,
            "notice": self._notice(dataset),
            "credit": self._credit(dataset),
            "judged": judged,
            "not_judging": not_judging,
        }

    def _look(self, dataset: str) -> dict[str, Any]:
        """What the first page shows of a dataset beside the ranking: faces of the first method, and every frontalizer's gain by yaw."""
        judges = self.master.judges_of(dataset)
        if not judges:
            return {"faces": [], "variant": "", "heading": "", "chart": "", "more": 0}
        judge = judges[0]
        wanted = {"dataset": dataset, "detector": judge[0], "backbone": judge[1]}
        ranked, _ = ranking(self.master.rows("table1_net_gain", **wanted))
        own = [one.row for one in ranked if not one.row["recipe"]]  # with images
        variant = next((row["variant"] for row in own if not is_control(row)), "")
        shown: list[faces.Face] = []
        if variant and dataset in self.inputs:
            shown = faces.choose(self.inputs[dataset], judge, variant, self._folder, f"faces/{slug(dataset)}")
            self._written += sorted({file for one in shown for file in (one.angled, one.frontal, one.reference) if file})
        first: dict[str, str] = {}
        for row in sorted(own, key=is_control):
            first.setdefault(row["frontalizer"], row["variant"])
        lines, bins = self._bins("identity gain", "", wanted)
        of = {line.name: line for line in lines}
        chart = charts.lines(
            [of[name] for name in list(first.values())[:PANELS] if name in of],
            title=f"Identity gain on {dataset} by the absolute yaw of the probe",
            x_label="|yaw| in degrees",
            y_label="identity gain",
            ticks=bins,
        )
        more = max(0, len(first) - PANELS)
        return {"faces": shown, "variant": variant, "heading": palette.heading(variant), "chart": chart, "more": more}

    def _frontalizer(self, name: str) -> dict[str, Any]:
        rows = self.master.rows("table1_net_gain", frontalizer=name)
        blocks = []
        for dataset in self.master.datasets:
            if not self.master.judges_of(dataset):
                continue
            judge = self.master.judges_of(dataset)[0]
            wanted = {"dataset": dataset, "detector": judge[0], "backbone": judge[1]}
            gains = {}
            for group in ("Net Gain", "identity gain"):
                lines, bins = self._bins(group, name, wanted)
                words = f"{group} on {dataset} by the absolute yaw of the probe"
                gains[group] = charts.lines(lines, title=words, x_label="|yaw| in degrees", y_label=group, ticks=bins)
            curves = _curves(r for r in self.master.rows("curves", **wanted) if r["variant"] == ORIGINAL or r["frontalizer"] == name)
            curve = charts.lines(
                [line for line in curves if line.name != ORIGINAL],
                title=f"Similarity to GT on {dataset} over the absolute yaw, with that of the angled photographs",
                x_label="|yaw| in degrees",
                y_label="similarity to GT",
                zero=False,
                behind=next((line for line in curves if line.name == ORIGINAL), None),
            )
            variants = list(dict.fromkeys(r["variant"] for r in rows if r["dataset"] == dataset and not r["recipe"]))
            blocks.append(
                {
                    "dataset": dataset,
                    "judge": judge,
                    "notice": self._notice(dataset),
                    "credit": self._credit(dataset),
                    "gains": gains,
                    "alone": [row for row in rows if row["n_fallback"] and all(row[key] == value for key, value in wanted.items())],
                    "curve": curve,
                    "images": [p for v in variants for p in self._figures(dataset, figures.SHEETS, v)],
                    "failures": self._figures(dataset, ("failures",)),
                }
            )
        missing = [r for r in self.master.rows("missing") if r["variant"] and palette.frontalizer_of(r["variant"]) == name]
        return {
            "name": name,
            "card": _card("frontalizer", name),
            "rows": rows,
            "blocks": blocks,
            "missing": missing,
            "costs": self._costs(name),
            "quality": self._quality(name),
            "not_measured": self._not_measured(),
        }

    def _dataset(self, name: str) -> dict[str, Any]:
        card = _dataset_card(name)
        return {
            "name": name,
            "card": card,
            "notice": self._notice(name),
            "credit": self._credit(name),
            "counts": self.master.rows("counts", dataset=name),
            "ranked": self._overview(name),
            "plots": self._by_judge(self._figures(name, [plot.name for plot in figures.PLOTS if plot.about == "judge"])),
            "images": self._figures(name, [plot.name for plot in figures.PLOTS if plot.about == "dataset" and plot.faces]),
            "missing": self.master.rows("missing", dataset=name),
        }

    def _judges(self, dataset: str) -> dict[str, Any]:
        tables = []
        for group in GROUPS:
            rows = [r for r in self.master.rows("table3_backbones", dataset=dataset, group=group) if r["mean"] is not None]
            if rows:
                tables.append({"group": group, **_crossed(rows)})
        return {
            "dataset": dataset,
            "notice": self._notice(dataset),
            "tables": tables,
            "judges": (robust := self._robust(dataset)),
            "winners": _winners(robust),
            "pairs": self.master.rows("judge_pairs", dataset=dataset),
            "verification": [r for r in self.master.rows("verification", dataset=dataset) if r["variant"] == ORIGINAL],
        }

    def _robust(self, dataset: str) -> list[dict[str, Any]]:
        """Measure by measure: the judges that may be compared, best first."""
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.master.rows("judges", dataset=dataset):
            group = "" if row["measure"] in COMPARED_ON_SCALE else row["backbone"]
            found.setdefault((row["measure"], group), []).append(row)
        parts = []
        for (measure, backbone), rows in found.items():
            if len(rows) > 1:
                bounds = charts.limits([row[key] for row in rows for key in ("value", "low", "high")], zero=False)
                order = sorted(rows, key=lambda r: (r["place"], r["detector"], r["backbone"]))
                parts.append({"measure": measure, "backbone": backbone, "rows": order, "limits": bounds})
        return parts

    def _more(self) -> list[tuple[str, str]]:
        """(page, its words) of the pages that not every site has."""
        search = [("search.html", "Search")] if self.search else []
        slices = [("slices.html", "Slices")] if self.slices else []
        return search + slices + ([("sequences.html", "Sequences")] if self.over_time else [])

    def _searched(self) -> list[dict[str, Any]]:
        """Of every dataset and judge: the tables of the search, and the DET curve of every variant with that of the photographs behind it."""
        blocks = []
        for dataset, judge in _judged(self.search["open_set"]):
            mine = {name: [row for row in rows if _of(row) == (dataset, judge)] for name, rows in self.search.items()}
            curves: dict[str, list[charts.Point]] = {}
            for row in mine["det"]:
                point = charts.Point(math.log10(row["fmr_target"]), row["fnmr"], row["fnmr_low"], row["fnmr_high"])
                curves.setdefault(row["variant"], []).append(point)
            series = {name: charts.Series(name, sorted(points), band=True) for name, points in curves.items()}
            places = sorted({point.x for points in curves.values() for point in points})
            chart = charts.lines(
                [one for name, one in series.items() if name != ORIGINAL] or list(series.values()),
                title=f"DET curve on {dataset}: FNMR against FMR",
                x_label="false match rate",
                y_label="false non-match rate",
                ticks=[(float(d), f"{100 * 10.0**d:g} %") for d in range(-5, 0) if places and places[0] - 0.1 <= d <= places[-1] + 0.1],
                behind=series.get(ORIGINAL) if len(series) > 1 else None,
            )
            blocks.append(
                {
                    "dataset": dataset,
                    "judge": judge,
                    "notice": self._notice(dataset),
                    "credit": self._credit(dataset),
                    "chart": chart,
                    **mine,
                }
            )
        return blocks

    def _sliced(self) -> list[dict[str, Any]]:
        """Of every dataset, judge and kind of slices: a part for each variant, with the differences that hold."""
        blocks = []
        for dataset, judge in _judged(self.slices["slices"]):
            mine = {name: [row for row in rows if _of(row) == (dataset, judge)] for name, rows in self.slices.items()}
            parts = []
            for key in dict.fromkeys((row["by"], row["variant"]) for row in mine["slices"]):
                rows, pairs = ([row for row in mine[name] if (row["by"], row["variant"]) == key] for name in ("slices", "slice_pairs"))
                parts.append({"by": key[0], "variant": key[1], "rows": rows, "pairs": pairs})
            notice, credit = self._notice(dataset), self._credit(dataset)
            blocks.append({"dataset": dataset, "judge": judge, "notice": notice, "credit": credit, "parts": parts})
        return blocks

    def _over_time(self) -> list[dict[str, Any]]:
        """Of every dataset and judge: the measures of every variant, and the first sequences with strip, curve and clips."""
        blocks = []
        for dataset, judge in _judged(self.over_time["over_time"]):
            mine = {name: [row for row in rows if _of(row) == (dataset, judge)] for name, rows in self.over_time.items()}
            variants = list(dict.fromkeys(row["variant"] for row in mine["over_time"]))
            of = {(row["variant"], row["measure"]): row for row in mine["over_time"]}
            measures = list(dict.fromkeys(row["measure"] for row in mine["over_time"]))
            first = mine["over_time"][0]
            chosen = list(dict.fromkeys((row["subject"], row["sequence"]) for row in mine["sequences"]))[:SEQUENCES]
            blocks.append(
                {
                    "dataset": dataset,
                    "judge": judge,
                    "notice": self._notice(dataset),
                    "credit": self._credit(dataset),
                    "rows": [{"variant": v, **{m: of[v, m] for m in measures}} for v in variants],
                    "people": int(first["n_subjects"]),
                    "sequences": int(first["n_sequences"]),
                    "note": first["note"],
                    "shown": [self._sequence(dataset, key, variants, mine["frames"]) for key in chosen],
                }
            )
        return blocks

    def _sequence(self, dataset: str, key: tuple[str, str], variants: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
        mine = [row for row in rows if (row["subject"], row["sequence"]) == key]
        frames = [row["image"] for row in mine if row["variant"] == variants[0]]
        series = {
            variant: charts.Series(
                variant,
                [
                    charts.Point(row["number"], row["similarity"])
                    for row in mine
                    if row["variant"] == variant and row["similarity"] is not None
                ],
                band=True,
                gap=1.0,
            )
            for variant in variants
        }
        chart = charts.lines(
            [one for name, one in series.items() if name != ORIGINAL],
            title=f"Similarity to the references over the frames of {key[1]}, with that of the photographs",
            x_label="frame",
            y_label="similarity to GT",
            zero=False,
            behind=series.get(ORIGINAL),
        )
        shown = [variant for variant in variants if variant != ORIGINAL][:IN_A_STRIP]
        folder = f"sequences/{slug(dataset)}"
        strip: moving.Shown | None = None
        if dataset in self.inputs:
            strip = moving.show(self.inputs[dataset], frames, shown, self._folder, folder)
            files = {file for row in strip.rows for file in (*row.files, row.clip)} - {""}
            self._written += sorted(files - set(self._written))
        return {"subject": key[0], "sequence": key[1], "frames": len(frames), "chart": chart, "strip": strip or moving.Shown((), ())}

    def _numbers(self) -> None:
        rows = [r for r in self.master.rows("master") if r["yaw_axis"] == "all"]
        data = {
            "columns": [{"key": k, "text": MASTER[k][1], "number": str(MASTER[k][0].arrow) in ("double", "int64")} for k in SHOWN],
            "values": [[_plain(r[k]) for k in SHOWN] for r in rows],
        }
        # "<" is escaped so that no name can end the script; the two line separators are no legal characters of older JavaScript strings.
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        for char in ("<", "\u2028", "\u2029"):
            text = text.replace(char, f"\\u{ord(char):04x}")
        self._write("data/master.js", f"window.FRONTALBENCH_MASTER={text};\n")
        full = self.master.rows("master")
        self._write("data/master.csv", csv_text(list(MASTER), [[r[k] for k in MASTER] for r in full]))
        meanings = [(key, MASTER[key][1]) for key in SHOWN]
        self._page("numbers.html", "numbers.html", title="All numbers", n=len(rows), n_full=len(full), meanings=meanings)

    # Parts ------------------------------------------------------------------------------------------------------------

    def _bins(self, group: str, frontalizer: str, wanted: Mapping[str, str]) -> tuple[list[charts.Series], list[tuple[float, str]]]:
        """The lines of a frontalizer's variants ("": of every one's) over the bins of |yaw| in which there is a probe, and the bins' names.

        Where a bin is empty the lines stop; a fusion is shown over the probes that had both of its images.
        """
        rows = self.master.rows("master", group=group, subset="common", yaw_axis="abs", **wanted)
        rows = [row for row in rows if row["yaw_low"] is not None and row["mean_both"] is not None]
        rows = [row for row in rows if not frontalizer or row["frontalizer"] == frontalizer]
        edges = sorted({(row["yaw_low"], row["yaw_high"]) for row in rows}, key=lambda edge: edge[0])
        names = [f"{low:g}\N{EN DASH}{high:g}" if high is not None else f"{low:g} +" for low, high in edges]
        skipped = itertools.accumulate(int(before[1] != after[0]) for before, after in itertools.pairwise(edges))
        places = [float(i + more) for i, more in enumerate([0, *skipped][: len(edges)])]
        lines: dict[str, list[charts.Point]] = {}
        for row in rows:
            place = places[edges.index((row["yaw_low"], row["yaw_high"]))]
            lines.setdefault(row["variant"], []).append(
                charts.Point(place, row["mean_both"], row["both_low"], row["both_high"], row["n_subjects"])
            )
        return [charts.Series(variant, sorted(points), gap=1.0) for variant, points in lines.items()], list(zip(places, names, strict=True))

    def _figures(self, dataset: str, names: Sequence[str], variant: str = "") -> list[dict[str, str]]:
        """Figures of ``results/figures/RUN`` that are there, copied beside the pages."""
        if self.figures is None:
            return []
        found: dict[str, dict[str, str]] = {}
        variants = list(dict.fromkeys(r["variant"] for r in self.master.rows("master", dataset=dataset) if r["variant"] != ORIGINAL))
        # Images were chosen by one of the judges, the first one of that run; which one that was the file's name says.
        asked = (request for judge in self.master.judges_of(dataset) for request in figures.requests(variants, [judge]))
        for request in asked:
            if request.name in names and (not variant or request.variant == variant):
                source = self.figures / dataset / f"{request.stem}.{request.formats[-1]}"
                path = f"figures/{slug(dataset)}/{request.stem}.{request.formats[-1]}"
                if source.is_file() and path not in found:
                    (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (self._folder / path).write_bytes(source.read_bytes())
                    self._written.append(path)
                    judge = " + ".join(filter(None, request.judge))
                    text = ", ".join(filter(None, [figures.NAMES[request.name], request.variant, judge]))
                    found[path] = {"path": path, "text": text, "judge": judge}
        return list(found.values())

    def _by_judge(self, found: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
        parts: dict[str, list[dict[str, str]]] = {}
        for figure in found:
            parts.setdefault(figure["judge"], []).append(figure)
        return parts

    def _costs(self, frontalizer: str) -> list[Row]:
        """Rows of the cost table: the frontalizer's own, then what each enhancement adds."""
        return [row for row in self.costs.get("cost", ()) if palette.frontalizer_of(row["variant"]) == frontalizer]

    def _quality(self, frontalizer: str) -> list[Row]:
        """Measured qualities of the frontalizer's images, each with the photographs' own beside it."""
        rows: list[Row] = []
        for row in self.master.rows("quality", frontalizer=frontalizer, role="probe"):
            if row["mean"] is not None or row["n_images"]:  # fid and kid of too few images: the note says so
                before = self.master.rows(
                    "quality", dataset=row["dataset"], detector=row["detector"], variant=ORIGINAL, measure=row["measure"]
                )
                of_role = {r["role"]: r for r in before}
                rows.append({**row, "angled": of_role.get("probe"), "ceiling": of_role.get("reference")})
        return rows

    def _not_measured(self) -> list[tuple[str, str]]:
        """(measure, why) of what no dataset has a value of."""
        return sorted({(row["measure"], row["note"]) for row in self.master.rows("quality", variant=ORIGINAL, role="probe", n_images=0)})

    def _notice(self, dataset: str) -> str:
        if dataset in self.master.synthetic:
            return NOTICES["synthetic"]
        card = _dataset_card(dataset)
        # a table of another checkout: what its licence says is not known here
        return NOTICES["research"] if card is None else NOTICES.get(licence.notice(card.data), "")

    def _credit(self, dataset: str) -> str:
        """What the licence wants to be written beside the dataset's images."""
        card = _dataset_card(dataset)
        return "" if card is None else licence.credit(card.data)

    def _page(self, path: str, template: str, **content: Any) -> None:
        depth = path.count("/")
        text = self._environment.get_template(f"{template}.j2").render(
            root="../" * depth, path=path, master=self.master, version=__version__, with_people=self._browsers, more=self._more(), **content
        )
        self._write(path, labelled(re.sub(r"\n\s*\n+", "\n", text).strip() + "\n"))

    def _write(self, path: str, text: str) -> None:
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / path).write_text(text, encoding="utf-8")
        self._written.append(path)


def _of(row: Row) -> tuple[str, tuple[str, str]]:
    return row["dataset"], (row["detector"], row["backbone"])


def _judged(rows: Iterable[Row]) -> list[tuple[str, tuple[str, str]]]:
    """The (dataset, judge) of a table, in its order."""
    return list(dict.fromkeys(map(_of, rows)))


def _card(kind: str, name: str) -> Any:
    try:
        return cards.find(kind, name)
    except BadConfig:
        return None


def _dataset_card(name: str) -> Any:
    try:
        return dataset_cards.find(name)
    except BadConfig:  # a table of another checkout: its numbers are shown, its card is not here
        return None


TRUST = {
    "fnmr": "it counts the errors that a user of a face recognition system would meet",
    "z_area": "it says how far above strangers the right person lies over all angles",
    "z_slope": "it says only how fast a judge falls with the angle; one that is poor everywhere has little to lose",
}
"""The measures by which judges with different backbones may be compared, the one to believe first on top, and why."""


def _winners(robust: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Which judge each comparable measure puts first, where they do not agree: the measure to believe and why; else None."""
    first = {part["measure"]: part["rows"][0] for part in robust if part["measure"] in TRUST and part["rows"][0]["value"] is not None}
    names = {measure: (row["detector"], row["backbone"]) for measure, row in first.items()}
    if len(set(names.values())) < 2:
        return None
    believed = next(measure for measure in TRUST if measure in first)
    return {"names": names, "believed": believed, "why": TRUST[believed], "tied": first[believed]["last"] - first[believed]["first"]}


def _curves(rows: Iterable[Row]) -> list[charts.Series]:
    lines: dict[str, list[charts.Point]] = {}
    for row in rows:
        if row["mean"] is not None:
            lines.setdefault(row["variant"], []).append(charts.Point(row["yaw"], row["mean"], row["ci_low"], row["ci_high"]))
    return [charts.Series(variant, sorted(points), band=True, gap=CURVE_STEP) for variant, points in lines.items()]


def _crossed(rows: Sequence[Row]) -> dict[str, Any]:
    columns: dict[str, list[float]] = {}
    for row in rows:
        columns.setdefault(row["backbone"], []).append(row["mean"])
    return {
        "detectors": list(dict.fromkeys(r["detector"] for r in rows)),
        "backbones": list(dict.fromkeys(r["backbone"] for r in rows)),
        "cells": {(r["detector"], r["backbone"]): r for r in rows},
        # Similarities of different backbones are not on one scale: a column is tinted by its own range.
        "ranges": {b: (min(v) - 0.02, max(v) + 0.02) for b, v in columns.items()},
    }


def _images(person: browser.Person) -> list[browser.Image]:
    return [person.reference, *(p for probe in person.probes for p in probe.images)]


def _listed(listing: Path) -> set[str]:
    return set(listing.read_text(encoding="utf-8").splitlines())


def _plain(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
