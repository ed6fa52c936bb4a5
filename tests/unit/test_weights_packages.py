"""Package archives as data: pip, the simple API, npm."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from frontalbench.catalogue.cards import PackageSource
from frontalbench.weights import local, packages
from frontalbench.weights.faults import SourceFault
from tests.unit.weightkit import TOY, Server, make_tgz, make_wheel, serving, sha

WHEEL = PackageSource("python", "Toy.Weights", "1.2", "wheel", "model/toy.onnx")
SDIST = PackageSource("python", "toy-weights", "1.2", "sdist", "model/toy.onnx")
TRAP = b"import pathlib\npathlib.Path(__file__).with_name('executed').touch()\nraise SystemExit('executed')\n"


@pytest.fixture
def server() -> Server:
    with serving() as running:
        yield running


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip looks into one folder of links and nowhere else."""
    links = tmp_path / "links"
    links.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (WHEEL, "toy_weights-1.2-py3-none-any.whl"),
        (WHEEL, "Toy.Weights-1.2-py3-none-any.whl"),
        (WHEEL, "toy_weights-1.2-1-cp311-cp311-manylinux_2_17_x86_64.whl"),
        (SDIST, "toy-weights-1.2.tar.gz"),
        (SDIST, "toy_weights-1.2.zip"),
        (PackageSource("npm", "@scope/toy", "1.2.0", "tgz", "m"), "scope-toy-1.2.0.tgz"),
    ],
)
def test_an_archive_is_known_by_its_name(source: PackageSource, name: str) -> None:
    pattern = local.archive_pattern(source)
    assert pattern is not None and pattern.fullmatch(name)
    assert not pattern.fullmatch(name.replace("1.2", "1.3")) and not pattern.fullmatch(f"my-{name}")


def test_a_wheel_comes_through_pip(only: Path, tmp_path: Path) -> None:
    make_wheel(only, "toy_weights", "1.2", {"toy/model/toy.onnx": TOY})
    assert packages.get(WHEEL, target(tmp_path)).name == "toy_weights-1.2-py3-none-any.whl"


def test_pip_without_the_wheel_is_a_short_reason(only: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceFault, match=r"^the package index has no such wheel$"):
        packages.get(WHEEL, target(tmp_path))


def test_pip_without_a_network_is_a_short_reason_without_addresses(only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    with pytest.raises(SourceFault, match=r"^the package index cannot be reached$"):
        packages.get(WHEEL, target(tmp_path))


def sdist(path: Path) -> Path:
    return make_tgz(path, {"toy-weights-1.2/setup.py": TRAP, "toy-weights-1.2/model/toy.onnx": TOY})


def test_an_sdist_from_a_folder_of_links_is_taken_without_running_it(only: Path, tmp_path: Path) -> None:
    sdist(only / "toy-weights-1.2.tar.gz")
    folder = target(tmp_path)
    assert packages.get(SDIST, folder) == folder / "toy-weights-1.2.tar.gz"
    assert not list(tmp_path.rglob("executed"))


@pytest.mark.parametrize("answer", ["html", "json"])
@pytest.mark.parametrize("honest", [True, False])
def test_an_sdist_from_an_index_is_checked_against_its_hash(
    only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server, answer: str, honest: bool
) -> None:
    archive = sdist(tmp_path / "toy_weights-1.2.tar.gz").read_bytes()
    digest = sha(archive) if honest else sha(b"other")
    server.files["/files/toy_weights-1.2.tar.gz"] = archive
    if answer == "html":
        page = f'<a href="/files/toy_weights-1.1.tar.gz">old</a><a href="../../files/toy_weights-1.2.tar.gz#sha256={digest}">x</a>'
        server.types["/simple/toy-weights/"] = "text/html"
    else:
        page = json.dumps({"files": [{"filename": "x", "url": "/files/toy_weights-1.2.tar.gz", "hashes": {"sha256": digest}}]})
        server.types["/simple/toy-weights/"] = "application/vnd.pypi.simple.v1+json"
    server.files["/simple/toy-weights/"] = page.encode()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    if honest:
        found = packages.get(PackageSource("python", "Toy_Weights", "1.2", "sdist", "m"), target(tmp_path))
        assert hashlib.sha256(found.read_bytes()).hexdigest() == digest
    else:
        with pytest.raises(SourceFault, match="another file"):
            packages.get(SDIST, target(tmp_path))


def test_the_second_index_is_asked_when_the_first_does_not_have_it(
    only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    folder = tmp_path / "local index" / "toy-weights"
    folder.mkdir(parents=True)
    sdist(folder / "toy-weights-1.2.tar.gz")
    (folder / "index.html").write_text('<a href="toy-weights-1.2.tar.gz">x</a>')
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", (tmp_path / "local index").as_uri())
    assert packages.get(SDIST, target(tmp_path)).stat().st_size > 0


def test_no_index_at_all_is_said(only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(SourceFault, match="pip names no package index"):
        packages.get(SDIST, target(tmp_path))


def test_pips_own_index_counts_when_none_is_set(monkeypatch: pytest.MonkeyPatch, only: Path) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    (index,) = packages.pip_settings().indexes
    assert index.startswith("https://")


def test_without_npm_the_reason_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SourceFault, match="npm is not installed"):
        packages.get(PackageSource("npm", "toy", "1.0.0", "tgz", "m"), target(tmp_path))


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.slow
def test_npm_packs_from_a_registry_without_running_scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server) -> None:
    trap = {"prepack": "touch executed", "prepare": "touch executed", "install": "touch executed"}
    manifest = {"name": "toy", "version": "1.0.0", "scripts": trap}
    archive = make_tgz(tmp_path / "toy.tgz", {"package/package.json": json.dumps(manifest).encode(), "package/toy.onnx": TOY}).read_bytes()
    dist = {"tarball": f"{server.url}/toy/-/toy-1.0.0.tgz", "shasum": hashlib.sha1(archive).hexdigest()}
    server.files["/toy"] = json.dumps({"name": "toy", "dist-tags": {}, "versions": {"1.0.0": manifest | {"dist": dist}}}).encode()
    server.types["/toy"] = "application/json"
    server.files["/toy/-/toy-1.0.0.tgz"] = archive
    monkeypatch.setenv("npm_config_registry", server.url)
    source = PackageSource("npm", "toy", "1.0.0", "tgz", "toy.onnx")
    found = packages.get(source, target(tmp_path))
    assert found.name == "toy-1.0.0.tgz" and not list(tmp_path.rglob("executed"))
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(SourceFault, match="the npm registry has no such package"):
        packages.get(PackageSource("npm", "toy", "2.0.0", "tgz", "m"), other)
