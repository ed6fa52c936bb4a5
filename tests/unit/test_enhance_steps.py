"""Enhancements in two steps: the network once for several cards, the same images as in one step."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from frontalbench import images, status, tables
from frontalbench.catalogue import cards, networks
from frontalbench.detect.base import Detections
from frontalbench.enhance import load_drawer, load_finisher
from frontalbench.enhance.drawn import packed, unpacked
from frontalbench.enhance.gfpgan import finisher
from frontalbench.enhance.restoration import Draw, Restore
from frontalbench.errors import BadConfig, BadInput, WeightsMissing
from frontalbench.images import RGB
from frontalbench.plan.steps import Steps
from frontalbench.plan.variant import parse
from frontalbench.stages import overlap
from frontalbench.stages.enhance import draw_shard, enhance_shard, finish_shard
from frontalbench.tabulate.cost import Made, cost_row

torch = pytest.importorskip("torch")


class Eyes:
    """A detector that knows where the face is; there is none in black images."""

    name = "eyes"

    def detect(self, image: RGB) -> Detections:
        if image.max() == 0:
            return Detections.none()
        points = np.array([[57, 74], [83, 74], [70, 90], [59, 101], [81, 101]], np.float32)
        return Detections(np.array([[50, 60, 90, 110]], np.float32), np.ones(1, np.float32), points[None])


class Network(torch.nn.Module):
    """Stands in for the network: draws a pattern over the face, and counts its images."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        return x + 0.3 * torch.sin(torch.arange(512.0) / 3)


@pytest.fixture
def frontals(tmp_path: Path) -> Path:
    """A table of a face, an image without one, one that cannot be decoded and one that failed before."""
    y, x = np.mgrid[:150, :140]
    face = np.stack([100 + 40 * np.sin(x / 9), 110 + 30 * np.cos(y / 8), 120 + 20 * np.sin((x + y) / 7)], axis=-1).astype(np.uint8)
    encoded = {"a": images.encode_png(face), "b": images.encode_png(np.zeros_like(face)), "c": b"no image", "d": None}
    rows = [
        {"image_id": name, "identity": name, "role": "probe", "status": status.OK if data else status.NO_FACE, "detail": "", "image": data}
        for name, data in encoded.items()
    ]
    tables.write(tmp_path / "frontals.parquet", tables.from_rows(rows, tables.FRONTALS))
    return tmp_path / "frontals.parquet"


@pytest.mark.parametrize("name", ["gfpgan_full", "gfpgan_detail"])
def test_two_steps_give_the_images_and_statuses_of_one(name: str, frontals: Path) -> None:
    network, finish = Network(), finisher(cards.find("enhancement", name))
    draw = Draw(network, Eyes())
    folder = frontals.parent
    enhance_shard(frontals, folder / "one.parquet", name, "", lambda: Restore(name, draw, finish))
    draw_shard(frontals, folder / "drawn.parquet", name, "", lambda: draw)
    counts = finish_shard(frontals, folder / "drawn.parquet", folder / "two.parquet", name, "", lambda: load_finisher(name))
    assert counts == {status.OK: 1, status.NO_FACE: 2, status.UNREADABLE: 1}
    assert network.seen == 2
    one, two = (tables.read(folder / f"{which}.parquet", tables.FRONTALS).to_pylist() for which in ("one", "two"))
    assert [(row["image_id"], row["status"], row["detail"]) for row in one] == [
        (row["image_id"], row["status"], row["detail"]) for row in two
    ]
    before, after = (images.decode(rows[0]["image"]).astype(int) for rows in (one, two))
    apart = np.abs(before - after)
    assert apart.max() <= (0 if name == "gfpgan_full" else 2) and apart.mean() < 0.05
    assert np.abs(before - images.decode(tables.read(frontals, tables.FRONTALS).to_pylist()[0]["image"])).max() > 5


def test_what_the_network_cost_is_part_of_what_the_enhancement_cost(frontals: Path) -> None:
    folder = frontals.parent
    draw_shard(frontals, folder / "drawn.parquet", "gfpgan_full", "", lambda: Draw(Network(), Eyes()))
    drawn = tables.read(folder / "drawn.parquet", tables.DRAWN).to_pylist()[0]
    finish_shard(frontals, folder / "drawn.parquet", folder / "out.parquet", "gfpgan_full", "", lambda: load_finisher("gfpgan_full"))
    row = cost_row(Made("synthetic", "identity.gfpgan_full", [folder / "out.parquet"]))
    runs = [tables.run_record(folder / f"{name}.parquet") for name in ("drawn", "out")]
    assert row["seconds_median"] > drawn["seconds"] > 0
    assert row["load_seconds"] == pytest.approx(sum(run["load_seconds"] for run in runs))
    assert row["host_mb"] == max(run["host_mb"] for run in runs)


def test_faces_of_another_version_of_the_shard_are_refused(frontals: Path) -> None:
    folder = frontals.parent
    draw_shard(frontals, folder / "drawn.parquet", "gfpgan_full", "", lambda: Draw(Network(), Eyes()))
    fewer = tables.read(folder / "drawn.parquet", tables.DRAWN).slice(1)
    tables.write(folder / "drawn.parquet", fewer)
    with pytest.raises(BadInput, match=r"drawn\.parquet: no row for image 'a'"):
        finish_shard(frontals, folder / "drawn.parquet", folder / "out.parquet", "gfpgan_full", "", lambda: load_finisher("gfpgan_full"))
    assert not (folder / "out.parquet").exists()


def test_a_network_without_weights_gives_rows_that_say_so_in_both_tables(frontals: Path) -> None:
    def missing() -> Draw:
        raise WeightsMissing("GFPGANv1.4.pth is not there")

    folder = frontals.parent
    draw_shard(frontals, folder / "drawn.parquet", "gfpgan_full", "", missing)
    counts = finish_shard(
        frontals, folder / "drawn.parquet", folder / "out.parquet", "gfpgan_full", "", lambda: load_finisher("gfpgan_full")
    )
    assert counts == {status.WEIGHTS_MISSING: 3, status.NO_FACE: 1}


@pytest.mark.parametrize("step", ["enhance", "draw"])
def test_decoding_and_packing_beside_a_gpu_give_the_same_rows(step: str, frontals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device stays the CPU; the helpers that a GPU would have are given by hand."""
    finish, packers = finisher(cards.find("enhancement", "gfpgan_full")), set()

    def packing(image: RGB) -> bytes:
        packers.add(threading.current_thread().name.partition("_")[0])
        return encode(image)

    def made(name: str) -> list[dict[str, object]]:
        out, draw = frontals.parent / f"{name}.parquet", Draw(Network(), Eyes())
        if step == "enhance":
            enhance_shard(frontals, out, "gfpgan_full", "", lambda: Restore("gfpgan_full", draw, finish))
            rows = tables.read(out, tables.FRONTALS).to_pylist()
        else:
            draw_shard(frontals, out, "gfpgan_full", "", lambda: draw)
            rows = tables.read(out, tables.DRAWN).to_pylist()
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]

    encode = images.encode_png
    monkeypatch.setattr(images, "encode_png", packing)
    plain = made("plain")
    assert packers == {"MainThread"}
    monkeypatch.setattr(overlap, "helpers", lambda device: ThreadPoolExecutor(2, thread_name_prefix="image"))
    assert made("beside") == plain
    assert packers == {"MainThread", "image"}


def test_the_seconds_of_a_chain_are_those_of_all_its_steps(frontals: Path) -> None:
    from frontalbench.enhance import load_enhancement

    folder = frontals.parent
    enhance_shard(frontals, folder / "sharp.parquet", "sharp", "", lambda: load_enhancement("sharp"))
    enhance_shard(folder / "sharp.parquet", folder / "both.parquet", "sharp+sharp", "", lambda: load_enhancement("sharp"), after="sharp")
    one, both = (tables.read(folder / f"{name}.parquet", tables.FRONTALS).to_pylist()[0] for name in ("sharp", "both"))
    assert both["seconds"] > one["seconds"] > 0
    assert len(tables.provenance(folder / "both.parquet")["earlier_steps"]) == 1


def test_packed_values_come_back_to_an_eighth_of_a_level_and_round_the_same() -> None:
    values = np.random.default_rng(0).uniform(0, 255, (64, 64, 3)).astype(np.float32)
    values[0, :4, 0] = 0.0, 255.0, 0.5, 254.5
    back = unpacked(packed(values))
    assert np.abs(back - values).max() <= 0.126
    assert (np.rint(back) == np.rint(values)).all()


def test_cards_share_a_network_where_only_the_second_step_differs() -> None:
    full, detail = (cards.find("enhancement", name) for name in ("gfpgan_full", "gfpgan_detail"))
    assert networks.network(full) == networks.network(detail) != ""
    assert networks.network(cards.find("enhancement", "sharp")) == ""
    with pytest.raises(BadConfig, match="'sharp' does not work in two steps"):
        load_drawer("sharp")


def test_the_last_step_of_a_chain_works_on_the_shorter_chain() -> None:
    assert parse("mesh.a+b+c").before == "mesh.a+b"
    assert parse("mesh.a").before == "mesh.none"
    steps = Steps(SimpleNamespace(card=cards.find))  # type: ignore[arg-type]
    asked = SimpleNamespace(dataset="d", frontalizer="mesh", enhancement="sharp+gfpgan_detail", shard="0000")
    [drawn] = steps.drawn(asked)
    network = drawn.split("/")[4]
    assert drawn == f"results/drawn/d/mesh.sharp/{network}/0000.parquet"
    assert steps.options(asked, [drawn]) == ["--after sharp", f"--drawn {drawn}"]
    assert steps.card(network) == "gfpgan_full", "whose params are edited least"
    asked.enhancement = "sharp"
    assert (steps.drawn(asked), steps.options(asked, [])) == ([], [])


def test_however_many_jobs_ask_for_the_card_of_a_network_cards_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, look = [], cards.all_cards
    monkeypatch.setattr(cards, "all_cards", lambda kind: looked.append(kind) or look(kind))
    steps = Steps(SimpleNamespace(card=cards.find))  # type: ignore[arg-type]
    network = networks.network(cards.find("enhancement", "gfpgan_full"))
    assert {steps.card(network) for _ in range(100)} == {"gfpgan_full"}
    assert looked == ["enhancement"]
