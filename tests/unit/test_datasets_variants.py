"""Folders and tables as people really have them: nothing vanishes uncounted, and what cannot be used is named with what to do."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest

from frontalbench import images
from frontalbench.datasets import biwi, listing, members
from frontalbench.errors import BadInput
from tests.unit import datasetkit as kit


def lines(found: members.Listing) -> str:
    return "\n".join(found.problems)


def put_all(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        kit.put(root / name, kit.jpeg(number))
    return root


# Images where a layout has none -----------------------------------------------------------------------------------------------------------


def test_images_in_folders_inside_gt_and_angle_are_rows(tmp_path: Path) -> None:
    put_all(tmp_path, "p/GT/a.jpg", "p/GT/old/a.jpg", "p/Angle/b.jpg", "p/Angle/clip/c.jpg", "p/Angle/30/right/d.jpg")
    found = listing.scan(kit.card("folder", tmp_path))
    assert {m.image_id: m.role for m in found.members} == {
        "p/GT/a.jpg": "reference",
        "p/GT/old/a.jpg": "reference",
        "p/Angle/b.jpg": "probe",
        "p/Angle/clip/c.jpg": "probe",
        "p/Angle/30/right/d.jpg": "probe",
    }
    assert all(Path(m.path).is_file() and m.source == m.image_id for m in found.members)
    assert found.refused == 0 and found.problems == []


LAYOUTS_WITH_STRAYS = {
    "folder": (
        ["ann/GT/1.jpg", "ann/session2/1.jpg", "ann/session2/deep/2.jpg", "loose.jpg", "GT/x.jpg"],
        {"ann/session2: 2 images": "GT or Angle", ".: 1 image": "beside the identities", "GT: 1 image": "expected <identity>/GT"},
    ),
    "lfw": (
        ["Ann/Ann_0001.jpg", "Ann/session2/Ann_0002.jpg", "Ann/session2/Ann_0003.jpg", "loose.jpg"],
        {"Ann/session2: 2 images": "person's folder", ".: 1 image": "beside the people"},
    ),
    "cfp": (
        [
            *(f"Data/Images/001/{kind}/01.jpg" for kind in ("frontal", "profile")),
            "Data/Images/001/frontal/extra/02.jpg",
            "Data/Images/001/halfprofile/01.jpg",
            "Data/Images/001/07.jpg",
            "Data/Images/loose.jpg",
            "Data/Images/new/1.jpg",
        ],
        {
            "Data/Images/001/frontal/extra: 1 image": "frontal/ itself",
            "Data/Images/001/halfprofile: 1 image": "frontal and profile",
            "Data/Images/001: 1 image": "frontal/ or profile/",
            "Data/Images: 1 image": "beside the people",
            "Data/Images/new: 1 image": "expected a number",
        },
    ),
    "biwi": (
        [
            "hpdb/01/frame_00003_rgb.png",
            "hpdb/01/rgb/frame_00004_rgb.png",
            "hpdb/01/face.png",
            "hpdb/loose.png",
            "hpdb/25/frame_00003_rgb.png",
        ],
        {
            "hpdb/01/rgb: 1 image": "sequence's folder itself",
            "hpdb/01: 1 image": "no frames",
            "hpdb: 1 image": "beside the sequences",
            "hpdb/25: 1 image": "01 to 24",
        },
    ),
    "frll": (
        ["neutral_front/001_03.jpg", "neutral_front/x/002_03.jpg", "loose.jpg", "other/001_03.jpg"],
        {"neutral_front/x: 1 image": "view's folder itself", ".: 1 image": "beside the views", "other: 1 image": "no view"},
    ),
    "aflw2000": (
        ["AFLW2000/image00002.jpg", "AFLW2000/sub/image00004.jpg", "AFLW2000/sub/image00006.jpg"],
        {"AFLW2000/sub: 2 images": "one folder"},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS_WITH_STRAYS)
def test_every_image_is_a_row_or_is_counted_in_one_line_for_its_place(tmp_path: Path, name: str) -> None:
    files, wanted = LAYOUTS_WITH_STRAYS[name]
    found = listing.scan(kit.card(name, put_all(tmp_path, *files)))
    assert len(found.members) + found.refused == len(files)
    for place, why in wanted.items():
        (line,) = [line for line in found.problems if line.startswith(f"{place} left out: ")]
        assert why in line
    assert sum("left out: " in line for line in found.problems) == len(wanted)


def test_what_lies_beside_the_folder_that_was_taken_is_counted(tmp_path: Path) -> None:
    root = put_all(tmp_path, "lfw/Ann/Ann_0001.jpg", "Bob/Bob_0001.jpg", "Bob/deep/Bob_0002.jpg", "loose.jpg")
    found = listing.scan(kit.card("lfw", root))
    assert [m.image_id for m in found.members] == ["Ann/Ann_0001.jpg"]
    assert found.refused == 3
    assert "Bob: 2 images left out: they lie beside the dataset, which is lfw" in found.problems
    # Companions that a copy of the dataset brings are no surprise.
    root = put_all(tmp_path / "b", "faces_0/01/frame_00003_rgb.png", "head_pose_masks/01/frame_00003_depth_mask.png")
    assert listing.scan(kit.card("biwi", root)).refused == 0


def test_many_places_are_summed_up(tmp_path: Path) -> None:
    put_all(tmp_path, *(f"p{n:02d}/{name}" for n in range(30) for name in ("1.jpg", "s/2.jpg", "s/3.jpg")))
    found = listing.scan(kit.card("lfw", tmp_path))
    assert found.refused == 60
    assert sum("2 images left out" in line for line in found.problems) == members.MOST_PLACES
    assert "10 more such places with 20 images, the next one p20/s" in found.problems


def test_a_linked_folder_is_followed_and_a_loop_ends(tmp_path: Path) -> None:
    root = put_all(tmp_path / "d", "p/GT/a.jpg", "p/Angle/b.jpg")
    put_all(tmp_path / "clips", "c.jpg")
    (root / "p" / "Angle" / "clip").symlink_to(tmp_path / "clips")
    (root / "p" / "Angle" / "up").symlink_to(root)
    (root / "p" / "Angle" / "self").symlink_to(root / "p" / "Angle")
    (root / "p" / "Angle" / "nowhere").symlink_to(tmp_path / "nothing")
    found = listing.scan(kit.card("folder", root))
    assert [m.image_id for m in found.members] == ["p/Angle/b.jpg", "p/Angle/clip/c.jpg", "p/GT/a.jpg"]


# A mixture of GT, Angle and loose images -----------------------------------------------------------------------------------------------------


def test_a_loose_image_never_becomes_a_second_reference(tmp_path: Path) -> None:
    put_all(tmp_path, "p/GT/front.jpg", "p/Angle/l39.jpg", "p/l13.jpg", "q/1.jpg", "q/Angle/2.jpg")
    found = listing.scan(kit.card("folder", tmp_path))
    assert {m.image_id: m.role for m in found.members} == {
        "p/GT/front.jpg": "reference",
        "p/Angle/l39.jpg": "probe",
        "p/l13.jpg": "probe",
        "q/1.jpg": "auto",  # nobody said which one is the reference, so pose does
        "q/Angle/2.jpg": "probe",
    }
    (line,) = found.problems
    assert line == "p: 1 image without a role (not in GT or Angle) beside a given reference, taken as a probe: p/l13.jpg"


def test_a_row_without_a_role_beside_a_given_reference_is_a_probe(tmp_path: Path) -> None:
    put_all(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    (tmp_path / "index.csv").write_text("image,identity,role\n1.jpg,ann,reference\n2.jpg,ann,\n3.jpg,bob,auto\n")
    found = listing.scan(kit.card("folder", tmp_path))
    assert {m.image_id: m.role for m in found.members} == {"1.jpg": "reference", "2.jpg": "probe", "3.jpg": "auto"}
    assert "ann: 1 image without a role" in lines(found)


# Names ---------------------------------------------------------------------------------------------------------------------------------------


def test_people_whose_names_differ_only_in_capitals_or_blanks_are_pointed_out(tmp_path: Path) -> None:
    put_all(tmp_path, "Ann/1.jpg", "ann/1.jpg", "Ann /1.jpg", "Bob/1.jpg", "Eva Ek/1.jpg", "Eva_Ek/1.jpg")
    found = listing.scan(kit.card("folder", tmp_path))
    assert len(found.identities) == 6
    assert "'Ann', 'Ann ', 'ann': 3 people whose names differ only in capitals or blanks; one person needs one name" in found.problems
    assert any(line.startswith("'Eva Ek', 'Eva_Ek': 2 people") for line in found.problems)
    assert len(found.problems) == 2


def test_jfif_and_mpo_are_images_and_heic_is_named_with_what_to_do(tmp_path: Path) -> None:
    put_all(tmp_path, "p/GT/a.jfif", "p/Angle/b.MPO")
    for name in ("p/Angle/c.HEIC", "p/Angle/d.heic", "p/GT/notes.txt", "p/GT/README"):
        kit.put(tmp_path / name, b"x")
    found = listing.scan(kit.card("folder", tmp_path))
    assert [m.image_id for m in found.members] == ["p/Angle/b.MPO", "p/GT/a.jfif"]
    assert found.ignored == 4
    assert "2 .heic files cannot be read here: p/Angle/c.HEIC, p/Angle/d.heic; save as JPEG or PNG" in found.problems
    note = listing.note_of(kit.card("folder", tmp_path), found)
    assert "4 files ignored" in note and "2 .heic: p/Angle/c.HEIC, p/Angle/d.heic; 1 .txt: p/GT/notes.txt; 1 no ending: p/GT/README" in note
    assert "prepare_dataset.py --dataset folder --check" in note and "\n" not in note


def test_the_documentation_lists_the_endings_that_are_read(project_root: Path) -> None:
    text = (project_root / "docs" / "datasets.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("Endings that are read: ")]
    assert set(re.findall(r"\.\w+", line.partition("avif")[0] + "avif")) == images.EXTENSIONS


def test_nothing_is_said_where_everything_is_used(tmp_path: Path) -> None:
    card = kit.card("folder", put_all(tmp_path, "p/GT/a.jpg", "p/Angle/b.jpg"))
    assert listing.note_of(card, listing.scan(card)) == ""


# Where a dataset may lie ------------------------------------------------------------------------------------------------------------------------

PLACES = [
    ("biwi", "biwi_head_pose/01/frame_00003_rgb.png"),
    ("biwi", "hpdb/1/frame_00003_rgb.png"),
    ("biwi", "kinect_head_pose_db/hpdb/01/frame_00003_rgb.png"),
    ("aflw2000", "AFLW2000-3D/image00002.jpg"),
    ("aflw2000", "AFLW2000-3D/AFLW2000/image00002.jpg"),
    ("cfp", "Images/001/frontal/01.jpg"),
    ("cfp", "Data/images/001/frontal/01.jpg"),
    ("cfp", "001/frontal/01.jpg"),
    ("cfp", "cfp-dataset/Data/Images/1/Frontal/01.jpg"),
    ("lfw", "lfw/lfw/A_B/A_B_0001.jpg"),
    ("lfw", "images/A_B/A_B_0001.jpg"),
    ("lfw_funneled", "lfw_funneled/lfw_funneled/A_B/A_B_0001.jpg"),
    ("lfw_funneled", "images_funneled/A_B/A_B_0001.jpg"),
    ("lfw_deepfunneled", "lfw-deepfunneled/lfw-deepfunneled/A_B/A_B_0001.jpg"),
    ("frll", "neutral_front/neutral_front/001_03.jpg"),
    ("frll", "london_set/neutral_front/001_03.jpg"),
]
IDS = {
    "biwi": ("01/frame_00003_rgb.png", "F01"),
    "aflw2000": ("image00002.jpg", "image00002"),
    "cfp": ("001/frontal/01.jpg", "001"),
    "frll": ("neutral_front/001_03.jpg", "001"),
}


@pytest.mark.parametrize(("name", "file"), PLACES)
def test_a_dataset_is_found_however_its_archive_was_unpacked(tmp_path: Path, name: str, file: str) -> None:
    (member,) = listing.list_members(kit.card(name, put_all(tmp_path, file)))
    assert (member.image_id, member.identity) == IDS.get(name, ("A_B/A_B_0001.jpg", "A_B"))
    assert member.source == file


def test_landmark_files_of_cfp_are_no_images_and_are_found_in_any_capitals(tmp_path: Path) -> None:
    put_all(tmp_path, "Data/images/1/profile/01.jpg")
    points = "\n".join(f"{30 - n},{n}" for n in range(30))
    kit.put(tmp_path / "Data" / "fiducials" / "001" / "profile" / "01.txt", points.encode())
    (member,) = listing.list_members(kit.card("cfp", tmp_path))
    assert (member.image_id, member.yaw) == ("001/profile/01.jpg", 90.0)


def test_one_person_in_two_folders_of_other_digits_is_taken_once(tmp_path: Path) -> None:
    found = listing.scan(kit.card("cfp", put_all(tmp_path, "Images/001/frontal/01.jpg", "Images/1/frontal/01.jpg")))
    assert [m.source for m in found.members] == ["Images/001/frontal/01.jpg"]
    assert "Images/1: 1 image left out: this person's folder is 001, which is there too" in found.problems
    found = listing.scan(kit.card("biwi", put_all(tmp_path / "b", "hpdb/01/frame_00003_rgb.png", "hpdb/1/frame_00003_rgb.png")))
    assert len(found.members) == 1 and "hpdb/1: 1 image left out" in lines(found)


def test_two_folders_that_could_both_be_the_dataset_are_not_guessed_between(tmp_path: Path) -> None:
    put_all(tmp_path, "copy1/001/frontal/01.jpg", "copy2/001/frontal/01.jpg")
    with pytest.raises(BadInput, match=r"2 folders could be this dataset \(copy1, copy2\).*options: \{folders: \[copy1\]\}"):
        listing.scan(kit.card("cfp", tmp_path))
    assert listing.list_members(kit.card("cfp", tmp_path, options={"folders": ["copy2"]}))[0].source == "copy2/001/frontal/01.jpg"


def test_a_dataset_that_is_not_found_says_where_it_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    kit.put(tmp_path / "cfp-dataset.zip", b"PK")
    (tmp_path / "notes").mkdir()
    with pytest.raises(BadInput) as error:
        listing.scan(kit.card("cfp", tmp_path))
    said = str(error.value)
    assert "looked in Data/Images, cfp-dataset/Data/Images, ., every folder 3 levels down" in said
    assert "it holds cfp-dataset.zip, notes/" in said and "unpack cfp-dataset.zip here" in said and "\n" not in said


# BIWI's files --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: None, "not there"),
        (lambda data: data.replace(b".", b","), "decimal commas"),
        (lambda data: b"x" + data, "not twelve numbers"),
    ],
)
def test_people_without_any_readable_pose_are_not_told_to_raise_the_angle(tmp_path: Path, change: object, why: str) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=1, frames=3, start=-1.0)
    for file in (root / "hpdb" / "01").glob("*_pose.txt"):
        data = change(file.read_bytes())  # type: ignore[operator]
        file.unlink()
        if data is not None:
            file.write_bytes(data)
    found = listing.scan(kit.card("biwi", root))
    assert "F01: no reference, because none of its 3 frames has a usable pose file (see there)" in found.problems
    assert "raise roles.max_angle" not in lines(found) and why in lines(found)


def test_pose_files_with_a_byte_order_mark_or_other_capitals_are_read(tmp_path: Path) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=1, frames=2, start=-1.0)
    folder = root / "hpdb" / "01"
    (folder / "frame_00003_pose.txt").write_bytes(b"\xef\xbb\xbf" + kit.pose_text(2.0))
    (folder / "frame_00004_pose.txt").rename(folder / "Frame_00004_Pose.TXT")
    (folder / "frame_00004_rgb.png").rename(folder / "Frame_00004_rgb.png")
    (folder / "rgb.cal").rename(folder / "RGB.cal")
    found = listing.scan(kit.card("biwi", root, roles={"exclude_frames": 0}))
    assert [m.image_id for m in found.members] == ["01/Frame_00004_rgb.png", "01/frame_00003_rgb.png"]
    assert [m.yaw for m in found.members] == pytest.approx([0.01, 2.0], abs=0.01)
    assert [biwi.frame_number(m.image_id) for m in found.members] == [4, 3]
    assert found.ignored == 0 and not [line for line in found.problems if "expected" not in line]


def test_a_frame_that_is_there_as_png_and_jpeg_is_one_row(tmp_path: Path) -> None:
    root = kit.biwi_tree(tmp_path / "biwi", sequences=1, frames=2, start=-1.0)
    put_all(root, "hpdb/01/frame_00003_rgb.jpg")
    found = listing.scan(kit.card("biwi", root))
    assert [m.image_id for m in found.members] == ["01/frame_00003_rgb.png", "01/frame_00004_rgb.png"]
    assert "hpdb/01: 1 image left out: their frames are there as other files already: frame_00003_rgb.jpg" in found.problems


# Tables --------------------------------------------------------------------------------------------------------------------------------------

ROWS = {"a/1.jpg": ("ann", "reference", 0.0), "a/2.jpg": ("ann", "probe", 35.5)}
GOOD = "image,identity,role,yaw\na/1.jpg,ann,reference,0\na/2.jpg,ann,probe,35.5\n"


def index_root(root: Path, text: str | bytes, name: str = "index.csv") -> Path:
    put_all(root, "a/1.jpg", "a/2.jpg")
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace(",", ";"),
        GOOD.replace(",", ";").replace("35.5", "35,5"),
        GOOD.replace(",", "\t"),
        GOOD.replace(",", ", "),
        GOOD.replace("image,identity,role,yaw", "Image,Identity,ROLE, Yaw "),
        "\ufeff" + GOOD,
        "sep=;\n" + GOOD.replace(",", ";"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\n\n") + ",,,\n",
        GOOD.replace("\n", ",,\n"),
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(tmp_path: Path, text: str) -> None:
    found = listing.scan(kit.card("folder", index_root(tmp_path, text)))
    assert {m.image_id: (m.identity, m.role, m.yaw) for m in found.members} == ROWS
    assert found.refused == 0
    assert all(Path(m.path).is_file() for m in found.members)


@pytest.mark.parametrize("name", ["Index.csv", "index.CSV", "index.tsv"])
def test_a_table_of_nearly_the_right_name_counts(tmp_path: Path, name: str) -> None:
    text = GOOD.replace(",", "\t") if name.endswith("tsv") else GOOD
    found = listing.scan(kit.card("folder", index_root(tmp_path, text, name)))
    assert {m.image_id: (m.identity, m.role, m.yaw) for m in found.members} == ROWS


def test_two_tables_are_not_guessed_between_and_a_spreadsheet_is_explained(tmp_path: Path) -> None:
    both = index_root(tmp_path / "both", GOOD, "Index.csv")
    (both / "index.tsv").write_text(GOOD)
    with pytest.raises(BadInput, match=r"Index\.csv and index\.tsv: which table counts"):
        listing.scan(kit.card("folder", both))
    (both / "index.csv").write_text(GOOD)
    assert "Index.csv, index.tsv: not read, index.csv is the table that counts" in listing.scan(kit.card("folder", both)).problems
    with pytest.raises(BadInput, match=r"index\.xlsx: a spreadsheet; save it as index\.csv"):
        listing.scan(kit.card("folder", index_root(tmp_path / "sheet", b"PK", "index.xlsx")))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image;person;role\n1.jpg;ann;probe\n", r"column 'identity' is missing.*separated by semicolons, has: image, person, role"),
        ("image identity role\n1.jpg ann probe\n", r"column 'image' is missing.*has: image identity role"),
        ("", "empty; expected image, identity, role"),
        ("image,identity,role\n", "a header and no rows"),
        ("image,identity,role\n\n,,\n", "a header and no rows"),
        ("image,identity,role,yaw,yaw\n1.jpg,a,probe,1,2\n", "column 'yaw' is there 2 times"),
        ("image,identity,role\n1.jpg,,probe\n2.jpg,,probe\n", "none of 2 rows can be used; the first: index.csv: line 2"),
        ("image,identity,role\n".encode("utf-16"), r"not UTF-8 text \(UTF-16\)"),
    ],
)
def test_a_table_that_cannot_be_used_says_what_was_found(tmp_path: Path, text: str | bytes, why: str) -> None:
    with pytest.raises(BadInput, match=why) as error:
        listing.scan(kit.card("folder", index_root(tmp_path, text)))
    assert "\n" not in str(error.value) and "put the images into" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("a/2.jpg,ann,probe,35,5,0,1", "7 cells for 6 columns"),
        ("a/2.jpg,ann,probe,35,5,,", "7 cells for 6 columns"),
        ("a/2.jpg,ann,probe,3_5,,", "yaw must be a number of degrees"),
        ("a/2.jpg,ann,probe,٣,,", "yaw must be a number of degrees"),
        ('a/2.jpg,ann,probe,"35,5",,', "got '35,5'"),
        ("a/2.jpg,ann,probe,,10,", "pitch or roll without yaw"),
        ("a/2.jpg,ann,probe,,,10", "pitch or roll without yaw"),
        ("a/2.jpg,a\0nn,probe,,,", "identity holds a NUL"),
        ("a/2\0.jpg,ann,probe,,,", "inside the dataset's folder"),
        ("a/2.jpg,ann", "cut off: 2 cells, 'role' is missing"),
    ],
)
def test_rows_that_would_be_misread_are_refused_with_their_line(tmp_path: Path, row: str, why: str) -> None:
    text = f"image,identity,role,yaw,pitch,roll\n\na/1.jpg,ann,reference,,,\n{row}\n"
    found = listing.scan(kit.card("folder", index_root(tmp_path, text)))
    assert [m.image_id for m in found.members] == ["a/1.jpg"] and found.refused == 1
    (line,) = [line for line in found.problems if "line 4" in line]
    assert line.startswith("index.csv: line 4: ") and why in line


def test_a_decimal_comma_that_pushes_a_value_under_a_column_without_a_name_is_refused(tmp_path: Path) -> None:
    text = "image,identity,role,yaw,,\na/1.jpg,ann,reference,0,,\na/2.jpg,ann,probe,35,5,\n"
    found = listing.scan(kit.card("folder", index_root(tmp_path, text)))
    assert [m.image_id for m in found.members] == ["a/1.jpg"] and found.refused == 1
    assert "line 3: 6 cells for 4 columns" in lines(found)


def test_paths_from_another_system_are_read_and_near_misses_are_named(tmp_path: Path) -> None:
    put_all(tmp_path, "a/5.jpg", "a/6.png", "b\\7.jpg", " 8.jpg")
    rows = ["a\\1.jpg", " a/2.jpg ", "A/5.JPG", "a/6", "b\\7.jpg", " 8.jpg", "a/9.jpg"]
    text = "image,identity,role\n" + "".join(f"{row},ann,probe\n" for row in rows)
    found = listing.scan(kit.card("folder", index_root(tmp_path, text)))
    there = {m.image_id: (Path(m.path).is_file(), m.detail) for m in found.members}
    assert there == {
        "a/1.jpg": (True, ""),
        "a/2.jpg": (True, ""),
        "A/5.JPG": (False, "there is 'a/5.jpg'"),
        "a/6": (False, "there is 'a/6.png'"),
        "b\\7.jpg": (True, ""),
        " 8.jpg": (True, ""),
        "a/9.jpg": (False, ""),
    }
    said = lines(found)
    assert "2 images written with backslashes or blanks around" in said
    assert "2 images are not there, but files of nearly that name" in said and "line 4: 'A/5.JPG' (there is 'a/5.jpg')" in said


def test_a_name_composed_otherwise_is_the_same_name(tmp_path: Path) -> None:
    put_all(tmp_path, f"{unicodedata.normalize('NFD', 'café')}.jpg")
    (tmp_path / "index.csv").write_text(f"image,identity,role\n{unicodedata.normalize('NFC', 'café')}.jpg,ann,probe\n", encoding="utf-8")
    (member,) = listing.list_members(kit.card("folder", tmp_path))
    assert os.path.isfile(member.path) and member.image_id == "caf\u00e9.jpg" and member.detail == ""  # noqa: PTH113


def test_a_table_says_what_it_does_not_name_and_columns_it_may_mean(tmp_path: Path) -> None:
    text = "image,identity,role,yaws\n" + "".join(f"a/{n}.jpg,ann,probe,3\n" for n in (1,))
    found = listing.scan(kit.card("folder", index_root(tmp_path, text)))
    assert "1 image in this folder not named in index.csv, so not used: a/2.jpg" in found.problems
    assert "index.csv: column 'yaws' is not used; did you mean 'yaw'?" in found.problems


def test_angles_that_look_like_radians_are_asked_about(tmp_path: Path) -> None:
    for factor, asked in ((1.0, True), (57.3, False)):
        yaws = [0.0, 0.3, -0.7, 1.2, -1.5, 0.5]
        text = "image,identity,role,yaw\n" + "".join(f"x{n}.jpg,ann,probe,{yaw * factor:.3f}\n" for n, yaw in enumerate(yaws))
        found = listing.scan(kit.card("folder", index_root(tmp_path / str(asked), text)))
        assert ("are these radians?" in lines(found)) == asked


def test_aflw2000_angles_beyond_pi_are_no_radians(tmp_path: Path) -> None:
    import io

    from scipy.io import savemat

    for name, pose in (("image00002", [0.1, -0.5, 0.05]), ("image00004", [5.7, -28.6, 2.9])):
        kit.put(tmp_path / f"{name}.jpg", kit.jpeg(1))
        sink = io.BytesIO()
        savemat(sink, {"Pose_Para": [[*pose, 0, 0, 0, 1]]})
        kit.put(tmp_path / f"{name}{'.MAT' if name.endswith('2') else '.mat'}", sink.getvalue())
    good, degrees = listing.list_members(kit.card("aflw2000", tmp_path))
    assert good.yaw == pytest.approx(-28.6, abs=1.0) and good.pose_source == "ground_truth"
    assert degrees.yaw is None and "not radians" in degrees.detail
