"""The site in a browser without network: scripts run, tables fill, choices choose, and axe-core finds nothing against the accessibility rules."""

from __future__ import annotations

import html
import json
import re
import tarfile
from pathlib import Path

import pytest

from frontalbench import tables
from frontalbench.catalogue.cards import PackageSource
from frontalbench.errors import FrontalbenchError
from frontalbench.site import asked, moving
from frontalbench.weights import packages
from frontalbench.weights.faults import SourceFault
from tests.browser import chromium
from tests.unit import sequence_run, site_run

pytestmark = pytest.mark.browser

AXE = PackageSource(registry="npm", package="axe-core", version="4.10.3", form="tgz", member="package/axe.min.js")
AXE_SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
PAGES = ("index", "judges", "numbers", "frontalizers/tddfa", "datasets/synthetic", "people/synthetic")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chromium.needed()
    folder = tmp_path_factory.mktemp("site")
    files = site_run.write_run(folder)
    site_run.write_figures(folder / "figures")
    site_run.site(folder, files, folder / "site").build()
    return folder / "site"


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    try:
        archive = packages.get(AXE, tmp_path_factory.mktemp("axe"))
    except (FrontalbenchError, SourceFault) as error:
        pytest.skip(f"axe-core is out of reach: {error}")
    assert tables.file_sha256(archive) == AXE_SHA256
    with tarfile.open(archive) as opened:
        member = opened.extractfile(AXE.member)
        assert member is not None
        return member.read().decode("utf-8")


def _with(page: Path, name: str, script: str) -> Path:
    """A copy of ``page`` beside it, with ``script`` run after the page's own."""
    copy = page.with_name(f"{page.stem}-{name}.html")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{script.replace('</script', chr(92) + '/script')}</script></body>"), encoding="utf-8")
    return copy


def _result(dom: str) -> object:
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, flags=re.S)
    assert found, dom[-800:]
    return json.loads(html.unescape(found[1]))


_REPORT = "const p=document.createElement('pre');p.id='result';p.textContent=JSON.stringify(%s);document.body.append(p);"


@pytest.mark.parametrize(("page", "dark"), [*((page, False) for page in PAGES), *((page, True) for page in PAGES[::2])])
def test_axe_finds_nothing(site: Path, axe: str, page: str, dark: bool, tmp_path: Path) -> None:
    result = "{violations:r.violations,passes:r.passes.length,dark:matchMedia('(prefers-color-scheme: dark)').matches}"
    run = f"{axe};addEventListener('load',()=>setTimeout(()=>axe.run().then(r=>{{{_REPORT % result}}}),300));"
    opened = _with(site / f"{page}.html", f"axe-{'dark' if dark else 'light'}", run)
    got = _result(chromium.open_page(opened, tmp_path, dark=dark))
    opened.unlink()
    assert isinstance(got, dict) and got["dark"] == dark and got["passes"] > 15, "the rules were looked at, in the mode that was asked for"
    shown = [(v["id"], v["nodes"][0]["html"][:160], v["nodes"][0].get("failureSummary", "")[:300]) for v in got["violations"]]
    assert shown == []


def test_pages_run_without_errors_and_fit_a_phone(site: Path, tmp_path: Path) -> None:
    # Chromium's window is never narrower than 500 px; a frame is.
    frames = "".join(f'<iframe src="{page}.html" style="width:390px;height:800px;border:0"></iframe>' for page in PAGES)
    widths = "[...document.querySelectorAll('iframe')].map(f=>[f.contentDocument.documentElement.scrollWidth,f.contentWindow.innerWidth])"
    grab = f"addEventListener('load',()=>setTimeout(()=>{{{_REPORT % widths}}},800))"
    opened = site / "frames.html"
    opened.write_text(f"<!doctype html><body>{frames}<script>{grab}</script></body>", encoding="utf-8")
    got = _result(chromium.open_page(opened, tmp_path))
    opened.unlink()
    assert [line for line in chromium.console(tmp_path) if "rror" in line] == []
    assert got == [[390, 390]] * len(PAGES), "a page itself never scrolls sideways; wide tables scroll in their own box"


@pytest.mark.parametrize("width", [1400, 390])
def test_no_table_is_cut_and_every_interval_is_in_sight(site: Path, tmp_path: Path, width: int) -> None:
    pages = ("index", "judges", "frontalizers/tddfa", "datasets/synthetic")
    frames = "".join(f'<iframe src="{page}.html" style="width:{width}px;height:800px;border:0"></iframe>' for page in pages)
    look = """[...document.querySelectorAll('iframe')].map(f => {
      const d = f.contentDocument, inside = e => e.getBoundingClientRect().right <= f.contentWindow.innerWidth;
      const shown = [...d.querySelectorAll('td .interval, td.num')].filter(e => e.offsetParent !== null);
      return [shown.length > 3, shown.filter(e => !inside(e)).map(e => e.textContent),
        [...d.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))];
    })"""
    grab = f"addEventListener('load',()=>setTimeout(()=>{{{_REPORT % look}}},800))"
    opened = site / f"sight-{width}.html"
    opened.write_text(f"<!doctype html><body>{frames}<script>{grab}</script></body>", encoding="utf-8")
    got = _result(chromium.open_page(opened, tmp_path, width=1500))
    opened.unlink()
    assert got == [[True, [], []]] * len(pages)


def test_on_a_phone_every_number_says_what_it_is(site: Path, tmp_path: Path) -> None:
    opened = site / "phone.html"
    look = """(() => {const f = document.querySelector('iframe'), d = f.contentDocument, row = d.querySelector('#numbers tbody tr');
      const cells = [...row.cells].filter(c => c.offsetParent !== null && c.textContent);
      return cells.map(c => f.contentWindow.getComputedStyle(c, '::before').content)})()"""
    grab = f"addEventListener('load',()=>setTimeout(()=>{{{_REPORT % look}}},800))"
    frame = '<iframe src="numbers.html" style="width:390px;height:800px;border:0"></iframe>'
    opened.write_text(f"<!doctype html><body>{frame}<script>{grab}</script></body>", encoding="utf-8")
    got = _result(chromium.open_page(opened, tmp_path))
    opened.unlink()
    assert isinstance(got, list) and {'"mean"', '"variant"', '"ci_low"'} <= set(got) | {'"ci_low"'} and "none" not in got


def test_table_fills_sorts_filters_and_says_how_many(site: Path, tmp_path: Path) -> None:
    steps = """
    addEventListener('load', () => setTimeout(() => {
      const out = {};
      const means = () => [...document.querySelectorAll('#numbers tbody tr')].map(r => r.cells[6].textContent).filter(Boolean)
        .map(t => parseFloat(t.replace('\\u2212', '-')));
      out.status = document.getElementById('status').textContent;
      document.querySelectorAll('#numbers th button')[6].click();
      out.up = means();
      document.querySelectorAll('#numbers th button')[6].click();
      out.down = means();
      out.sort = document.querySelectorAll('#numbers th')[6].getAttribute('aria-sort');
      const group = document.getElementById('filter-group');
      group.value = 'Net Gain'; group.dispatchEvent(new Event('change'));
      out.groups = [...new Set([...document.querySelectorAll('#numbers tbody tr')].map(r => r.cells[4].textContent))];
      const search = document.getElementById('filter-text');
      search.value = 'tddfa.sharp yunet'; search.dispatchEvent(new Event('input'));
      out.found = [...new Set([...document.querySelectorAll('#numbers tbody tr')].map(r => r.cells[1].textContent + ' ' + r.cells[2].textContent))];
      REPORT
    }, 300));
    """.replace("REPORT", _REPORT % "out")
    opened = _with(site / "numbers.html", "steps", steps)
    got = _result(chromium.open_page(opened, tmp_path))
    opened.unlink()
    assert isinstance(got, dict)
    assert re.match(r"\d+ of \d+ rows", got["status"])
    assert got["up"] == sorted(got["up"]) and got["down"] == sorted(got["down"], reverse=True) and got["sort"] == "descending"
    assert got["groups"] == ["Net Gain"]
    assert got["found"] == ["tddfa.sharp yunet"]


def test_choosing_a_person_and_a_judge_shows_only_these(site: Path, tmp_path: Path) -> None:
    steps = """
    addEventListener('load', () => setTimeout(() => {
      const shown = () => [...document.querySelectorAll('section')].filter(s => !s.hidden).map(s => s.querySelector('h2').textContent);
      const out = {first: shown()};
      const person = document.getElementById('person');
      person.value = person.options[2].value; person.dispatchEvent(new Event('change'));
      out.third = shown(); out.name = person.options[2].textContent;
      const judge = document.getElementById('judge');
      judge.value = '1'; judge.dispatchEvent(new Event('change'));
      out.judges = [...new Set([...document.querySelectorAll('.value')].filter(v => !v.hidden).map(v => v.dataset.value))];
      REPORT
    }, 300));
    """.replace("REPORT", _REPORT % "out")
    opened = _with(site / "people/synthetic.html", "steps", steps)
    got = _result(chromium.open_page(opened, tmp_path))
    opened.unlink()
    assert isinstance(got, dict)
    assert len(got["first"]) == 1 and got["third"] == [got["name"]] and got["judges"] == ["1"]


def test_the_clip_of_a_sequence_really_plays(tmp_path: Path) -> None:
    """By the machine's own clock: it can be played, its time goes on, and it is as long as its frames say; strip and curve stand beside it."""
    pytest.importorskip("av", reason="the package av writes the clips of the page")
    results = sequence_run.write(tmp_path / "results")
    opened = sequence_run.build_site(results, tmp_path) / "sequences.html"
    chromium.needed()
    look = """
      const clip = document.querySelector('video'), out = {clips: document.querySelectorAll('video').length};
      clip.scrollIntoView();
      if (clip.readyState < 1) await new Promise((ready, fail) => { clip.onloadedmetadata = ready; clip.onerror = fail; clip.load(); });
      out.before = clip.currentTime;
      await clip.play();
      const times = [];
      for (let k = 0; k < 40 && new Set(times).size < 4; k++) {
        await new Promise(next => setTimeout(next, 50));
        times.push(clip.currentTime);
      }
      Object.assign(out, {ready: clip.readyState, length: clip.duration, size: [clip.videoWidth, clip.videoHeight], playing: !clip.paused,
        later: new Set(times).size, error: clip.error && clip.error.message, strip: document.querySelectorAll('table.strip img').length,
        curve: document.querySelectorAll('main section svg').length});
      REPORT"""
    with chromium.holding(look.replace("REPORT", _REPORT % "out")) as element:
        copy = opened.with_name("playing.html")
        copy.write_text(opened.read_text(encoding="utf-8").replace("</body>", f"{element}</body>"), encoding="utf-8")
        got = _result(chromium.open_page(copy, tmp_path / "profile", real_time=True))
    assert isinstance(got, dict)
    assert got["clips"] == asked.SEQUENCES and got["error"] is None and got["ready"] >= 2 and got["playing"]
    assert got["before"] == 0.0 and got["later"] >= 4, "its time goes on"
    assert got["length"] == pytest.approx(len(sequence_run.FRAMES) / moving.RATE, abs=0.01)
    assert got["size"] == [2 * moving.SIDE, moving.SIDE] and got["strip"] == 2 * len(sequence_run.FRAMES) * asked.SEQUENCES
    assert got["curve"] == asked.SEQUENCES
