"""Packs of pairs (lfw.bin and its like): every way in which they were written is read, nothing in them is run, and what is wrong is one line."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import KFold

from frontalbench import images
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.protocols import labelled, packs
from frontalbench.protocols.verification import verify
from frontalbench.stages import packs as work

SAME = [True, False, True, False]
IMAGES = [images.encode_png(np.full((112, 112, 3), 20 * i + 10, np.uint8)) for i in range(8)]
SHAPES: dict[str, Callable[[list[bytes]], Any]] = {
    "list": list,
    "tuple": tuple,
    "bytearrays": lambda images: [bytearray(one) for one in images],
    "arrays": lambda images: [np.frombuffer(one, np.uint8) for one in images],
    "array of objects": lambda images: np.array(images, object),
}
LABELS: dict[str, Callable[[list[bool]], Any]] = {
    "booleans": list,
    "numbers": lambda same: [int(one) for one in same],
    "numpy booleans": lambda same: [np.bool_(one) for one in same],
    "an array": np.array,
}


def written_by_python_2(images: list[bytes], same: list[bool]) -> bytes:
    """Protocol 2 with old byte strings, opcode by opcode, as Python 2's cPickle writes ``(bins, issame_list)``."""
    parts = [b"\x80\x02", b"]("]
    for one in images:
        parts.append(b"U" + bytes([len(one)]) + one if len(one) < 256 else b"T" + struct.pack("<i", len(one)) + one)
    parts += [b"e", b"]("]
    parts += [b"\x88" if one else b"\x89" for one in same]
    return b"".join([*parts, b"e\x86."])


def put(tmp_path: Path, content: bytes, name: str = "cplfw.bin") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_way_of_writing_a_pack_gives_the_same_pairs(tmp_path: Path, protocol: int, shape: str, labels: str) -> None:
    content = pickle.dumps((SHAPES[shape](IMAGES), LABELS[labels](SAME)), protocol=protocol)
    found = packs.read_pack(put(tmp_path, content))
    assert found.images == tuple(IMAGES) and found.same.tolist() == SAME


@pytest.mark.parametrize("images", [IMAGES, [bytes([i, 255, 0, 200]) for i in range(8)]], ids=["long", "short"])
def test_packs_of_python_2_are_read(tmp_path: Path, images: list[bytes]) -> None:
    found = packs.read_pack(put(tmp_path, written_by_python_2(images, SAME)))
    assert found.images == tuple(images) and found.same.tolist() == SAME


class Evil:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.made = (call, arguments)

    def __reduce__(self) -> Any:
        return self.made


@pytest.mark.parametrize("place", ["instead", "image", "label"])
def test_a_pack_with_code_in_it_is_refused_and_nothing_runs(tmp_path: Path, place: str) -> None:
    import os

    trace = tmp_path / "ran"
    evil = Evil(os.system, f"touch {trace}")
    content: Any = {"instead": evil, "image": ([evil, *IMAGES[1:]], SAME), "label": (IMAGES, [evil, *SAME[1:]])}[place]
    with pytest.raises(BadInput, match=r"cplfw.bin: asks for (posix|nt)\.system; a pack holds images and booleans alone") as caught:
        packs.read_pack(put(tmp_path, pickle.dumps(content)))
    assert "\n" not in str(caught.value) and not trace.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty; it was cut off"),
        (b"\x00\x01no pickle", "not a pack of pairs, or cut off"),
        (pickle.dumps((IMAGES, SAME))[:-40], "not a pack of pairs, or cut off"),
        (pickle.dumps((IMAGES, [])), "holds no pairs"),
        (pickle.dumps(([], [])), "holds no pairs"),
        (pickle.dumps((IMAGES[:-1], SAME)), "7 images and 4 labels; expected two images for each label"),
        (pickle.dumps((IMAGES, SAME[:-1])), "8 images and 3 labels"),
        (pickle.dumps((IMAGES, [True, False, 2, True])), "label 2: expected True or False"),
        (pickle.dumps(([*IMAGES[:-1], 5], SAME)), "image 7: expected the bytes of an encoded image, found int"),
        (pickle.dumps(IMAGES), "expected images and labels, two things, found list of 8"),
        (pickle.dumps({"a": 1}), "expected images and labels"),
        (pickle.dumps((IMAGES, np.array([1.5, 1, 0, 0]))), "holds numpy values of type 'f8'"),
        (pickle.dumps((IMAGES, Evil(np.load, "x"))), "asks for numpy"),
        (b"\x80\x02cnumpy\nload\n.", "asks for numpy.load"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "refers to something outside of the file"),
    ],
)
def test_what_is_no_pack_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=r"cplfw\.bin") as caught:
        packs.read_pack(put(tmp_path, content))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_pack_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing\.bin: not there"):
        packs.read_pack(tmp_path / "nothing.bin")
    with pytest.raises(BadInput, match="a folder"):
        packs.read_pack(tmp_path)


@pytest.mark.parametrize("n", [20, 600, 607])
def test_folds_are_ten_runs_in_file_order_as_published_accuracies_have_them(n: int) -> None:
    same = np.arange(n) % 2 == 0
    fold = packs.tenths(same)
    for k, (_, held) in enumerate(KFold(10).split(same)):
        assert np.flatnonzero(fold == k).tolist() == held.tolist()


def test_a_list_with_one_kind_first_still_has_both_kinds_in_every_fold() -> None:
    same = np.repeat([True, False], 30)
    fold = packs.tenths(same)
    assert all((fold[same] == k).sum() == 3 and (fold[~same] == k).sum() == 3 for k in range(10))


class Grey:
    """A backbone that sees the grey level, and the side on which an image is bright."""

    name, dimension = "grey", 3

    takes_points = False

    def embed(self, crops: RGB, points: object = None) -> np.ndarray:
        level = crops.mean(axis=(1, 2, 3)) / 255
        side = crops[:, :, :56].mean(axis=(1, 2, 3)) / 255 - level
        return np.stack([level, 1 - level, side], axis=1).astype(np.float32)


def made(n: int = 40) -> packs.Pack:
    rng = np.random.default_rng(0)
    encoded = []
    same = np.arange(n) % 2 == 0
    for one in same:
        first = rng.integers(20, 200)
        second = first if one else (first + 110) % 235
        for level in (first, second):
            image = np.full((112, 112, 3), level, np.int64) + rng.integers(-4, 5, (112, 112, 1))
            encoded.append(images.encode_png(image.clip(0, 255).astype(np.uint8)))
    return packs.Pack(Path("made.bin"), tuple(encoded), same)


def test_accuracy_on_a_pack_is_that_of_its_scores_over_ten_folds() -> None:
    pack = made()
    result, broken = work.accuracy(pack, Grey())
    vectors = Grey().embed(np.stack([images.decode(one) for one in pack.images])).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = (vectors[::2] * vectors[1::2]).sum(axis=1)
    assert result.accuracy == verify(scores, pack.same, packs.tenths(pack.same)).accuracy and not broken
    assert result.pairs == 40 and len(result.by_fold) == 10


def test_flipping_adds_the_mirrored_embedding() -> None:
    image = np.zeros((112, 112, 3), np.uint8)
    image[:, :56] = 200
    pack = packs.Pack(Path("x.bin"), (images.encode_png(image), images.encode_png(image[:, ::-1])), np.array([True]))
    plain, _ = work.embed(pack, Grey())
    flipped, _ = work.embed(pack, Grey(), flip=True)
    assert plain[0] @ plain[1] < 0.9 and flipped[0] @ flipped[1] == pytest.approx(1.0)


def test_an_image_that_cannot_be_decoded_is_named_and_its_pair_is_decided_different() -> None:
    pack = made()
    broken_pack = packs.Pack(pack.path, (b"no image", *pack.images[1:]), pack.same)
    result, broken = work.accuracy(broken_pack, Grey())
    assert len(broken) == 1 and broken[0].startswith("image 0: ") and result.missing == 1 and result.pairs == 40


def test_a_pack_becomes_a_folder_and_its_list_gives_the_same_pairs(tmp_path: Path) -> None:
    pack = made()
    work.unpack(pack, tmp_path / "out")
    pairs = labelled.read_pairs(labelled.find_list(tmp_path / "out", "list"))
    assert [(pair.first, pair.second, pair.same, pair.fold) for pair in pairs] == [
        (f"{2 * i:05d}.png", f"{2 * i + 1:05d}.png", pair.same, pair.fold) for i, pair in enumerate(pack.pairs())
    ]
    assert (tmp_path / "out" / "00003.png").read_bytes() == pack.images[3]
    work.unpack(pack, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(BadInput, match=r"mine\.txt"):
        work.unpack(pack, tmp_path / "out")


def test_the_command_refuses_a_bad_pack_in_one_line(tmp_path: Path, project_root: Path) -> None:
    put(tmp_path, pickle.dumps((IMAGES, SAME[:-1])), "lfw.bin")
    script = project_root / "workflow" / "scripts" / "unpack_pairs.py"
    done = subprocess.run([sys.executable, script, "lfw.bin", "--out", "out"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "error: lfw.bin: 8 images and 3 labels; expected two images for each label\n"
    assert not (tmp_path / "out").exists()


# Lists ----------------------------------------------------------------------------------------------------------------------


def test_the_two_lines_of_cplfw_are_one_pair(tmp_path: Path) -> None:
    (tmp_path / "pairs_CPLFW.txt").write_text("Ann_1.jpg 1\r\nAnn_2.jpg 1\r\nAnn_1.jpg 0\r\nBob_1.jpg 0\r\n")
    pairs = labelled.read_pairs(labelled.find_list(tmp_path, "cplfw"))
    assert [(pair.first, pair.second, pair.same) for pair in pairs] == [("Ann_1.jpg", "Ann_2.jpg", True), ("Ann_1.jpg", "Bob_1.jpg", False)]


def test_plain_lists_have_a_pair_per_line(tmp_path: Path) -> None:
    (tmp_path / "agedb_30_pair.txt").write_text("0.jpg 1.jpg 1\n2.jpg 3.jpg -1\n")
    pairs = labelled.read_pairs(labelled.find_list(tmp_path, "agedb-30"))
    assert [pair.same for pair in pairs] == [True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no pairs"),
        ("a.jpg 1\nb.jpg 1\nc.jpg 1\n", "3 lines; expected two for each pair"),
        ("a.jpg 1\nb.jpg 0\n", "lines 1 and 2: the labels of one pair differ"),
        ("a.jpg 1\nb.jpg 3\n", "line 2: expected 1 .one person. or 0 at its end, got '3'"),
        ("a.jpg 1\nb.jpg 1 1\n", "line 2: expected 'image label'"),
        ("a.jpg b.jpg 1\na.jpg b.jpg\n", "line 2: expected 'image image label'"),
        ("a.jpg b.jpg 1", "does not end with a line break"),
    ],
)
def test_a_damaged_list_is_one_line_with_its_number(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(BadInput, match=said):
        labelled.read_pairs(tmp_path / "pairs.txt")


def test_a_list_that_is_not_there_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"pairs_CPLFW.txt: not there .*it comes with the dataset"):
        labelled.find_list(tmp_path, "cplfw")
