"""What the figures look like, as far as a program can see it: colours, text that fits, same bytes, files whole or not at all."""

from __future__ import annotations

import dataclasses
import itertools
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import cv2
import docutils.core
import jinja2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from frontalbench.catalogue import cards
from frontalbench.datasets import licence
from frontalbench.errors import BadInput
from frontalbench.figures import angles, dataset, documented, grids, inputs, palette, plots, report, reported, series, sheets, style
from frontalbench.figures.plot import NAME, Plot
from frontalbench.plan.plan import Plan
from frontalbench.tabulate import TABLES
from frontalbench.tabulate.paper_text import wide_csv
from frontalbench.tabulate.write import csv_text
from tests.unit import figure_tables as made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return made.write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def workshop(run: list[Path]) -> dataset.Workshop:
    return dataset.Workshop(inputs.sort_out(run), notice="synthetic", examples=2)


def _boxes(figure: Figure) -> list[tuple[str, float, float, float, float]]:
    canvas = FigureCanvasAgg(figure)
    with style.drawing():
        canvas.draw()
        found = []
        for text in figure.findobj(lambda artist: type(artist).__name__ in ("Text", "Annotation") and artist.get_visible()):
            box = text.get_window_extent(canvas.get_renderer())
            if text.get_text().strip() and box.x1 > 0 and box.y1 > 0:  # ticks out of view are there, but not drawn
                # A heading ends in a blank line, over which the notice is written.
                lower = (box.y0 + box.y1) / 2 if text.get_text().endswith("\n ") else box.y0
                found.append((text.get_text(), box.x0, lower, box.x1, box.y1))
    return found


def _overlaps(figure: Figure) -> list[tuple[str, str]]:
    clashes = []
    for a, b in itertools.combinations(_boxes(figure), 2):
        wide, high = min(a[3], b[3]) - max(a[1], b[1]), min(a[4], b[4]) - max(a[2], b[2])
        if wide > 1 and high > 1 and min(wide, high) > 0.15 * min(a[4] - a[2], b[4] - b[2]):
            clashes.append((a[0], b[0]))
    return clashes


def test_a_frontalizer_has_one_colour_whatever_its_variant_and_company() -> None:
    assert palette.colour("liveportrait") == palette.colour("liveportrait.sharp") == palette.colour("fuse_mean:liveportrait.none")
    assert palette.colour("some_new_model.none") == palette.colour("some_new_model")
    assert palette.dash("liveportrait.none") == () != palette.dash("liveportrait.sharp")
    assert palette.colour("original") == palette.ORIGINAL_COLOUR


def test_known_frontalizers_differ_in_colour_or_mark() -> None:
    looks = [(palette.colour(name), palette.marker(name)) for name in palette.known()]
    assert set(palette.known()) <= {card.name for card in cards.all_cards("frontalizer")}, "a colour is kept for a card that there is"
    assert len(set(looks)) == len(looks)
    hues = {look[0] for look in looks}
    assert all(np.linalg.norm(np.subtract(to_rgb(a), to_rgb(b))) > 0.2 for a, b in itertools.combinations(hues, 2))


@pytest.mark.parametrize("text", ["plain", "a\nb\tc", "\u202eevil\u202c", "\x00\x1b[31m", "علی", "\ud800", "👩‍👩‍👧"])
def test_readable_leaves_one_line_without_controls(text: str) -> None:
    shown = style.readable(text)
    assert "\n" not in shown and "\u202e" not in shown and "\x1b" not in shown and "\ud800" not in shown


@pytest.mark.parametrize("name", [*made.NAMES, "x" * 500, "\ud800", ""])
def test_fitted_text_stays_within_its_cell(name: str) -> None:
    assert grids.text_width(grids.fit(name, 120, 8.5), 8.5) <= 120


def test_names_of_any_script_are_drawn_without_overlap() -> None:
    tiles = [grids.Tile(made.face(90, 0), (name, "0.123", "third line"), marked=i == 0) for i, name in enumerate(made.NAMES)]
    tiles.append(grids.Tile(None, ("x" * 90,), missing="a very long reason why there is no image, word after word after word"))
    heads = [["best", "Net Gain +0.123", "a long heading that must be cut somewhere"]] * 2
    figure = grids.sheet(
        [tiles, tiles[:2]], title="A title " * 30, notes=["a note " * 40], notice="synthetic", columns=list(made.NAMES), heads=heads
    )
    assert _overlaps(figure) == []


@pytest.mark.slow
def test_no_text_lies_on_another_in_any_figure(workshop: dataset.Workshop) -> None:
    files = workshop.inputs
    for request in dataset.requests(files.variants, files.judges[:1]):
        try:
            figure = workshop.draw(request)
        except BadInput as error:
            figure = plots.nothing(str(error), title="nothing", notice="synthetic")
        assert _overlaps(figure) == [], request


def test_an_enhancement_s_strip_says_what_it_changed_under_every_judge(workshop: dataset.Workshop) -> None:
    judges = workshop.inputs.judges
    shown = [text for text, *_ in _boxes(workshop.draw(dataset.Request("before_after", "tddfa.sharp", judges[0])))]
    change = made.NET["tddfa.sharp"] - made.NET["tddfa.none"]
    said = f"{change:+.3f}".replace("-", "\N{MINUS SIGN}")
    assert all(any(said in line and all(part in line for part in judge) for line in shown) for judge in judges)
    assert any("1 lost" in line for line in shown), "the probe that failed is counted"
    assert {"Angled", "Before", "After", "GT"} <= set(shown)


def test_only_what_was_enhanced_beside_its_plain_frontals_has_such_a_strip() -> None:
    judges = [("scrfd_500m", "sface")]

    def strips(*variants: str) -> list[str]:
        return [one.variant for one in dataset.requests(variants, judges) if one.name == "before_after"]

    assert strips("tddfa.none", "tddfa.sharp", "tddfa.sharp+omit_bg", "fuse_mean:tddfa.sharp") == ["tddfa.sharp", "tddfa.sharp+omit_bg"]
    assert strips("tddfa.sharp", "mesh.none") == []


def test_a_judge_that_made_the_images_stands_in_brackets() -> None:
    judges = [("scrfd_500m", "w600k_mbf"), ("scrfd_500m", "sface")]
    assert sheets._insiders("synthetic", "tddfa.identity_refine", judges) == {judges[0]}
    assert sheets._insiders("synthetic", "tddfa.sharp", judges) == frozenset()


def test_nothing_is_cut_off_at_the_edges(workshop: dataset.Workshop) -> None:
    for name in ("distributions", "gain_by_yaw", "cost", "variants"):
        figure = workshop.draw(dataset.Request(name, judge=workshop.inputs.judges[0]))
        width, height = figure.get_size_inches()
        with style.drawing():
            figure.canvas.draw()
            box = figure.get_tightbbox()
        assert box.x0 >= -0.02 and box.y0 >= -0.02 and box.x1 <= width + 0.02 and box.y1 <= height + 0.02, name


@pytest.mark.slow
def test_notice_is_seen_on_grids_and_an_unknown_one_is_refused(workshop: dataset.Workshop) -> None:
    def texts(notice: str, name: str) -> str:
        shop = dataset.Workshop(workshop.inputs, notice=notice)
        return " ".join(t[0] for t in _boxes(shop.draw(dataset.Request(name, variant="tddfa.none", judge=made.JUDGES[0]))))

    assert "SYNTHETIC" in texts("synthetic", "triples") and "SYNTHETIC" in texts("synthetic", "distributions")
    assert "do not publish" in texts("research", "ordered") and "do not publish" not in texts("research", "distributions")
    assert "SYNTHETIC" not in texts("", "triples")
    assert "your own images" in texts("own", "triples") and "your own" not in texts("own", "distributions")
    for name in ("triples", "ordered", "variants", "failures"):
        assert "do not publish" in texts("research", name), name
    with pytest.raises(BadInput, match="notice"):
        texts("whatever", "triples")


def test_what_a_licence_asks_for_stands_on_every_grid_of_faces(workshop: dataset.Workshop) -> None:
    shop = dataset.Workshop(workshop.inputs, notice="research", credit="Images: DeBruine & Jones (CC BY 4.0)", examples=1)
    for name in sorted(dataset.GRIDS):
        request = dataset.Request(name, variant="tddfa.sharp" if dataset.named(name).enhanced else "tddfa.none", judge=made.JUDGES[0])
        texts = " ".join(text[0] for text in _boxes(shop.draw(request)))
        assert "DeBruine & Jones" in texts and "do not publish" in texts, name


def test_notice_and_credit_follow_from_what_a_licence_says() -> None:
    def of(**said: Any) -> dict[str, Any]:
        return {"licence": {"terms": "CC BY 4.0", "publish": False, **said}}

    assert [licence.notice(of(terms=terms)) for terms in ("yours", "research only")] == ["own", "research"]
    assert licence.notice(of(publish=True)) == "" and licence.notice({**of(), "synthetic": True}) == "synthetic"
    assert licence.credit(of(attribution="A \n B")) == "Images: A B (CC BY 4.0)" and licence.credit(of()) == ""


@pytest.mark.parametrize(
    ("name", "word"), [("mesh", "Frontal"), ("mirror", "Mirrored"), ("mirror_ahead", "Mirrored"), ("stretch_mirror", "Mirrored")]
)
def test_a_mirrored_image_is_not_called_frontal(workshop: dataset.Workshop, name: str, word: str) -> None:
    def renamed(variant: str) -> str:
        return f"{name}.none" if variant == "tddfa.none" else variant

    files = workshop.inputs
    files = dataclasses.replace(
        files,
        similarity={dataclasses.replace(cell, variant=renamed(cell.variant)): path for cell, path in files.similarity.items()},
        images={renamed(variant): shards for variant, shards in files.images.items()},
        crops={(renamed(variant), detector): shards for (variant, detector), shards in files.crops.items()},
    )
    shop = dataset.Workshop(files, examples=1)
    words = [text[0] for text in _boxes(shop.draw(dataset.Request("triples", variant=f"{name}.none", judge=made.JUDGES[0])))]
    assert word in words and ("Frontal" in words) == (word == "Frontal")
    assert ("Moved crop" in words) == (name == "mirror_ahead"), "there the crop is what the method makes"


def test_controls_are_those_whose_cards_say_so_and_they_are_grey() -> None:
    asked = ("identity", "mirror", "mirror_ahead", "stretch_mirror", "mesh", "unknown")
    assert [name for name in asked if palette.is_control(name)] == ["identity", "mirror"]
    assert palette.colour("fuse_mean:mirror.none") == palette.CONTROL_HUE != palette.colour("mirror_ahead.none")


def test_mark_without_an_interval_is_hollow_and_every_variant_has_a_panel() -> None:
    few, many = series.Interval(0.1, np.nan, np.nan, 8, 4), series.Interval(0.1, 0.05, 0.15, 40, 20)
    bins = [series.Bin(0, 30, few, few), series.Bin(30, 60, many, many)]
    names = [f"mesh.{name}" for name in ("none", "sharp", "omit_bg", "upscale")]
    figure = angles.gain_by_yaw(dict.fromkeys(names, bins), title="t")
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == names
    for axes in panels:
        marks = [line for line in axes.lines if line.get_marker() == palette.marker("mesh.none")]
        assert [line.get_markerfacecolor() == "white" for line in marks] == [True, False, True, False], "four people have no interval"


def test_a_turn_curve_shows_the_numbers_that_it_was_given() -> None:
    def point(share: float, value: float, low: float) -> series.Turned:
        one = series.Interval(value, low, value + 0.1, 12, 6)
        return series.Turned(share, one, one, one)

    curves = {
        "tddfa.none": {(0.0, 45.0): [point(0.0, 0.3, 0.2), point(1.0, 0.5, 0.4)]},
        "fuse_mean:tddfa.none": {(0.0, 45.0): [point(1.0, 0.6, np.nan)]},
    }
    figure = angles.turn_curve(curves, {(0.0, 45.0): [point(1.0, 0.55, 0.5)]}, title="t")
    assert [axes.get_ylabel() for axes in figure.axes] == ["similarity to GT", "identity gain", "d'"]
    assert "12 probes of 6 people" in figure.axes[0].get_title("left") and "|yaw| 0 to 45" in figure.axes[0].get_title("left")
    for axes in figure.axes:
        heights = {round(float(y), 6) for drawn in axes.lines for y in np.atleast_1d(np.asarray(drawn.get_ydata(), np.float64))}
        assert {0.3, 0.5, 0.6, 0.55} <= heights
        assert sum(drawn.get_markerfacecolor() == "white" for drawn in axes.lines if drawn.get_marker() == "o") == 1, "no interval: hollow"
        assert axes.get_xlim()[0] > axes.get_xlim()[1], "turning goes to the right"
    with pytest.raises(BadInput, match="turn curve: no probe"):
        angles.turn_curve({"tddfa.none": {}}, {})


def test_a_report_carries_what_fits_and_images_first() -> None:
    judges = [(d, b) for d in ("scrfd_500m", "yunet") for b in ("w600k_mbf", "sface")]
    for variants, datasets in ((["mesh.none"], 1), ([f"m{i}.{e}" for i in range(33) for e in ("none", "sharp")], 4)):
        entries = [e for e in reported.report_entries(variants, judges, datasets) if e.caption]
        assert all("yunet" not in e.path and "sface" not in e.path for e in entries)
        requests = {f"{r.stem}.{r.formats[0]}": r for r in dataset.requests(variants, judges)}
        size = sum(reported._kilobytes(requests[e.path], len(variants)) for e in entries)
        assert size * datasets <= reported.REPORT_KILOBYTES
        assert {"triples", "failures"} <= {e.caption for e in entries}


def test_image_keeps_its_proportions_in_the_grid(tmp_path: Path) -> None:
    wide = np.full((50, 200, 3), (255, 0, 255), np.uint8)
    (path,) = style.save(grids.sheet([[grids.Tile(wide)]]), tmp_path / "grid", ("png",), dpi=style.DPI)
    shown = cv2.imread(str(path))
    rows, columns = np.nonzero((shown == (255, 0, 255)).all(axis=2))
    assert np.ptp(columns) + 1 == pytest.approx(4 * (np.ptp(rows) + 1), abs=5)
    assert np.ptp(columns) + 1 == pytest.approx(grids.CELL, abs=2)


def test_curve_stands_at_the_constant_gain_it_was_given() -> None:
    yaw = np.linspace(-80, 80, 120)
    names = np.array([f"p{i % 30}" for i in range(120)], dtype=object)
    gains = series.Gains("tddfa.none", names, names, yaw, np.full(120, 0.25), np.full(120, 0.125), 0, 120)
    figure = angles.gain_curve({"tddfa.none": gains})
    (axes,) = figure.axes
    for key, value in (("_net", 0.25), ("_identity", 0.125)):
        line = next(line for line in axes.lines if line.get_label() == key)
        drawn = line.get_ydata()
        np.testing.assert_allclose(drawn[np.isfinite(drawn)], value, atol=1e-9)
        assert np.isfinite(drawn).sum() > 30


def test_saved_figures_have_the_same_bytes_every_time(tmp_path: Path) -> None:
    gains = {"tddfa.none": [series.Bin(0, 90, *[series.Interval(0.1, 0.05, 0.15, 20, 5)] * 2)]}
    for name in "ab":
        style.save(angles.gain_by_yaw(gains, title="t", notice="synthetic"), tmp_path / name, ("png", "svg", "jpg"))
    for kind in ("png", "svg", "jpg"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_a_figure_that_fails_to_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.png").write_bytes(b"old")
    figure = plots.nothing("why")

    def broken(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="space"):
        style.save(figure, tmp_path / "f", ("png",))
    assert [p.name for p in tmp_path.iterdir()] == ["f.png"] and (tmp_path / "f.png").read_bytes() == b"old"


@pytest.mark.slow
def test_every_announced_file_is_written_and_nothing_else(workshop: dataset.Workshop, tmp_path: Path) -> None:
    files = workshop.inputs
    wanted = list(dataset.requests(files.variants, files.judges[:1]))
    reasons = {request.name: reason for request, reason in workshop.make(tmp_path, wanted)}
    written = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert written == sorted(dataset.stems(files.variants, files.judges[:1]))
    assert all((tmp_path / name).stat().st_size > 1000 for name in written)
    assert reasons["gain_curve"] and not reasons["triples"], "nominal angles allow no curve, everything else is drawn"


EVERY_KIND = (*made.VARIANTS, "tddfa@0.5.none", "gate_learned:tddfa.none")
"""Variants that bring every figure; some are drawn only for a share of the angle, or for a learned gate."""


def test_every_declared_figure_has_its_maker_and_is_asked_for() -> None:
    asked = {request.name for request in dataset.requests(EVERY_KIND, made.JUDGES)}
    plain = {request.name for request in dataset.requests(made.VARIANTS, made.JUDGES)}
    assert asked - plain == {"turn_curve", "gate_calibration"}
    for plot in dataset.PLOTS:
        assert callable(getattr(dataset.Workshop, f"_{plot.name}")) and plot.name in asked, plot.name
        assert plot.kilobytes or plot.per_variant, f"{plot.name}: the report must know what it weighs"
    assert len(dataset.NAMES) == len(dataset.PLOTS)


@pytest.mark.parametrize(
    ("changed", "stems"),
    [
        ({"about": "judge"}, ["toy/toy.d.b", "toy/toy.d.c"]),
        ({"about": "variant"}, ["toy/m.none", "toy/m.sharp", "toy/fuse_mean-m.none"]),
        ({"about": "variant", "faces": True, "judged": True}, ["toy/m.none.d.b", "toy/m.sharp.d.b"]),
        ({"about": "variant", "values": ("net_gain",), "values_of_photographs": ("rank1",)}, ["toy/original.rank1", "toy/m.none.net_gain"]),
        ({"about": "dataset"}, ["toy/toy"]),
    ],
)
def test_a_new_figure_is_one_declaration(
    changed: dict[str, Any], stems: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What docs/add_a_figure.md promises: files, the report's entries, the table of the docs and the caption follow from the entry."""
    about = {"needs": "tables | more", "shows": "a toy", "caption": f"A toy of {NAME}.", "kilobytes": 1}
    plot = Plot("toy", "a toy, nothing else", "7 Toys", **{**about, **changed})
    monkeypatch.setattr(dataset, "PLOTS", (*dataset.PLOTS, plot))
    variants, judges = ["original", "m.none", "m.sharp", "fuse_mean:m.none"], [("d", "b"), ("d", "c")]
    found = [request.stem for request in dataset.requests(variants, judges) if request.name == "toy"]
    assert found[: len(stems)] == stems and (len(found) == len(stems) or plot.values)
    assert [request.name for request in dataset.requests(["original"], judges) if request.name == "toy"] == ["toy"] * bool(
        plot.values_of_photographs
    )
    entries = [entry for entry in reported.report_entries(variants, judges) if entry.path.startswith("toy/")]
    assert {entry.subcategory for entry in entries} == {"7 Toys"} and "toy" in {entry.caption for entry in entries}
    assert documented.captions((plot,)) == {"toy.rst": "A toy of {{ snakemake.wildcards.dataset }}.\n"}
    assert documented.table((plot,)).splitlines()[2] == r"| `toy` | tables \| more | a toy |"
    with pytest.raises(BadInput, match="figure 'tot' is not known; known: distributions"):
        dataset.named("tot")


def test_report_entries_cover_every_file_and_have_their_captions(project_root: Path) -> None:
    entries = reported.report_entries(EVERY_KIND, made.JUDGES)
    assert [e.path for e in entries] == dataset.stems(EVERY_KIND, made.JUDGES)
    keys: dict[str, set[tuple[str, ...]]] = {}
    for entry in entries:
        if entry.caption:
            assert (project_root / "reports" / "captions" / f"{entry.caption}.rst").is_file()
            keys.setdefault(entry.subcategory, set()).add(tuple(entry.labels))
    assert all(len(different) == 1 for different in keys.values()), "labels of a subcategory are columns of one table"
    assert {e.caption for e in entries} - {""} == set(dataset.NAMES)


@pytest.mark.slow
def test_only_failures_are_left_of_a_run_in_which_everything_failed(tmp_path: Path) -> None:
    files = made.write_run(tmp_path / "run")
    from frontalbench import tables

    for path in files:
        if "/similarity/" in str(path):
            rows = [
                {**row, "status": "no_face", "genuine": None, "impostor": None, "within": None, "rank": None}
                for row in made.similarity_rows("original")
            ]
            tables.write(path, tables.from_rows(rows, tables.SIMILARITY))
    shop = dataset.Workshop(inputs.sort_out(files))
    reasons = {r.stem: reason for r, reason in shop.make(tmp_path / "out", list(dataset.requests(made.VARIANTS, made.JUDGES[:1])))}
    assert "no probe has an embedding" in reasons["triples/tddfa.none.scrfd_500m.w600k_mbf"]
    assert not reasons["failures/failures"]
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == sorted(
        dataset.stems(made.VARIANTS, made.JUDGES[:1])
    )


@pytest.mark.slow
def test_command_line_draws_one_figure_and_explains_mistakes(run: list[Path], tmp_path: Path, project_root: Path) -> None:
    script = str(project_root / "workflow" / "scripts" / "viz.py")
    listing = tmp_path / "files.txt"
    listing.write_text("\n".join(str(p) for p in run), encoding="utf-8")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, script, *arguments, "--in", f"@{listing}"], capture_output=True, text=True, check=False)

    done = call("--figure", "triples", "--variant", "tddfa.none", "--out", str(tmp_path / "t"))
    assert done.returncode == 0 and done.stdout.split() == [str(tmp_path / "t.jpg")], done.stderr
    wrong = call("--figure", "gain_by_yaw", "--judge", "nobody,nothing", "--out", str(tmp_path / "g"))
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "scrfd_500m,w600k_mbf" in wrong.stderr
    vague = call("--figure", "ordered", "--out", str(tmp_path / "g"))
    assert vague.returncode == 2 and "tddfa.sharp" in vague.stderr


def test_first_page_of_the_report_names_what_ran_and_the_licence_asks_for(project_root: Path) -> None:
    data = {
        "datasets": [{"name": "frll", "limit": 4}, {"name": "folder", "root": "demo/synthetic"}],
        "frontalizers": ["mesh"],
        "enhancements": ["none"],
        "detectors": ["scrfd_500m"],
        "backbones": ["w600k_mbf"],
        "derived": ["fuse_mean:mesh.none"],
    }
    told = Plan(data).told()
    assert told["datasets"] == ["frll", "folder"] and told["variants"] == ["mesh.none"] and told["notices"] == {"folder": "own"}
    template = jinja2.Template((project_root / "reports/workflow.rst").read_text(encoding="utf-8"))
    for said in (told, {}):
        source = template.render(snakemake=types.SimpleNamespace(config={"told": said}))
        page = docutils.core.publish_parts(source, writer="html")["body"]
        assert "System Message" not in page and "{" not in page
        assert ("DeBruine" in page and "fuse_mean:mesh.none" in page) == bool(said) and "must not be published" not in page


def test_charts_of_jobs_in_a_report_of_a_large_grid_keep_every_rule_and_few_points() -> None:
    points = [
        {"rule": "many", "starttime": "2026-01-01T00:00:00", "endtime": f"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}"} for i in range(3000)
    ]
    points.append({"rule": "once", "starttime": "2026-01-02T00:00:00", "endtime": "2026-01-02T00:00:00"})
    runtimes = [{"rule": "many", "runtime": float(i)} for i in range(17389)]

    def page(timeline: list[dict[str, object]], runtimes: list[dict[str, object]]) -> str:
        charts = [
            {"$schema": "https://x", "description": words, "data": {"values": values}, "mark": "point"}
            for words, values in (("Timeline of jobs.", timeline), ("Runtimes of jobs.", runtimes))
        ]
        return (
            f"<p>{{before}}</p>\n<script>var a = {json.dumps(charts[0])};</script>\n<script>var b = {json.dumps(charts[1])};</script> after"
        )

    whole = page(points, runtimes)
    thinned = report.thin(whole, 100)
    assert thinned.startswith("<p>{before}</p>") and thinned.endswith("</script> after")
    kept = [json.JSONDecoder().raw_decode(thinned, thinned.index("{", thinned.index(f"var {name} =")))[0] for name in "ab"]
    assert all(len(chart["data"]["values"]) <= 104 for chart in kept)
    assert {point["rule"] for point in kept[0]["data"]["values"]} == {"many", "once"}
    assert kept[1]["data"]["values"][-1]["runtime"] == 17388.0 and "of 17,389 jobs" in kept[1]["title"]
    assert report.thin(page(points[:50], [])) == page(points[:50], []) and report.thin("nothing") == "nothing"


def test_a_report_of_the_studys_grid_stays_below_eight_megabytes() -> None:
    """Tables as large as that grid makes them, every number there and a note of 300 letters, beside the figures that are let in."""
    note, names = "n" * 300, {"dataset": "biwi", "synthetic": False, "frontalizer": "liveportrait", "enhancement": "gfpgan_detail"}
    judge = {"detector": "retinaface_r50", "backbone": "w600k_r50"}
    variants, judges, datasets = 37, 8, 2
    columns = TABLES["table1_net_gain"]
    row = [
        names.get(key) or judge.get(key) or ("yes" if key in ("leak", "best") else note if key == "note" else "-0.123456")
        for key in columns
    ]
    letters = 4 / 3 * len(csv_text(list(columns), [row] * (variants * judges * datasets)))
    cell = {
        "mean": -0.123456,
        "ci_low": -0.1,
        "ci_high": 0.1,
        "mean_own": 0.1,
        "n_own": 15678,
        "n_fta": 1200,
        "best": False,
        "n_images": 15678,
    }
    wide = [
        {**names, "dataset": d, "enhancement": f"e{i}", "detector": f"d{j}", "backbone": "glintr100", **cell, "note": note[:60]}
        for d in ("biwi", "lfw")
        for i in range(32)
        for j in range(judges)
    ]
    letters += 4 / 3 * len(wide_csv(wide, ("dataset", "synthetic", "frontalizer", "enhancement")))
    cells = variants * judges * datasets
    assert letters / 1000 <= reported._CELL_KILOBYTES * cells
    charts = 2 * report.JOBS * 0.12
    assert 3100 + charts + letters / 1000 + reported.figure_kilobytes(cells) * 4 / 3 < 8000
    assert 2000 < reported.figure_kilobytes(cells) < reported.figure_kilobytes(10) <= reported.REPORT_KILOBYTES
    assert reported.figure_kilobytes(100_000) == 0
