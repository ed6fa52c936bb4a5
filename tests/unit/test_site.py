"""The static site: right numbers, no broken links, nothing from outside, names never markup, the same bytes."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from frontalbench import tables
from frontalbench.datasets import card as dataset_cards
from frontalbench.errors import BadInput
from frontalbench.figures import inputs
from frontalbench.site import browser, build, charts, filters, judges, labels, master
from frontalbench.tabulate.columns import MASTER, schema
from tests.unit import figure_tables as made
from tests.unit import site_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    files = site_run.write_run(folder)
    site_run.write_figures(folder / "figures")
    site_run.site(folder, files, folder / "site").build()
    (folder / "files.json").write_text(json.dumps([str(p) for p in files]), encoding="utf-8")
    return folder


def _files(root: Path) -> list[Path]:
    return [Path(p) for p in json.loads((root / "files.json").read_text(encoding="utf-8"))]


class _Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _pages(root: Path) -> list[Path]:
    return sorted((root / "site").rglob("*.html"))


def test_every_page_of_the_plan_is_there(root: Path) -> None:
    names = {p.relative_to(root / "site").as_posix() for p in _pages(root)}
    assert names == {
        "index.html",
        "judges.html",
        "numbers.html",
        "frontalizers/tddfa.html",
        "datasets/synthetic.html",
        "people/synthetic.html",
    }


def test_links_lead_somewhere_and_nothing_comes_from_outside(root: Path) -> None:
    for page in _pages(root):
        parsed = _Page(page)
        ids = {attributes.get("id") for _, attributes in parsed.tags}
        for tag, attributes in parsed.tags:
            for key in ("href", "src"):
                target = attributes.get(key)
                if not target or target == "data:,":
                    continue
                assert not re.match(r"(https?:)?//", target), (page, tag, target)
                path, fragment = urldefrag(target)
                assert not path or (page.parent / unquote(path)).resolve().is_file(), (page, target)
                assert path or fragment in ids, (page, target)
    assert not re.search(r"url\(|@import|https?://", (root / "site/static/style.css").read_text(encoding="utf-8"))


def test_names_are_text_and_never_markup(root: Path) -> None:
    page = root / "site/people/synthetic.html"
    parsed = _Page(page)
    assert not [tag for tag, _ in parsed.tags if tag == "b"], "a name with a tag in it stays a name"
    source = page.read_text(encoding="utf-8")
    shown = [name for name in made.NAMES if html.escape(name, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in source]
    assert len(shown) == 6
    assert source.count("<bdi>") > 6, "right-to-left names do not turn their neighbours around"
    assert "</script" not in (root / "site/data/master.js").read_text(encoding="utf-8")


def test_every_page_has_one_heading_a_language_and_labels(root: Path) -> None:
    for page in _pages(root):
        parsed = _Page(page)
        tags = [tag for tag, _ in parsed.tags]
        assert tags.count("h1") == 1 and tags.count("main") == 1
        assert ("html", {"lang": "en"}) in parsed.tags
        ids = [a["id"] for _, a in parsed.tags if a.get("id")]
        assert len(ids) == len(set(ids)), page
        labelled = {a.get("for") for tag, a in parsed.tags if tag == "label"}
        assert all(a.get("id") in labelled for tag, a in parsed.tags if tag in ("select", "input")), page
        assert all("alt" in a for tag, a in parsed.tags if tag == "img"), page


def test_ranking_shows_the_gain_of_the_tables(root: Path) -> None:
    row = next(r for r in tables.read(root / "master/table1_net_gain.parquet").to_pylist() if r["variant"] == "tddfa.none")
    text = _Page(root / "site/index.html").text
    assert f"{row['identity_gain']:+.3f}".replace("-", "\N{MINUS SIGN}").replace("+0.000", "0.000") in text
    assert "tddfa.none" in text and "Verified" in text


def test_pages_show_cost_quality_and_the_ranking_of_the_judges(root: Path) -> None:
    overview, card, judges = (_Page(root / f"site/{page}.html").text for page in ("index", "frontalizers/tddfa", "judges"))
    assert "Speed, quality, installation" in overview and "250 ms" in overview and "fetched by the run" in overview
    cost = next(
        r for r in tables.read(root / "master/quality.parquet").to_pylist() if r["variant"] == "tddfa.none" and r["measure"] == "ssim"
    )
    assert f"{cost['mean']:.3f}" in card and f"+{cost['change']:.3f}" in card and "The images themselves" in card
    assert (
        "Not measured: " in card
        and "lpips: the AlexNet that LPIPS stands on" in card
        and "brisque: not asked for: add no_reference" in card
    )
    assert "sharp" in card and "nothing: no weights" in card, "an enhancement's own cost stands beside the frontalizer's"
    rows = [r for r in tables.read(root / "master/judges.parquet").to_pylist() if r["measure"] == "z_slope"]
    assert len(rows) == 2
    for row in rows:
        assert f"{row['value']:.3f}".replace("-", "\N{MINUS SIGN}") in judges
    assert "are more than chance" in judges


def _row(variant: str, gain: float, place: int | None, last: int | None, **more: Any) -> dict[str, Any]:
    return {"variant": variant, "identity_gain": gain, "place": place, "first": place, "last": last, "leak": False, **more}


def test_places_are_those_of_the_table_and_rows_without_one_are_left_out() -> None:
    rows = [_row("c", -0.5, 3, 3), _row("a", 0.28, 1, 2), _row("b", 0.3, 2, 2, first=1), _row("d", 0.9, None, None, leak=True)]
    ranked, left_out = master.ranking(rows)
    assert [(r.row["variant"], r.places) for r in ranked] == [("a", "1 to 2"), ("b", "1 to 2"), ("c", "3")]
    assert [r["variant"] for r in left_out] == ["d"], "a backbone that took part in the training does not rank"


def test_all_numbers_are_those_of_the_master_table(root: Path) -> None:
    whole = tables.read(root / "master/master.parquet").to_pylist()
    script = (root / "site/data/master.js").read_text(encoding="utf-8")
    data = json.loads(script.removeprefix("window.FRONTALBENCH_MASTER=").rstrip(";\n"))
    keys = [column["key"] for column in data["columns"]]
    over_all = [r for r in whole if r["yaw_axis"] == "all"]
    assert len(data["values"]) == len(over_all) > 10
    at = keys.index("mean")
    assert [v[at] for v in data["values"]] == [None if r["mean"] is None else pytest.approx(r["mean"], abs=1e-5) for r in over_all]
    with (root / "site/data/master.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(whole) and list(rows[0]) == list(MASTER)


def test_probe_browser_shows_the_similarity_of_every_judge(root: Path) -> None:
    table = tables.read(root / "similarity/synthetic/original/scrfd_500m/w600k_mbf.parquet").to_pylist()
    text = _Page(root / "site/people/synthetic.html").text
    for row in table:
        if row["image_id"] in ("0/1", "5/1"):
            assert f"{row['genuine']:.3f}" in text
    assert "no face" in text, "a failure says its name where the number would be"


def test_same_inputs_give_the_same_bytes_and_old_files_go(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    (out / "datasets").mkdir(parents=True)
    (out / "datasets/gone.html").write_text("old")
    (out / build.LISTING).write_text("datasets/gone.html\n")
    site_run.site(root, _files(root), out).build()
    first = {p.relative_to(root / "site"): p.read_bytes() for p in (root / "site").rglob("*") if p.is_file()}
    second = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert first == second


def test_site_of_the_master_tables_alone_is_whole(root: Path, tmp_path: Path) -> None:
    build.Site(master.read(root / "master"), tmp_path / "plain").build()
    assert (tmp_path / "plain/index.html").is_file() and not (tmp_path / "plain/people").exists()


def test_mistakes_are_explained(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"master\.parquet"):
        master.read(tmp_path)
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="not written here"):
        build.Site(master.read(root / "master"), tmp_path).build()


def test_chart_holds_its_points_and_says_what_it_shows() -> None:
    line = charts.Series(
        "tddfa.<b>", [charts.Point(0.0, -0.1, -0.2, 0.0), charts.Point(45.0, 0.1, people=2), charts.Point(90.0, 0.2, 0.1, 0.3)]
    )
    svg = str(charts.lines([line], title='gain "of" <x>', x_label="yaw", y_label="gain"))
    assert "<b>" not in svg and "<x>" not in svg and 'role="img"' in svg
    points = [tuple(float(v) for v in pair.split(",")) for pair in re.search(r'class="line" points="([^"]+)"', svg)[1].split()]  # type: ignore[index]
    assert len(points) == 3 and points[0][0] < points[1][0] < points[2][0] and points[0][1] > points[1][1] > points[2][1]
    assert all(0 <= x <= 640 and 0 <= y <= 320 for x, y in points)
    assert charts.lines([], title="", x_label="", y_label="") == ""
    assert svg.count("mark hollow") == 1 and svg.count('class="stroke thin"') == 2, "no interval: a hollow mark and no bar"
    assert 'class="count"' in svg and ">2</text>" in svg, "how many people it were stands beside it"


def test_a_frame_between_two_lost_ones_is_a_mark_of_its_own() -> None:
    points = [charts.Point(x, 0.5) for x in (0.0, 2.0, 3.0, 4.0)]
    svg = str(charts.lines([charts.Series("tddfa.none", points, band=True, gap=1.0)], title="", x_label="frame", y_label="similarity"))
    marks = re.findall(r'<(?:circle|rect|polygon) class="mark"', svg)
    assert len(marks) == 1, "the line from 2 to 4 needs none"


def test_every_line_has_a_chart_of_its_own_under_its_name() -> None:
    names = [f"mesh.{name}" for name in ("none", "sharp", "omit_bg", "upscale", "a", "b")]
    lines = [charts.Series(name, [charts.Point(0.0, 0.1 * i), charts.Point(1.0, 0.2)]) for i, name in enumerate(names)]
    behind = charts.Series("original", [charts.Point(0.0, 0.5), charts.Point(1.0, 0.4)], band=True)
    svg = str(charts.lines(lines, title="t", x_label="x", y_label="y", behind=behind))
    assert svg.count("<svg") == len(names) and all(f"<bdi>{name}</bdi>" in svg for name in names)
    for part in svg.split("<svg")[1:]:
        assert part.count('class="line"') == 2 and "behind" in part, "its own line and the angled photographs'"


def test_a_row_far_away_is_an_arrow_and_does_not_squeeze_the_others() -> None:
    rows = [(0.02, 0.01, 0.03), (0.01, 0.0, 0.02), (-0.01, -0.02, 0.0), (-0.9, -1.0, -0.8)]
    low, high = charts.limits_of_ranking(rows)
    assert -0.2 < low < -0.02 and 0.03 < high < 0.2
    assert "<circle" not in str(charts.interval_bar(-0.9, -1.0, -0.8, (low, high), "tddfa.none")), "an arrow at the edge"
    near = str(charts.interval_bar(0.02, 0.01, 0.03, (low, high), "tddfa.none"))
    assert "hollow" not in near and "hollow" in str(charts.interval_bar(0.02, None, None, (low, high), "tddfa.none"))


def test_a_line_stops_where_points_are_missing() -> None:
    points = [charts.Point(0.0, 0.1), charts.Point(1.0, 0.2), charts.Point(3.0, 0.3)]
    assert [len(run) for run in charts.Series("mesh.none", points, gap=1.0).runs()] == [2, 1]
    assert [len(run) for run in charts.Series("mesh.none", points).runs()] == [3]
    drawn = charts.lines([charts.Series("mesh.none", points, gap=1.0)], title="t", x_label="x", y_label="y")
    lines = re.findall(r'<g class="hue[^"]*">(.*?)</g>', str(drawn))[0].count("<polyline")
    assert lines == 2


def test_the_first_page_says_with_what_and_warns_where_versions_are_mixed(root: Path, tmp_path: Path) -> None:
    first = _Page(root / "site" / "index.html").text
    assert "Computed with" in first and "numpy" in first and "mixes versions" not in first
    site = site_run.site(root, _files(root), tmp_path / "site")
    first_row, *others = site.master.rows("software")
    mixed = [{**first_row, "version": version, "mixed": True} for version in ("0.0.1", "0.0.2")]
    site.master = dataclasses.replace(site.master, tables={**site.master.tables, "software": [*mixed, *others]})
    site.build()
    text = _Page(tmp_path / "site" / "index.html").text
    assert "mixes versions" in text and "0.0.1" in text and "--mixed" in text


def test_a_dataset_of_which_nothing_could_be_judged_has_a_page_that_says_so_and_no_dead_link(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_run.site(root, _files(root), tmp_path / "site")
    kept = dict(site.master.tables)
    lost = {**kept["counts"][0], "dataset": "lost", "n_references_usable": 0, "n_probes": 0}
    kept["counts"] = [*kept["counts"], lost]
    why = {"dataset": "lost", "variant": "original", "detector": "scrfd_500m", "backbone": "w600k_mbf", "status": "no_face", "n_images": 4}
    kept["missing"] = [*kept["missing"], {**why, "reason": "scrfd_500m found no face"}]
    (tmp_path / "master").mkdir()
    for name, rows in kept.items():
        tables.write(tmp_path / "master" / f"{name}.parquet", tables.from_rows(list(rows), schema(name)))
    site.master = master.read(tmp_path / "master")
    assert site.master.datasets == (site_run.NAME, "lost")
    site.inputs = {**site.inputs, "lost": site.inputs[site_run.NAME]}
    browse = build.browser.browse
    monkeypatch.setattr(
        build.browser, "browse", lambda files, out, folder, people: [] if "lost" in folder else browse(files, out, folder, people=people)
    )
    written = site.build()
    assert "datasets/lost.html" in written
    assert "people/lost.html" not in written
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "people/lost.html" not in index
    assert "people/synthetic.html" in index
    assert "judged nothing of <bdi>lost</bdi>: no face. scrfd_500m found no face" in index
    assert "No judge could compare anything on <bdi>lost</bdi>" in (tmp_path / "site/datasets/lost.html").read_text(encoding="utf-8")


def test_first_page_shows_the_best_the_median_and_the_worst_face(root: Path) -> None:
    source = (root / "site/index.html").read_text(encoding="utf-8")
    faces = source[source.index('class="faces"') : source.index("Identity gain by |yaw|")]
    shown = re.findall(r"<strong>(.*?) probe:</strong> Net Gain ([^, <]+)", faces)
    (best, high), (median, middle), (worst, low) = [(words, float(value.replace("\N{MINUS SIGN}", "-"))) for words, value in shown]
    assert high >= middle >= low and median == "Median"
    assert (best, worst) == ("Best" if high > 0 else "Least bad", "Least gain" if low > 0 else "Worst")
    assert faces.count("<img") == 9 and all(head in faces for head in (">Angled<", ">Frontal<", ">GT<"))
    assert "Identity gain by |yaw|" in source and "panel" in source


def _renamed(read: master.Master, old: str, new: str) -> master.Master:
    """The tables with one frontalizer called by another name."""

    def name(value: Any) -> Any:
        return re.sub(rf"\b{old}\b", new, value) if isinstance(value, str) else value

    changed = {table: [{key: name(value) for key, value in row.items()} for row in rows] for table, rows in read.tables.items()}
    return dataclasses.replace(read, tables=changed, frontalizers=tuple(name(f) for f in read.frontalizers))


def test_a_control_is_called_so_and_never_leads(root: Path, tmp_path: Path) -> None:
    read = master.read(root / "master")
    build.Site(_renamed(read, "tddfa", "mirror"), tmp_path / "control").build()
    source = (tmp_path / "control/index.html").read_text(encoding="utf-8")
    assert source.count('<tr class="control">') >= 2 and '<span class="tag">control</span>' in source
    assert 'class="verdict"' not in source, "there is no method in this ranking"
    assert '<span class="tag">control</span>' in (tmp_path / "control/frontalizers/mirror.html").read_text(encoding="utf-8")
    assert "control" not in _Page(root / "site/index.html").text
    fused = {"variant": "fuse_mean:mirror.none", "recipe": "fuse_mean"}
    shifted = {"variant": "control_meanshift:mesh.none", "recipe": "control_meanshift"}
    assert filters.tag(fused) == filters.tag(shifted) == "control"
    assert filters.tag({"variant": "fuse_mean:mirror_ahead.none", "recipe": "fuse_mean"}) == "derived"
    assert filters.tag({"variant": "mesh.none", "recipe": ""}) == ""


def test_images_that_must_not_be_published_say_so_on_every_page_that_shows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = site_run.write_run(tmp_path, "cfp")
    pages = ("index", "datasets/cfp", "frontalizers/tddfa", "people/cfp", "judges")
    site_run.site(tmp_path, files, tmp_path / "site").build()
    for page in pages:
        assert "must not be published" in _Page(tmp_path / f"site/{page}.html").text, page
    credit = "DeBruine"
    for name, said, unsaid in (("frll", credit, "must not be published"), ("folder", "Your own images", "must not be published")):
        monkeypatch.setattr(build, "_dataset_card", lambda _, name=name: dataset_cards.find(name))
        site_run.write_figures(tmp_path / "figures", "cfp")
        site_run.site(tmp_path, files, tmp_path / "site").build()
        for page in pages if said != credit else pages[:-1]:  # no image on the page of the judges
            text = _Page(tmp_path / f"site/{page}.html").text
            assert said in text and unsaid not in text, (name, page)


def test_a_ranking_is_put_in_a_sentence_that_its_table_allows() -> None:
    def said(*rows: dict[str, Any]) -> tuple[str, str | None, str]:
        ranked, _ = master.ranking(list(rows))
        found = master.verdict(ranked, lambda row: row["variant"].startswith("identity"))
        return found.kind, found.leader and found.leader["variant"], found.reason

    def row(variant: str, gain: float, place: int, **more: Any) -> dict[str, Any]:
        return _row(variant, gain, place, place, **{"gain_ranked": gain, "best": False, "note": "", **more})

    assert said(row("mesh.none", 0.1, 1, best=True), row("b.none", 0.0, 2)) == ("best", "mesh.none", "")
    why = f"{master.NOT_BEST}not certainly above b.none (p 0.4); synthetic people: nothing"
    assert said(row("mesh.none", 0.1, 1, note=why)) == ("leads", "mesh.none", "not certainly above b.none (p 0.4)")
    assert said(row("identity.none", 0.0, 1), row("mesh.none", -0.109, 2)) == ("least bad", "mesh.none", "")
    assert said(row("identity.none", 0.0, 1)) == ("none", None, "")


@pytest.mark.parametrize("best", [True, False])
def test_best_is_written_only_where_the_table_says_so(root: Path, tmp_path: Path, best: bool) -> None:
    read = master.read(root / "master")
    rows = [{**r, "best": best and r["place"] == 1} for r in read.tables["table1_net_gain"]]
    build.Site(dataclasses.replace(read, tables={**read.tables, "table1_net_gain": rows}), tmp_path / "site").build()
    for page in ("index", "frontalizers/tddfa", "datasets/synthetic"):
        source = (tmp_path / f"site/{page}.html").read_text(encoding="utf-8")
        assert (">best</span>" in source) == best and ("is best</strong>" in source) == (best and page != "frontalizers/tddfa")


def test_the_judge_of_the_page_is_the_first_of_the_configuration(root: Path) -> None:
    forward, backward = list(made.JUDGES), list(made.JUDGES)[::-1]
    for order in (forward, backward):
        assert master.read(root / "master", order).judges_of("synthetic") == order
    assert master.read(root / "master", [("gone", "gone")]).judges_of("synthetic"), "a judge without a row is left out"


def test_derived_variants_are_in_the_browser_of_probes_without_an_image(root: Path, tmp_path: Path) -> None:
    (files,) = inputs.by_dataset(_files(root)).values()
    more = {dataclasses.replace(c, variant="fuse_mean:tddfa.none"): p for c, p in files.similarity.items() if c.variant == "tddfa.none"}
    shown = browser.browse(dataclasses.replace(files, similarity={**files.similarity, **more}), tmp_path, "people", people=2)
    tiles = [p for person in shown for probe in person.probes for p in probe.images if p.name == "fuse_mean:tddfa.none"]
    assert tiles and all(not t.file and t.similarity[0] is not None and "embeddings" in t.why for t in tiles)


def test_judges_on_whom_the_measures_disagree_get_a_sentence_which_to_believe() -> None:
    def part(measure: str, judge: str, last: int = 1) -> dict[str, Any]:
        return {"measure": measure, "rows": [{"detector": judge, "backbone": "b", "value": 0.1, "first": 1, "last": last}]}

    assert judges.winners([part("fnmr", "a"), part("z_slope", "a"), part("area", "c")]) is None
    found = judges.winners([part("z_slope", "a"), part("fnmr", "b", last=3)])
    assert found is not None and found["believed"] == "fnmr" and found["tied"] == 2
    assert found["names"] == {"z_slope": ("a", "b"), "fnmr": ("b", "b")}


def test_cells_say_what_they_are_where_a_row_becomes_a_card() -> None:
    table = (
        "<table><thead><tr><th>A &amp; b</th><th><span class='hidden'>bar</span></th><th>C</th></tr></thead>"
        '<tbody><tr><th scope="row">x</th><td>1</td><td class="num">2</td></tr><tr><td colspan="3">none</td></tr></tbody></table><table><tbody>'
        "<tr><td>free</td></tr></tbody></table>"
    )
    text = labels.labelled(table)
    assert '<th data-label="A &amp; b" scope="row">x' in text and '<td>1</td><td data-label="C" class="num">2' in text
    assert '<td colspan="3">none' in text and "<td>free" in text
