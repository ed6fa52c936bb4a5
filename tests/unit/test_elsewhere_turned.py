"""References that somebody turned to the probes' yaw: handed out, taken in, and named by a second card."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.datasets import card as dataset_cards
from frontalbench.elsewhere import delivery, handout
from frontalbench.elsewhere.delivery import Photo
from frontalbench.elsewhere.survey import turned
from frontalbench.errors import BadConfig, BadInput
from frontalbench.stages.delivery import take_turned

GREY = images.encode_png(np.full((20, 30, 3), 128, np.uint8))
EDGES = [0.0, 15.0, 45.0, 90.0]
"""So that a probe at 30 degrees asks for references at 30, and one at -60 for references at -68."""


def write_card(root: Path, name: str, folder: str, uses: tuple[str, ...] = ()) -> ModelCard:
    path = root / "config" / "models" / "frontalizers" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "name": name,
        "kind": "frontalizer",
        "family": "made_elsewhere",
        "title": name,
        "weights": {},
        "delivered": {"folder": folder, "made_by": "somebody"},
        "licence": {"code": "none", "weights": "none"},
        "verified": {"level": "none"},
        **({"uses": list(uses)} if uses else {}),
    }
    path.write_text(yaml.safe_dump(data))
    return cards.load(path)


def dataset(root: Path) -> Path:
    """Two people with two references each and a probe: one turned by 30 degrees, one by -60."""
    for person in ("ann", "bob"):
        for name in ("GT/1", "GT/2", "Angle/1"):
            path = root / "data" / person / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(GREY)
    return root / "data"


def people(root: Path) -> tuple[Path, Path]:
    """The tables of all images and of their measured pose."""
    listed, poses = [], []
    for person, yaw in (("ann", 31.0), ("bob", -58.0)):
        for name, role, own in (
            (f"{person}/GT/1", "reference", 1.0),
            (f"{person}/GT/2", "reference", 0.0),
            (f"{person}/Angle/1", "probe", yaw),
        ):
            head = {"image_id": f"{name}.png", "identity": person, "role": role, "status": "ok", "detail": ""}
            more = {
                "subject": person,
                "sequence": "",
                "source": f"{name}.png",
                "sha256": name,
                "width": 30,
                "height": 20,
                "pose_source": "",
            }
            listed.append({**head, **more, "yaw": None, "pitch": None, "roll": None})
            poses.append({**head, "yaw": own, "pitch": 0.0, "roll": 0.0, "confidence": 1.0})
    key = "image_id"
    tables.write(root / "images.parquet", pa.Table.from_pylist(sorted(listed, key=lambda r: r[key]), schema=tables.LISTED), {})
    tables.write(root / "pose.parquet", pa.Table.from_pylist(sorted(poses, key=lambda r: r[key]), schema=tables.POSE), {})
    return root / "images.parquet", root / "pose.parquet"


def shard(root: Path) -> Path:
    """The same images with their images."""
    rows = tables.read(root / "images.parquet").to_pylist()
    tables.write(root / "shard.parquet", pa.Table.from_pylist([{**row, "image": GREY} for row in rows], schema=tables.IMAGES), {})
    return root / "shard.parquet"


def test_a_turned_reference_is_named_after_its_photograph_and_the_yaw() -> None:
    assert delivery.turned_photo(Photo("ann/GT/1.jpg", "ann/GT/1.jpg"), -30) == Photo("ann/GT/1.jpg@-30", "ann/GT/1@-30.jpg")
    assert delivery.turned_photo(Photo("x", "photo"), 8).source == "photo@+8"


def test_the_second_card_is_the_one_that_is_used(tmp_path: Path) -> None:
    second = write_card(tmp_path, "tool_turned", "turned")
    assert delivery.turned_by(write_card(tmp_path, "tool", "given", ("tool_turned",))) == second
    assert delivery.turned_by(second) is None
    write_card(tmp_path, "third", "third")
    with pytest.raises(BadConfig, match="both bring turned references"):
        delivery.turned_by(write_card(tmp_path, "tool", "given", ("tool_turned", "third")))


def test_turned_references_are_taken_in_by_name_and_missing_ones_counted(tmp_path: Path) -> None:
    listed, pose = people(tmp_path)
    card = write_card(tmp_path, "tool_turned", "turned")
    folder = tmp_path / "turned"
    for name in ("ann/GT/1@+30.png", "ann/GT/1@-68.png", "bob/GT/2@-68.webp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(GREY)
    (folder / "bob/GT/1@+30.png").write_bytes(b"no image")
    counts, _ = take_turned(shard(tmp_path), listed, pose, tmp_path / "out.parquet", card, "tiny", edges=EDGES)
    made = {row["image_id"]: row for row in tables.read(tmp_path / "out.parquet").to_pylist()}
    assert sorted(made) == sorted(f"{who}/GT/{i}.png@{yaw}" for who in ("ann", "bob") for i in (1, 2) for yaw in ("+30", "-68"))
    assert counts == {status.OK: 3, status.UNREADABLE: 1, status.NOT_DELIVERED: 4}
    assert made["bob/GT/2.png@-68"]["status"] == status.OK and made["bob/GT/1.png@+30"]["status"] == status.UNREADABLE
    assert "turned to a yaw of +30 degrees" in made["ann/GT/2.png@+30"]["detail"]
    assert tables.provenance(tmp_path / "out.parquet")["angles"] == [-68, 30]


def test_what_was_delivered_decides_the_rerun_and_not_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_HOME", str(tmp_path))
    (tmp_path / "config" / "datasets").mkdir(parents=True)
    (tmp_path / "config" / "schemas").symlink_to(Path(__file__).resolve().parents[2] / "config" / "schemas")
    card = write_card(tmp_path, "tool_turned", "turned")
    with pytest.raises(BadInput, match="folder of results is not there"):
        turned(card, ["tiny"])
    (tmp_path / "turned" / "ann").mkdir(parents=True)
    (tmp_path / "turned" / "ann" / "1@+30.png").write_bytes(GREY)
    before = turned(card, ["tiny"])
    (tmp_path / "turned").rename(tmp_path / "moved")
    assert turned(write_card(tmp_path, "tool_turned", "moved"), ["tiny"]) == before
    (tmp_path / "moved" / "ann" / "1@+30.png").write_bytes(GREY + b"x")
    assert turned(write_card(tmp_path, "tool_turned", "moved"), ["tiny"]) != before


def test_the_hand_out_lists_every_reference_and_angle(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    base = yaml.safe_load((cards.project_root() / "config" / "datasets" / "folder.yaml").read_text())
    path = tmp_path / "config" / "datasets" / "tiny.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({**base, "name": "tiny", "root": str(root), "yaw_bins": EDGES}))
    card = dataset_cards.load(path)
    with pytest.raises(BadInput, match="run the workflow for this dataset first"):
        handout.hand_out_references(card, tmp_path / "out", (tmp_path / "images.parquet", tmp_path / "pose.parquet"))
    done = handout.hand_out_references(card, tmp_path / "out", people(tmp_path))
    assert done.images == 4 and (tmp_path / "out" / "references" / "ann" / "GT" / "1.png").read_bytes() == GREY
    with (tmp_path / "out" / "mapping.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 8 and rows[0]["file"] == "results/ann/GT/1@-68.png" and rows[0]["yaw"] == "-68"
    assert rows[0]["given"] == "references/ann/GT/1.png"
    # What comes back under these names is found, through the mapping as well as without it.
    (tmp_path / "out" / "results" / "ann" / "GT").mkdir(parents=True)
    (tmp_path / "out" / "results" / "ann" / "GT" / "1@-68.png").write_bytes(GREY)
    for keep in (True, False):
        if not keep:
            (tmp_path / "out" / "mapping.csv").unlink()
        second = write_card(tmp_path, "tool_turned", "out")
        counts, _ = take_turned(shard(tmp_path), *people(tmp_path), tmp_path / "t.parquet", second, "tiny", edges=EDGES)
        assert counts[status.OK] == 1
