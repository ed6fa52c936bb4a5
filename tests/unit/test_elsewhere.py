"""Results that another system made: handed out, taken in, joined by name, counted where there are none."""

from __future__ import annotations

import csv
import os
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.datasets import card as dataset_cards
from frontalbench.elsewhere import delivery, handout, judging
from frontalbench.elsewhere.delivery import Joined, Photo
from frontalbench.elsewhere.survey import survey
from frontalbench.errors import BadConfig, BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.stages.delivery import take_delivery
from tests.project import people

PHOTOS = [Photo(name, name) for name in ("ann/Angle/1.jpg", "ann/Angle/2.jpg", "bob/Angle/1.jpg")]
GREY = images.encode_png(np.full((20, 30, 3), 128, np.uint8))
DELIVERED = {"folder": "given", "made_by": "somebody"}


def put(folder: Path, *names: str, content: bytes = GREY) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def joined(folder: Path, photos: Sequence[Photo] = PHOTOS, dataset: str = "tiny", others: Sequence[str] = ()) -> dict[str, str]:
    """``image_id`` -> the file's name below ``folder``."""
    found = delivery.join(card_of(folder), dataset, photos, others)
    return {image_id: Path(file).relative_to(folder).as_posix() for image_id, file in found.files.items()}


def whole(folder: Path, photos: Sequence[Photo] = PHOTOS) -> Joined:
    return delivery.join(card_of(folder), "tiny", photos)


def card_of(folder: Path, **params: str) -> ModelCard:
    data = MappingProxyType({"delivered": {"folder": str(folder), "made_by": "somebody"}})
    root = folder.parent
    path = root / "frontalizers" / "tool.yaml"
    return ModelCard("tool", "frontalizer", delivery.FAMILY, "T", path, root, params, MappingProxyType({}), (), (), data)


# Names ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jpg", "png", "PNG", "webp", "tif", "jpg.png"])
def test_a_result_of_any_ending_is_joined_by_its_path(tmp_path: Path, ending: str) -> None:
    assert joined(put(tmp_path / "in", f"ann/Angle/2.{ending}")) == {"ann/Angle/2.jpg": f"ann/Angle/2.{ending}"}


@pytest.mark.parametrize("place", ["", "tiny/", "FRONTALS/tiny/", "results/"])
def test_results_lie_in_the_folder_or_below_the_name_of_the_dataset(tmp_path: Path, place: str) -> None:
    assert joined(put(tmp_path / "in", f"{place}bob/Angle/1.png")) == {"bob/Angle/1.jpg": f"{place}bob/Angle/1.png"}


def test_a_folder_laid_out_by_datasets_gives_another_dataset_nothing(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "other/bob/Angle/1.png")
    assert joined(folder, others=["other", "tiny"]) == {}
    assert joined(put(tmp_path / "two", "FRONTALS/other/bob/Angle/1.png")) == {}


def test_folders_that_all_photographs_lie_in_may_be_left_out(tmp_path: Path) -> None:
    photos = [Photo(f"id{i}", f"lfw/faces/{name}") for i, name in enumerate(("Ann/1.jpg", "Bob/1.jpg"))]
    assert joined(put(tmp_path / "in", "Ann/1.png", "lfw/faces/Bob/1.png"), photos) == {"id0": "Ann/1.png", "id1": "lfw/faces/Bob/1.png"}


def test_everything_cut_from_one_photograph_gets_its_one_result(tmp_path: Path) -> None:
    photos = [Photo("a#1", "x/a.jpg"), Photo("a#2", "x/a.jpg")]
    assert joined(put(tmp_path / "in", "x/a.png"), photos) == {"a#1": "x/a.png", "a#2": "x/a.png"}


def test_a_name_with_accents_is_joined_however_the_system_writes_them(tmp_path: Path) -> None:
    name = "Zoë/1.jpg"
    folder = put(tmp_path / "in", unicodedata.normalize("NFD", "Zoë/1.png"))
    assert list(joined(folder, [Photo(name, unicodedata.normalize("NFC", name))])) == [name]


def test_a_dot_in_a_name_is_no_ending(tmp_path: Path) -> None:
    photos = [Photo("v1.5.jpg", "v1.5.jpg"), Photo("v1.6.jpg", "v1.6.jpg")]
    assert joined(put(tmp_path / "in", "v1.5.png"), photos) == {"v1.5.jpg": "v1.5.png"}


def test_what_belongs_to_no_photograph_is_named_and_the_rest_is_joined(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "ann/Angle/1.png", "ann/Angle/9.png", "notes.docx")
    found = whole(folder)
    assert (list(found.files), found.unmatched, found.others) == (["ann/Angle/1.jpg"], ("ann/Angle/9.png",), ("notes.docx",))


def test_two_files_for_one_photograph_are_refused_with_both_names(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "ann/Angle/1.png", "ann/Angle/1.jpg")
    with pytest.raises(BadInput, match=r"ann/Angle/1\.jpg and ann/Angle/1\.png both claim to be the result of 'ann/Angle/1\.jpg'"):
        whole(folder)


def test_photographs_that_differ_in_their_ending_alone_ask_for_the_whole_name(tmp_path: Path) -> None:
    photos = [Photo("a.jpg", "a.jpg"), Photo("a.png", "a.png")]
    assert joined(put(tmp_path / "whole", "a.jpg.png", "a.png.png"), photos) == {"a.jpg": "a.jpg.png", "a.png": "a.png.png"}
    with pytest.raises(BadInput, match=r"a\.webp could be the result of a\.jpg, a\.png; call it a\.jpg\.webp"):
        joined(put(tmp_path / "half", "a.webp"), photos)


def test_a_folder_that_is_not_there_is_one_line_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the folder of results is not there"):
        whole(tmp_path / "nowhere")


# Mappings ---------------------------------------------------------------------------------------------------------------------


def mapped(folder: Path, *lines: str, name: str = "mapping.csv") -> Path:
    put(folder, name, content="\n".join(lines).encode())
    return folder


@pytest.mark.parametrize(("name", "column"), [("mapping.csv", "photo"), ("index.csv", "image_id")])
def test_a_mapping_alone_decides_where_there_is_one(tmp_path: Path, name: str, column: str) -> None:
    folder = put(tmp_path / "in", "out_1.png", "out_2.webp", "ann/Angle/1.png")
    lines = (f"file,{column}", "out_1.png,ann/Angle/2.jpg", "out_2.png,bob/Angle/1.jpg", ",ann/Angle/1.jpg")
    assert joined(mapped(folder, *lines, name=name)) == {"ann/Angle/2.jpg": "out_1.png", "bob/Angle/1.jpg": "out_2.webp"}
    assert whole(folder).unmatched == ("ann/Angle/1.png",)


@pytest.mark.parametrize(("name", "separator"), [("mapping.csv", ";"), ("Mapping.CSV", ","), ("mapping.tsv", "\t"), ("INDEX.TSV", "\t")])
def test_a_mapping_is_read_as_spreadsheets_save_it(tmp_path: Path, name: str, separator: str) -> None:
    folder = put(tmp_path / "in", "out_1.png", "ann/Angle/1.png")
    lines = [line.replace(",", separator) for line in ("\ufeffFile,Photo", "out_1.png,ann/Angle/2.jpg")]
    found = whole(mapped(folder, *lines, name=name))
    assert list(found.files) == ["ann/Angle/2.jpg"] and found.unmatched == ("ann/Angle/1.png",)
    assert not found.others


def test_a_mapping_that_is_a_spreadsheet_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"mapping\.xlsx: a spreadsheet is not read; save it as mapping\.csv"):
        whole(put(tmp_path / "in", "ann/Angle/1.png", "Mapping.xlsx".lower()))


def test_a_file_that_the_mapping_names_and_that_is_not_there_is_said_in_its_row(tmp_path: Path) -> None:
    found = whole(mapped(put(tmp_path / "in", "x.png"), "file,photo", "x.png,ann/Angle/1.jpg", "y.png,ann/Angle/2.jpg"))
    assert found.absent == {"ann/Angle/2.jpg": "mapping.csv names y.png, which is not there"}
    assert list(found.files) == ["ann/Angle/1.jpg"]


def test_a_line_for_a_photograph_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    found = whole(mapped(put(tmp_path / "in", "x.png"), "file,photo", "x.png,ann/Angle/11.jpg"))
    assert found.unmatched[0].startswith("mapping.csv line 2: no photograph 'ann/Angle/11.jpg'; did you mean 'ann/Angle/1.jpg'?")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("result,image", "a,b"), "column 'file' is missing; expected 'file' and 'photo'"),
        (("file,photo", "x.png,ann/Angle/1.jpg", "y.png,ann/Angle/1.jpg"), "x.png and y.png both claim"),
        (("file,photo", "../secret.png,ann/Angle/1.jpg"), "leads out of the folder"),
        (("file,photo", "/etc/x.png,ann/Angle/1.jpg"), "leads out of the folder"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    with pytest.raises(BadInput, match=told) as raised:
        whole(mapped(put(tmp_path / "in", "x.png", "y.png"), *lines))
    assert "\n" not in str(raised.value)


def test_a_mapping_of_excel_is_read(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "sub/x.png")
    put(folder, "mapping.csv", content=b"\xef\xbb\xbffile,photo\r\nsub\\x.png,ann/Angle/1.jpg\r\n")
    assert joined(folder) == {"ann/Angle/1.jpg": "sub/x.png"}


# Rows -------------------------------------------------------------------------------------------------------------------------


def shard(folder: Path, *, words: Sequence[str] = (status.OK,) * 3) -> Path:
    rows = [
        {
            **{
                "image_id": photo.image_id,
                "identity": photo.source[:3],
                "subject": photo.source[:3],
                "role": "probe",
                "source": photo.source,
            },
            **{"sequence": "", "pose_source": "", "sha256": "", "width": 30, "height": 20, "status": word, "detail": "why", "image": GREY},
        }
        for photo, word in zip(PHOTOS, words, strict=True)
    ]
    out = folder / "images.parquet"
    with tables.Writer(out, tables.IMAGES, {}) as writer:
        writer.add(rows)
    return out


def taken(
    tmp_path: Path, folder: Path, *, words: Sequence[str] = (status.OK,) * 3, **params: str
) -> tuple[list[dict[str, object]], list[str]]:
    images = shard(tmp_path, words=words)
    _, notes = take_delivery(images, images, tmp_path / "out.parquet", card_of(folder, **params), "tiny")
    return tables.read(tmp_path / "out.parquet", tables.FRONTALS).to_pylist(), notes


def test_every_photograph_gets_a_row_and_what_is_missing_or_broken_is_counted(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", "ann/Angle/1.jpg")
    put(folder, "bob/Angle/1.png", content=b"no image")
    rows, _ = taken(tmp_path, folder)
    assert [row["status"] for row in rows] == [status.OK, status.NOT_DELIVERED, status.UNREADABLE]
    assert rows[1]["detail"] == "no result of ann/Angle/2.jpg was delivered"
    assert str(rows[2]["detail"]).startswith("1.png: ")
    assert [row["image"] is not None for row in rows] == [True, False, False]
    assert rows[0]["seconds"] is None


def test_not_delivered_counts_as_a_failure_to_acquire() -> None:
    assert status.NOT_DELIVERED in status.FAILURE_TO_ACQUIRE & status.ALL


def test_the_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    made: npt.NDArray[np.uint8] = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    rows, _ = taken(tmp_path, put(tmp_path / "in", "ann/Angle/1.bmp", content=images.encode_png(made)))
    content = rows[0]["image"]
    assert isinstance(content, bytes) and np.array_equal(images.decode(content), made)


def test_a_photograph_that_the_card_leaves_out_stays_left_out(tmp_path: Path) -> None:
    rows, _ = taken(tmp_path, put(tmp_path / "in", "ann/Angle/1.png"), words=(status.NOT_USED, status.OK, status.UNREADABLE))
    assert [row["status"] for row in rows] == [status.NOT_USED, status.NOT_DELIVERED, status.UNREADABLE]


@pytest.mark.parametrize(
    ("size", "word", "detail"),
    [
        ("noted", status.OK, "50 x 40, its photograph is 30 x 20"),
        ("any", status.OK, ""),
        ("same", status.MODEL_ERROR, "1.png: 50 x 40, its photograph is 30 x 20"),
    ],
)
def test_a_result_of_another_size_is_noted_allowed_or_a_failure_as_the_card_says(tmp_path: Path, size: str, word: str, detail: str) -> None:
    folder = put(tmp_path / "in", "ann/Angle/1.png", content=images.encode_png(np.zeros((40, 50, 3), np.uint8)))
    rows, notes = taken(tmp_path, folder, size=size)
    assert (rows[0]["status"], rows[0]["detail"]) == (word, detail)
    assert notes == (["1 of another size than their photograph"] if size == "noted" else [])


def test_a_model_made_elsewhere_turns_no_new_image_and_says_what_to_do(tmp_path: Path) -> None:
    model = load_frontalizer(card_of(tmp_path))
    assert (model.needs_face, model.takes_target_pose) == (False, False)
    with pytest.raises(BadInput, match=r"turns no new image; judge it in the workflow .* 'of:' in pairs\.yaml"):
        model.frontalize([View(np.zeros((4, 4, 3), np.uint8), None)])


# Cards ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project_root: Path) -> Path:
    """A project folder with one dataset `tiny` of two people."""
    root = tmp_path / "project"
    shutil.copytree(project_root / "config", root / "config")
    people(root / "data" / "tiny", identities=2)
    card = yaml.safe_load((root / "config" / "datasets" / "folder.yaml").read_text()) | {"name": "tiny", "root": "data/tiny", "shards": 2}
    (root / "config" / "datasets" / "tiny.yaml").write_text(yaml.safe_dump(card))
    settings = yaml.safe_load((root / "config" / "config.yaml").read_text()) | {"datasets": ["tiny"]}
    (root / "config" / "config.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("FRONTALBENCH_HOME", str(root))
    monkeypatch.chdir(root)
    return root


def written(root: Path, **changes: object) -> Path:
    card = {
        **{"name": "tool", "kind": "frontalizer", "family": "made_elsewhere", "title": "T", "weights": {}, "delivered": DELIVERED},
        **{"licence": {"code": "x", "weights": "y"}, "verified": {"level": "none"}},
        **changes,
    }
    path = root / "config" / "models" / "frontalizers" / "tool.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in card.items() if value is not None}))
    return path


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"delivered": None}, "delivered: missing"),
        ({"family": "mirror"}, "delivered: only for frontalizers of family made_elsewhere"),
        ({"delivered": {"folder": "x"}}, "delivered.made_by: missing"),
        ({"delivered": {**DELIVERED, "date": "yesterday"}}, "delivered.date"),
        ({"delivered": {**DELIVERED, "mapping": "../x.csv"}}, "delivered.mapping"),
    ],
)
def test_a_card_says_where_the_folder_is_and_who_made_it(project: Path, changes: dict[str, object], told: str) -> None:
    with pytest.raises(BadConfig, match=told):
        cards.load(written(project, **changes))


def test_where_the_folder_lies_and_who_made_it_changes_no_result_and_its_size_rule_does(project: Path) -> None:
    first = cards.load(written(project)).digest()
    assert cards.load(written(project, delivered={"folder": "moved", "made_by": "another", "version": "2"}, notes="n")).digest() == first
    assert cards.load(written(project, params={"size": "same"})).digest() != first


def test_content_decides_what_reruns_and_only_in_its_own_shard(project: Path) -> None:
    card = cards.load(written(project))
    dataset = dataset_cards.find("tiny")
    out = project / "given"
    handout.hand_out(dataset, project / "handed")
    shutil.copytree(project / "handed" / "probes", out)
    prints = [survey(card, {"tiny": dataset}).fingerprints["tiny"]]
    one = sorted(out.rglob("*.jpg"))[0]
    os.utime(one, (1, 1))
    one = one.rename(one.with_suffix(".jpeg"))
    prints.append(survey(card, {"tiny": dataset}).fingerprints["tiny"])
    assert prints[0] == prints[1], "neither times nor endings matter"
    one.write_bytes(GREY)
    prints.append(survey(card, {"tiny": dataset}).fingerprints["tiny"])
    one.unlink()
    prints.append(survey(card, {"tiny": dataset}).fingerprints["tiny"])
    for before, after in ((prints[1], prints[2]), (prints[2], prints[3])):
        assert sum(before[name] != after[name] for name in before) == 1


def test_a_survey_counts_probes_and_names_the_files_of_nobody_once(project: Path) -> None:
    card = cards.load(written(project))
    dataset = dataset_cards.find("tiny")
    handout.hand_out(dataset, project / "handed")
    shutil.copytree(project / "handed" / "probes", project / "given")
    found = survey(card, {"tiny": dataset})
    assert (found.counts, found.notes) == (["tool on tiny: 4 of 4 probes delivered"], [])
    gone = sorted((project / "given").rglob("*.jpg"))[0]
    gone.rename(gone.with_name("stranger.jpg"))
    found = survey(card, {"tiny": dataset})
    name = gone.relative_to(project / "given").as_posix()
    assert found.notes[0] == f"tool on tiny: 3 of 4 probes delivered (the first without: {name})"
    assert found.notes[1].endswith(
        f"1 file of no photograph, not used: {gone.parent.relative_to(project / 'given').as_posix()}/stranger.jpg"
    )


# Handing out and judging ------------------------------------------------------------------------------------------------------


def test_what_is_handed_out_comes_back_joined_under_the_names_it_asked_for(project: Path) -> None:
    dataset = dataset_cards.find("tiny")
    assert handout.hand_out(dataset, project / "handed") == handout.HandedOut(4, undecided=False)
    with (project / "handed" / "mapping.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert all("/GT/" not in row["photo"] for row in rows)
    for row in rows:
        assert (project / "handed" / row["given"]).read_bytes() == (project / "data" / "tiny" / row["photo"]).read_bytes()
        put(project / "handed", row["file"])
    for folder in ("handed", "handed/results"):
        found = survey(cards.load(written(project, delivered={**DELIVERED, "folder": folder})), {"tiny": dataset})
        assert found.counts == ["tool on tiny: 4 of 4 probes delivered"] and found.notes == [], folder


def test_the_readme_says_licence_and_that_nothing_is_to_be_published(project: Path) -> None:
    path = project / "config" / "datasets" / "tiny.yaml"
    card = yaml.safe_load(path.read_text())
    for publish in (True, False):
        path.write_text(yaml.safe_dump({**card, "licence": {"terms": "for tests", "publish": publish}}))
        handout.hand_out(dataset_cards.find("tiny"), project / "handed")
        text = (project / "handed" / "README.txt").read_text()
        assert "for tests" in text and ("must not be published" in text) is not publish


def test_a_folder_that_somebody_has_put_results_into_is_not_replaced(project: Path) -> None:
    dataset = dataset_cards.find("tiny")
    handout.hand_out(dataset, project / "handed")
    put(project / "handed", "results/ann/1.png")
    with pytest.raises(BadInput, match=r"which mapping\.csv does not know"):
        handout.hand_out(dataset, project / "handed")
    assert (project / "handed" / "results" / "ann" / "1.png").is_file()


@pytest.mark.parametrize("source", ["../up.jpg", "/root.jpg", "a/../../b.jpg", "a\nb.jpg", "c:d.jpg", "e\\f.jpg"])
def test_no_name_leads_out_of_the_folder_that_is_handed_out(source: str) -> None:
    name = handout.given_name(source)
    assert "/" not in name and ".." not in name and name.endswith(".jpg") and "\n" not in name


def test_results_are_named_apart_where_photographs_differ_in_their_ending_alone() -> None:
    from frontalbench.datasets.members import Member

    members = [Member(name, "a", name, name) for name in ("a/1.jpg", "a/1.png", "a/2.jpg")]
    assert handout.results_of(members) == ["a/1.jpg.png", "a/1.png.png", "a/2.png"]


def test_judging_writes_a_card_that_loads_and_a_configuration_of_its_own(project: Path) -> None:
    handout.hand_out(dataset_cards.find("tiny"), project / "handed")
    shutil.copytree(project / "handed" / "probes", project / "given")
    said = judging.Said(made_by="Example: Portraits", version="2.0", date="2026-11-20", notes="seed 1")
    made = judging.write(project / "given", "tool", ["tiny"], said=said, beside=["mirror"])
    card = cards.find("frontalizer", "tool")
    assert card.data["delivered"] == {"folder": "given", "made_by": "Example: Portraits", "version": "2.0", "date": "2026-11-20"}
    assert (card.title, card.data["notes"]) == ("Made elsewhere by Example: Portraits", "seed 1")
    settings = yaml.safe_load((project / made.config).read_text())
    assert [entry["name"] for entry in settings["frontalizers"]] == ["tool", "mirror"]
    assert (settings["name"], settings["datasets"], settings["derived"]) == ("judge_tool", ["tiny"], [])
    assert made.shown(2, "summarize") == "snakemake --cores 2 summarize --configfile config/judge_tool.yaml"
    # Once more with one thing said anew: the rest stays.
    judging.write(project / "given", "tool", ["tiny"], said=judging.Said(version="2.1"))
    with pytest.raises(BadConfig, match=r"delivered\.date"):
        judging.write(project / "given", "tool", ["tiny"], said=judging.Said(date="today"))
    again = cards.find("frontalizer", "tool").data
    assert again["delivered"] == {**card.data["delivered"], "version": "2.1"} and again["notes"] == "seed 1"
    judging.write(project / "given", "tool", ["tiny"], said=judging.Said(made_by="Another"))
    assert cards.find("frontalizer", "tool").title == "Made elsewhere by Another"


@pytest.mark.parametrize(
    ("name", "said", "told"),
    [
        ("My-Tool", judging.Said(), "such as my_tool"),
        ("original", judging.Said(), "such as my_original"),
        ("mirror", judging.Said(), "is a card of family mirror already"),
        ("tool", judging.Said(date="20.11.2026"), "delivered.date"),
    ],
)
def test_judging_refuses_a_name_that_is_taken_or_cannot_be_and_writes_nothing(
    project: Path, name: str, said: judging.Said, told: str
) -> None:
    put(project / "given", *(f"{p.parent.parent.name}/Angle/{p.name}" for p in (project / "data" / "tiny").glob("*/Angle/*.jpg")))
    before = sorted(path for path in (project / "config").rglob("*"))
    with pytest.raises((BadInput, BadConfig), match=told):
        judging.write(project / "given", name, ["tiny"], said=said)
    assert sorted(path for path in (project / "config").rglob("*")) == before


def test_judging_a_folder_in_which_nothing_fits_says_which_names_are_expected(project: Path) -> None:
    with pytest.raises(
        BadInput, match=r"no file here is called like a photograph of tiny .*stranger\.png.*expected names such as '.*/Angle/.*\.jpg'"
    ):
        judging.write(put(project / "given", "stranger.png"), "tool", ["tiny"])
    assert not (project / "config" / "judge_tool.yaml").exists()
