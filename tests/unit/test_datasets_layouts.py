"""LFW, CFP, FRLL, AFLW2000-3D, folders and tables: what is listed, with which role and pose, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from frontalbench import datasets
from frontalbench.catalogue import cards
from frontalbench.datasets import aflw2000, layouts, listing
from frontalbench.errors import BadConfig, BadInput
from tests.unit import datasetkit as kit


def test_every_card_is_read_and_says_what_to_do_when_its_folder_is_not_there(tmp_path: Path) -> None:
    assert {"aflw2000", "biwi", "cfp", "folder", "frll", "lfw", "lfw_deepfunneled", "lfw_funneled", "synthetic"} <= set(datasets.names())
    for name in datasets.names():
        card = datasets.find(name).with_options({"root": str(tmp_path / "nowhere")})
        with pytest.raises(BadInput) as error:
            listing.scan(card)
        assert "\n" not in str(error.value)
        assert str(tmp_path / "nowhere") in str(error.value) and "docs/datasets.md" in str(error.value)
        # An existing folder with something else in it is the wrong root.
        (tmp_path / "wrong").mkdir(exist_ok=True)
        (tmp_path / "wrong" / "notes.txt").write_text("x")
        with pytest.raises(BadInput, match="nothing of layout"):
            listing.scan(card, tmp_path / "wrong")


def test_every_layout_is_loaded_by_its_name_and_allowed_in_cards(tmp_path: Path) -> None:
    for name in layouts.LAYOUTS:
        assert callable(layouts.scan_of(name))
        card = yaml.safe_dump(
            {"name": "mine", "layout": name, "title": "Mine", "root": "x", "shards": 1, "licence": {"terms": "mine", "publish": False}}
        )
        (tmp_path / "mine.yaml").write_text(card)
        assert datasets.load(tmp_path / "mine.yaml").layout == name
    (tmp_path / "mine.yaml").write_text(card.replace(f"layout: {name}", "layout: vgg"))
    with pytest.raises(BadConfig, match=f"layout.*{'.*'.join(sorted(layouts.LAYOUTS))}"):
        datasets.load(tmp_path / "mine.yaml")
    with pytest.raises(BadConfig, match="layout 'vgg' is not known; known: aflw2000"):
        layouts.scan_of("vgg")


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_every_layout_refuses_an_option_that_it_does_not_know(layout: str, tmp_path: Path) -> None:
    """Also a new one, of which the schema says nothing."""
    head = {"name": "mine", "layout": layout, "title": "Mine", "root": "x", "licence": {"terms": "mine", "publish": False}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**head, "options": {"folderz": ["a"]}}))
    with pytest.raises(BadConfig, match=r"options\.folderz: unknown key"):
        datasets.load(tmp_path / "mine.yaml")


def test_unknown_names_options_and_values_are_explained() -> None:
    with pytest.raises(BadConfig, match="did you mean 'lfw'"):
        datasets.find("lwf")
    card = datasets.find("lfw")
    with pytest.raises(BadConfig, match="option 'shard' is not known; did you mean 'shards'"):
        card.with_options({"shard": 3})
    with pytest.raises(BadConfig, match="shards"):
        card.with_options({"shards": 0})
    with pytest.raises(BadConfig, match="identity"):
        card.with_options({"options": {"identity": "sequence"}})
    with pytest.raises(BadConfig, match="rising"):
        card.with_options({"yaw_bins": [0, 30, 15]})


def test_digest_changes_with_what_changes_results_and_not_with_the_folder() -> None:
    card = datasets.find("biwi")
    assert card.with_options({"root": "/elsewhere"}).digest() == card.digest()
    assert card.with_options({"yaw_bins": [0, 45, 90]}).digest() == card.digest()
    different = [
        card.with_options({"limit": 3}),
        card.with_options({"limit": 3, "select": {"seed": 1}}),
        card.with_options({"roles": {"max_angle": 6.0}}),
        card.with_options({"options": {"identity": "sequence"}}),
        card.with_options({"shards": 4}),
        card.with_options({"select": {"per_bin": 5}}),
        card.with_options({"select": {"per_bin": 5}, "yaw_bins": [0, 45, 90]}),
    ]
    assert len({card.digest(), *(other.digest() for other in different)}) == len(different) + 1


def test_environment_says_where_the_images_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_DATA", "/images")
    assert datasets.find("lfw").root == Path("/images/lfw")
    assert datasets.find("synthetic").root.name == "synthetic" and "images" not in str(datasets.find("synthetic").root)
    monkeypatch.setenv("FRONTALBENCH_DATA_LFW", "/else/where")
    card = datasets.find("lfw")
    assert card.root == Path("/else/where")
    assert card.with_options({"limit": 2}).root == Path("/else/where")
    assert card.with_options({"root": "/mine"}).root == Path("/mine")


def test_a_relative_folder_in_the_environment_means_the_project_s_wherever_the_command_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = cards.project_root()
    monkeypatch.setattr(cards, "project_root", lambda: root)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRONTALBENCH_DATA_LFW", "images/lfw")
    assert datasets.find("lfw").root == root / "images" / "lfw"


@pytest.mark.parametrize("nested", ["", "lfw", "lfw-deepfunneled/lfw-deepfunneled"])
def test_lfw_is_found_in_the_folders_its_archives_unpack_to(tmp_path: Path, nested: str) -> None:
    kit.put(tmp_path / nested / "A_B" / "A_B_0001.jpg", kit.jpeg(1))
    name = "lfw_deepfunneled" if "deep" in nested else "lfw"
    (member,) = listing.list_members(kit.card(name, tmp_path))
    assert (member.image_id, member.identity) == ("A_B/A_B_0001.jpg", "A_B")
    assert member.source == "/".join(part for part in (nested, "A_B/A_B_0001.jpg") if part)


def test_aflw2000_without_a_pose_file_is_kept_without_pose(tmp_path: Path) -> None:
    kit.put(tmp_path / "image00001.jpg", kit.jpeg(1))
    kit.put(tmp_path / "image00002.jpg", kit.jpeg(2))
    (tmp_path / "image00002.mat").write_bytes(b"not a matlab file")
    found = listing.scan(kit.card("aflw2000", tmp_path))
    assert [m.yaw for m in found.members] == [None, None]
    assert any(line.startswith("2 images without a usable pose file") for line in found.problems)
    assert [m.detail for m in found.members] == ["no usable pose file: not there", "no usable pose file: not readable"]
    assert aflw2000.pose_of(b"") == "not readable"


def test_folders_of_references_and_probes_and_plain_ones(tmp_path: Path) -> None:
    kit.put(tmp_path / "ann" / "GT" / "1.jpg", kit.jpeg(1))
    kit.put(tmp_path / "ann" / "Angle" / "1.JPG", kit.jpeg(2))
    kit.put(tmp_path / "ann" / "other" / "1.jpg", kit.jpeg(3))
    kit.put(tmp_path / "bob" / "1.png", kit.image(4))
    kit.put(tmp_path / "bob" / "1.jpg", kit.jpeg(5))
    kit.put(tmp_path / "bob" / "notes.txt", b"x")
    kit.put(tmp_path / "bob" / ".hidden.jpg", b"x")
    kit.put(tmp_path / "stray.jpg", kit.jpeg(6))
    (tmp_path / "empty").mkdir()
    found = listing.scan(kit.card("folder", tmp_path))
    assert {m.image_id: m.role for m in found.members} == {
        "ann/Angle/1.JPG": "probe",
        "ann/GT/1.jpg": "reference",
        "bob/1.jpg": "auto",
        "bob/1.png": "auto",
    }
    assert found.ignored == 1 and found.refused == 2
    lines = "\n".join(found.problems)
    assert "ann/other: 1 image left out: expected a folder GT or Angle" in lines and "stray.jpg" in lines and "empty: no images" in lines


def test_names_of_every_kind_survive_and_never_leave_the_columns(tmp_path: Path) -> None:
    names = ["it's", 'say "hi"', "two\nlines", "$(touch x)", "-rf", "a,b;c", "žluťoučký", "名前", "tab\tbed", "a" * 200, "x.."]
    for name in names:
        kit.put(tmp_path / name / f"{name[:50]}.jpg", kit.jpeg(1))
    kit.put(Path(os.fsdecode(os.fsencode(tmp_path / "bytes") + b"\xff\xfe/\xe9.jpg")), kit.jpeg(2))
    members = listing.list_members(kit.card("folder", tmp_path))
    ids = {m.image_id for m in members}
    assert {f"{name}/{name[:50]}.jpg" for name in names} <= ids
    assert "bytes\\xff\\xfe/\\xe9.jpg" in ids
    for member in members:
        assert Path(member.path).is_file()
        member.image_id.encode("utf-8")


def test_same_name_in_two_unicode_forms_gives_two_ids_that_do_not_depend_on_each_other(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    kit.put(tmp_path / "ann" / decomposed, kit.jpeg(1))
    (alone,) = listing.list_members(kit.card("folder", tmp_path))
    assert alone.image_id == "ann/caf\u00e9.jpg"
    kit.put(tmp_path / "ann" / composed, kit.jpeg(2))
    both = listing.list_members(kit.card("folder", tmp_path))
    assert len({m.image_id for m in both}) == 2
    assert next(m for m in both if m.path.endswith(composed)).image_id == "ann/caf\u00e9.jpg"


def test_loops_and_dangling_links_do_not_hang_or_hide_anything(tmp_path: Path) -> None:
    kit.put(tmp_path / "ann" / "1.jpg", kit.jpeg(1))
    (tmp_path / "ann" / "loop").symlink_to(tmp_path)
    (tmp_path / "ann" / "self.jpg").symlink_to(tmp_path / "ann" / "self.jpg")
    (tmp_path / "ann" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "me").symlink_to(tmp_path)
    with kit.file_access() as seen:
        found = listing.scan(kit.card("folder", tmp_path))
    listed = [path for event, path in seen if event in ("os.scandir", "os.listdir")]
    assert 2 <= len(listed) < 12, "each of the two folders is to be listed, not the loops in them again and again"
    assert [m.image_id for m in found.members] == ["ann/1.jpg", "ann/gone.jpg", "ann/self.jpg"]


INDEX = "image,identity,role,yaw,pitch,roll\n"


def test_table_of_images_is_taken_when_it_is_there(tmp_path: Path) -> None:
    kit.put(tmp_path / "a" / "1.jpg", kit.jpeg(1))
    (tmp_path / "index.csv").write_text(
        "\ufeff" + INDEX + 'a/1.jpg,ann,reference,0,1.5,-2\n"a/2, b.jpg",ann,Angle,30,,\na/3.jpg,bob,,,,\n', encoding="utf-8"
    )
    found = listing.scan(kit.card("folder", tmp_path))
    assert {m.image_id: (m.identity, m.role, m.yaw, m.pitch) for m in found.members} == {
        "a/1.jpg": ("ann", "reference", 0.0, 1.5),
        "a/2, b.jpg": ("ann", "probe", 30.0, None),
        "a/3.jpg": ("bob", "auto", None, None),
    }
    assert [m.pose_source for m in found.members] == ["nominal", "nominal", ""]
    truth = listing.list_members(kit.card("synthetic", tmp_path, pose_source="ground_truth"))
    assert truth[0].pose_source == "ground_truth"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("/etc/passwd,ann,probe,,,", "must be a path inside"),
        ("../x.jpg,ann,probe,,,", "must be a path inside"),
        ("a/../../x.jpg,ann,probe,,,", "must be a path inside"),
        ("C:/x.jpg,ann,probe,,,", "must be a path inside"),
        ("a//x.jpg,ann,probe,,,", "written plainly"),
        ("a/1.jpg,ann,probe,,,", "already given in line 2"),
        ("x.jpg,,probe,,,", "must not be empty"),
        ("x.jpg,ann,boss,,,", "role 'boss'"),
        ("x.jpg,ann,probe,left,,", "yaw must be a number"),
        ("x.jpg,ann,probe,0,999,", "pitch must be a number"),
        ("x.jpg,ann,probe,0,nan,", "pitch must be a number"),
        ("x.jpg", "must not be empty"),
    ],
)
def test_unusable_rows_are_refused_with_their_line_and_counted(tmp_path: Path, row: str, why: str) -> None:
    (tmp_path / "index.csv").write_text(f"{INDEX}a/1.jpg,ann,reference,,,\n{row}\n")
    found = listing.scan(kit.card("folder", tmp_path))
    assert [m.image_id for m in found.members] == ["a/1.jpg"]
    assert found.refused == 1
    (line,) = found.problems
    assert line.startswith("index.csv: line 3: ") and why in line and "\n" not in line


def test_a_table_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("photo,identity\n1.jpg,ann\n")
    with pytest.raises(BadInput, match=r"index\.csv: column 'image' is missing"):
        listing.scan(kit.card("folder", tmp_path))
    (tmp_path / "index.csv").write_bytes("image,identity,role\nä.jpg,ann,probe\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"index\.csv: not UTF-8"):
        listing.scan(kit.card("folder", tmp_path))
    (tmp_path / "index.csv").write_text('image,identity,role\n"a.jpg,ann,probe\n')
    with pytest.raises(BadInput, match=r"index\.csv: line"):
        listing.scan(kit.card("folder", tmp_path))
