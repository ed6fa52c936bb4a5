"""Render the site: pages from the master tables and cards, images and figures where they are given.

The same inputs give the same bytes. Links are relative, scripts and styles lie beside the pages, data for scripts are ``.js`` files: everything
works from ``file://``, without a server and without a network. Names from tables are text, never markup.
"""

from __future__ import annotations

import itertools
import json
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
from frontalbench.site import asked, browser, charts, faces, judges, moving
from frontalbench.site.filters import environment, is_control, slug
from frontalbench.site.labels import labelled
from frontalbench.site.master import Master, Row, ranking, verdict
from frontalbench.tabulate.columns import MASTER
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
                self._page(
                    f"people/{slug(name)}.html",
                    "people.html",
                    title=f"People of {name}",
                    dataset=name,
                    notice=self._notice(name),
                    credit=self._credit(name),
                    people=browsers[name],
                    judges=self.inputs[name].judges,
                )
        self._page(
            "judges.html",
            "judges.html",
            title="Detectors and backbones",
            datasets=[{**judges.of_dataset(self.master, d), "notice": self._notice(d)} for d in self.master.datasets],
        )
        if self.search:
            self._page("search.html", "search.html", title="Search, line-ups, thresholds", blocks=asked.searched(self.search, self._about))
        if self.slices:
            self._page("slices.html", "slices.html", title="Slices", blocks=asked.sliced(self.slices, self._about))
        if self.over_time:
            self._page(
                "sequences.html",
                "sequences.html",
                title="Sequences over time",
                blocks=asked.over_time(self.over_time, self._about, self._strip),
            )
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

    def _more(self) -> list[tuple[str, str]]:
        """(page, its words) of the pages that not every site has."""
        search = [("search.html", "Search")] if self.search else []
        slices = [("slices.html", "Slices")] if self.slices else []
        return search + slices + ([("sequences.html", "Sequences")] if self.over_time else [])

    def _about(self, dataset: str) -> dict[str, Any]:
        return {"notice": self._notice(dataset), "credit": self._credit(dataset)}

    def _strip(self, dataset: str, frames: Sequence[str], shown: Sequence[str]) -> moving.Shown:
        if dataset not in self.inputs:
            return moving.Shown((), ())
        strip = moving.show(self.inputs[dataset], frames, shown, self._folder, f"sequences/{slug(dataset)}")
        files = {file for row in strip.rows for file in (*row.files, row.clip)} - {""}
        self._written += sorted(files - set(self._written))
        return strip

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


def _curves(rows: Iterable[Row]) -> list[charts.Series]:
    lines: dict[str, list[charts.Point]] = {}
    for row in rows:
        if row["mean"] is not None:
            lines.setdefault(row["variant"], []).append(charts.Point(row["yaw"], row["mean"], row["ci_low"], row["ci_high"]))
    return [charts.Series(variant, sorted(points), band=True, gap=CURVE_STEP) for variant, points in lines.items()]


def _images(person: browser.Person) -> list[browser.Image]:
    return [person.reference, *(p for probe in person.probes for p in probe.images)]


def _listed(listing: Path) -> set[str]:
    return set(listing.read_text(encoding="utf-8").splitlines())


def _plain(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value
