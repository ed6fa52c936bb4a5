"""Plain folders go in as a shard and come out as a folder, a row per image."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frontalbench import images, tables
from frontalbench.errors import BadInput
from frontalbench.plain import folders, unpacking


def _save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(images.encode_png(np.full((8, 8, 3), value, np.uint8)))


def test_images_come_back_under_their_names_with_a_row_each(tmp_path: Path) -> None:
    source = tmp_path / "in"
    _save(source / "ann" / "1.png", 10)
    _save(source / "ann" / "1.jpg", 20)  # a PNG by content, and the same stem
    _save(source / "bob" / "نام ’x’.png", 30)
    (source / "bob" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (source / ".hidden.png").write_bytes(b"x")
    (source / "notes.txt").write_text("not an image")
    with folders.as_shard(source) as (shard, _):
        assert unpacking.unpack(shard, tmp_path / "out") == {"ok": 3, "unreadable": 1}
    rows = {row["image_id"]: row for row in csv.DictReader((tmp_path / "out" / "rows.csv").open(encoding="utf-8"))}
    assert len(rows) == 4
    assert rows["bob/broken.jpg"]["status"] == "unreadable"
    assert rows["bob/broken.jpg"]["detail"]
    values = {name: images.decode((tmp_path / "out" / row["file"]).read_bytes())[0, 0, 0] for name, row in rows.items() if row["file"]}
    assert values == {"ann/1.png": 10, "ann/1.jpg": 20, "bob/نام ’x’.png": 30}
    assert {row["identity"] for row in rows.values()} == {"ann", "bob"}


def test_a_pattern_chooses_files_and_nothing_found_is_an_error(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", 1)
    _save(tmp_path / "b.webp", 2)
    assert [p.name for p in folders.images_in(tmp_path, "*.png")] == ["a.png"]
    with pytest.raises(BadInput, match=r"\*\.gif"):
        folders.images_in(tmp_path, "*.gif")
    with pytest.raises(BadInput, match="not a folder"):
        folders.images_in(tmp_path / "nowhere")


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    row = {"image_id": "../outside.png", "identity": "x", "role": "probe", "status": "ok", "detail": "", "image": b"x"}
    table = tmp_path / "t.parquet"
    tables.write(table, tables.from_rows([row], tables.FRONTALS))
    with pytest.raises(BadInput, match="outside"):
        unpacking.unpack(table, tmp_path / "out")
    assert not (tmp_path / "outside.png").exists()


def test_beside_puts_the_photo_left_of_the_view(tmp_path: Path) -> None:
    _save(tmp_path / "in" / "a.png", 10)
    with folders.as_shard(tmp_path / "in") as (shard, temporary):
        other = temporary / "other.parquet"
        row = {"image_id": "a.png", "identity": "a", "role": "probe", "status": "ok", "detail": ""}
        row["image"] = images.encode_png(np.full((16, 16, 3), 200, np.uint8))
        tables.write(other, tables.from_rows([row], tables.FRONTALS))
        unpacking.unpack(other, tmp_path / "out", beside=shard)
    pair = images.decode((tmp_path / "out" / "a.png").read_bytes())
    assert pair.shape == (16, 32, 3)
    assert (pair[:, :16] == 10).all()
    assert (pair[:, 16:] == 200).all()


def _rows(folder: Path) -> dict[str, dict[str, str]]:
    return {row["image_id"]: row for row in csv.DictReader((folder / "rows.csv").open(encoding="utf-8"))}


def _through(source: Path, out: Path, *, failing: str = "", frontalizer: str = "") -> None:
    """What a frontalizer does to a folder, with one image (``failing``) that becomes ``no_face``."""
    with folders.as_shard(source) as (shard, temporary):
        rows = tables.read(shard, tables.IMAGES).to_pylist()
        made = []
        for row in rows:
            new = {key: row[key] for key in ("image_id", "identity", "role", "status", "detail", "image")}
            made.append({**new, "status": "no_face", "detail": "none", "image": None} if row["image_id"] == failing else new)
        tables.write(temporary / "t.parquet", tables.from_rows(made, tables.FRONTALS))
        unpacking.unpack(temporary / "t.parquet", out, source=shard, frontalizer=frontalizer)


def test_names_that_are_no_utf8_or_spelled_in_two_ways_are_rows_of_their_own(tmp_path: Path) -> None:
    source = tmp_path / "in"
    _save(source / "plain.png", 1)
    for number, name in enumerate((b"caf\xe9.png", "n\u00e9.png".encode(), "ne\u0301.png".encode()), 2):
        (source / os.fsdecode(name)).write_bytes(images.encode_png(np.full((8, 8, 3), number, np.uint8)))
    _through(source, tmp_path / "out")
    rows = _rows(tmp_path / "out")
    assert len(rows) == 4 and all(row["status"] == "ok" for row in rows.values())
    assert "caf\\xe9.png" in rows and "n\u00e9.png" in rows and any(name.startswith("n\u00e9.png#") for name in rows)
    assert sorted(images.decode((tmp_path / "out" / row["file"]).read_bytes())[0, 0, 0] for row in rows.values()) == [1, 2, 3, 4]


def test_the_longest_names_are_written_shortened_and_stay_apart(tmp_path: Path) -> None:
    long, wide = "x" * 251, "\U0001f642" * 62
    for number, name in enumerate((f"{long}.jpg", f"{long}.png", f"{long}.gif", f"{wide}.png", f"{wide}.jpg"), 1):
        _save(tmp_path / "in" / name, number)
    _through(tmp_path / "in", tmp_path / "out")
    rows = _rows(tmp_path / "out")
    values = {name: images.decode((tmp_path / "out" / row["file"]).read_bytes())[0, 0, 0] for name, row in rows.items()}
    assert sorted(values.values()) == [1, 2, 3, 4, 5] and values[f"{long}.png"] == 2 and values[f"{wide}.jpg"] == 5


def test_names_that_become_the_same_png_stay_apart(tmp_path: Path) -> None:
    names = ["a.gif", "a.jpg", "a.jpg.jpg", "a.jpg.png", "a.png"]
    for number, name in enumerate(names):
        _save(tmp_path / "in" / name, number)
    _through(tmp_path / "in", tmp_path / "out")
    rows = _rows(tmp_path / "out")
    assert [images.decode((tmp_path / "out" / rows[name]["file"]).read_bytes())[0, 0, 0] for name in names] == [0, 1, 2, 3, 4]


def test_linked_folders_are_followed_and_a_link_to_nothing_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _save(tmp_path / "elsewhere" / "ann" / "1.png", 1)
    source = tmp_path / "in"
    _save(source / "2.png", 2)
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "loop").symlink_to(source)
    (source / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    _through(source, tmp_path / "out")
    rows = _rows(tmp_path / "out")
    assert set(rows) == {"2.png", "linked/ann/1.png", "gone.jpg"}
    assert rows["gone.jpg"]["status"] == "unreadable" and "a link that leads nowhere" in rows["gone.jpg"]["detail"]
    assert "loop: a linked folder that leads back" in capsys.readouterr().err


def test_files_that_are_left_out_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _save(tmp_path / "a.png", 1)
    for name in ("b.HEIC", "c.heic", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    with folders.as_shard(tmp_path):
        said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "b.HEIC" in said[0] and ".heic is not read here" in said[0] and "JPEG or PNG" in said[0]
    assert "notes.txt" in said[1]
    (tmp_path / "a.png").unlink()
    with pytest.raises(BadInput, match=r"no images that match .* \.heic is not read here"):
        folders.images_in(tmp_path)


@pytest.mark.parametrize("name", ["a.jfif", "A.JFIF", "b.mpo"])
def test_jpeg_under_its_other_names_is_read(tmp_path: Path, name: str) -> None:
    grey = Image.fromarray(np.full((8, 8, 3), 200, np.uint8))
    if name.endswith("mpo"):  # a camera's two views in one file; the first is taken
        grey.save(tmp_path / name, "MPO", save_all=True, append_images=[grey])
    else:
        grey.save(tmp_path / name, "JPEG")
    _through(tmp_path, tmp_path / "out")
    assert _rows(tmp_path / "out")[name]["status"] == "ok"


def test_a_failure_and_the_photograph_behind_a_view_pass_through_a_chain_of_commands(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        _save(tmp_path / "data" / "Angle" / "ann" / name, 9)
    _through(tmp_path / "data" / "Angle", tmp_path / "data" / "mesh", failing="ann/2.jpg", frontalizer="mesh")
    _through(tmp_path / "data" / "mesh", tmp_path / "data" / "sharp")
    rows = _rows(tmp_path / "data" / "sharp")
    assert rows["ann/1.png"] | {"detail": ""} == {
        **{"image_id": "ann/1.png", "identity": "ann", "status": "ok", "detail": "", "file": "ann/1.png"},
        **{"photo": "ann/1.jpg", "frontalizer": "mesh", "enhancement": ""},
    }
    assert (rows["ann/2.jpg"]["status"], rows["ann/2.jpg"]["detail"], rows["ann/2.jpg"]["file"]) == ("no_face", "none", "")
    with folders.as_shard(tmp_path / "data") as (shard, _):
        photos = folders.photos_of(shard)
        found = {row["image_id"]: row["status"] for row in tables.read(shard, tables.IMAGES).to_pylist()}
        assert folders.frontalizers_of(shard)["sharp/ann/1.png"] == "mesh"
    assert len(found) == 6 and found["mesh/ann/2.jpg"] == found["sharp/ann/2.jpg"] == "no_face"
    assert photos["sharp/ann/1.png"] == "sharp/ann/1.jpg" and photos["Angle/ann/1.jpg"] == "Angle/ann/1.jpg"


def test_a_second_run_into_the_same_folder_takes_the_place_of_the_first(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        _save(tmp_path / "in" / name, 9)
    _through(tmp_path / "in", tmp_path / "out")
    _save(tmp_path / "out" / "mine.png", 5)
    _through(tmp_path / "in", tmp_path / "out", failing="2.jpg")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.png", "mine.png", "rows.csv"], "files of other people stay"


def test_a_listed_file_that_is_gone_is_a_failure_and_a_foreign_list_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _save(tmp_path / "in" / "1.jpg", 1)
    _save(tmp_path / "in" / "2.jpg", 2)
    _through(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "2.png").unlink()
    _save(tmp_path / "out" / "sub" / "3.png", 3)
    (tmp_path / "out" / "sub" / "rows.csv").write_text("a,b\n1,2\n")
    with folders.as_shard(tmp_path / "out") as (shard, _):
        found = {row["image_id"]: (row["status"], row["detail"]) for row in tables.read(shard, tables.IMAGES).to_pylist()}
    assert found["2.jpg"] == ("model_error", "2.png is not there") and found["1.png"][0] == found["sub/3.png"][0] == "ok"
    said = capsys.readouterr().err
    assert "sub/rows.csv: not a list that these commands wrote" in said and "sub/3.png: not in the rows.csv above it" in said


def test_missing_weights_stop_a_folder_command_with_what_to_do(tmp_path: Path, project_root: Path) -> None:
    _save(tmp_path / "in" / "1.png", 1)
    environment = {**os.environ, "FRONTALBENCH_WEIGHTS": str(tmp_path / "mirror"), "FRONTALBENCH_STORE": str(tmp_path / "store")}
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment |= {"no_proxy": "", "NO_PROXY": ""}
    command = [sys.executable, str(project_root / "workflow/scripts/extract_embeddings.py"), "--backbone", "arcface_y1"]
    done = subprocess.run(
        [*command, "--in", str(tmp_path / "in"), "--out", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "fetch_weights.py --card backbone/arcface_y1" in done.stderr
    assert f"FRONTALBENCH_WEIGHTS={tmp_path / 'mirror'}" in done.stderr and str(tmp_path / "store") in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_failures_in_a_list_are_kept_when_a_spreadsheet_saved_it(tmp_path: Path, encoding: str, separator: str) -> None:
    text = "image_id,identity,status,detail,file,photo,frontalizer\na.jpg,a,no_face,,,a.jpg,mesh\n"
    (tmp_path / folders.ROWS).write_text(text.replace(",", separator), encoding=encoding)
    entries = folders.read_list(tmp_path / folders.ROWS, tmp_path)
    assert entries is not None
    assert [(entry.name, entry.status, entry.frontalizer) for entry in entries] == [("a.jpg", "no_face", "mesh")]


def test_a_pipe_under_an_images_name_is_named_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "y.png")
    found = folders.look(tmp_path, "*")
    assert [path.name for path in found.images] == ["y.png"] and [path.name for path in found.others] == ["x.jpg"]
