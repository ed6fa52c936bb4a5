"""A zoo of bad images: every one becomes a row with a status, none an error, a hang or a hole in the table."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from frontalbench import datasets, status, tables
from frontalbench.catalogue import cards
from frontalbench.detect import load_detector
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.prepare import prepare_shard
from tests.project import DEMO

FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "tif": "TIFF", "webp": "WEBP", "ppm": "PPM", "avif": "AVIF"}
CUTS = (0, 1, 2, 3, 8, 25, 100, 0.3, 0.6, 0.95)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises any size, with next to nothing behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def zoo() -> Iterator[tuple[str, bytes]]:
    """(file name, bytes) of more than a hundred images that something is wrong with."""
    face = Image.open(next(DEMO.glob("*/GT/*.jpg"))).convert("RGB").resize((160, 160))
    rng = random.Random(0)
    for ending, kind in FORMATS.items():
        data = saved(face, kind)
        for cut in CUTS:
            end = int(len(data) * cut) if isinstance(cut, float) else cut
            yield f"cut {cut} of.{ending}", data[:end]
        other = "png" if ending != "png" else "jpg"
        yield f"{ending} called {other}.{other}", data
        turned = bytearray(data)
        for _ in range(20):
            turned[rng.randrange(len(turned))] ^= 1 << rng.randrange(8)
        yield f"bits turned.{ending}", bytes(turned)
        yield f"noise.{ending}", rng.randbytes(3000)
        yield f"with a tail.{ending}", data + rng.randbytes(500)
    for width, height in ((2**31 - 1, 2**31 - 1), (65_000, 65_000), (1, 2**31 - 1), (0, 10), (150_001, 1000), (30_000, 30_000)):
        yield f"promises {width} x {height}.png", png_of(width, height)
    for position in (6, 7, 8, 14, 20, 30, 60):
        exif = Image.Exif()
        exif[0x0112] = rng.choice([0, 9, 255, 65535])
        nonsense = bytearray(exif.tobytes())
        nonsense[position % len(nonsense)] = 0xFF
        yield f"exif nonsense {position}.jpg", saved(face, "JPEG", exif=bytes(nonsense))
    bomb = io.BytesIO()
    Image.new("L", (20_000, 20_000)).save(bomb, "PNG")
    yield "bomb.png", bomb.getvalue()


@pytest.fixture(scope="module")
def loaded(weight: Callable[..., Path]) -> object:
    weight("detector", "scrfd_500m")
    return load_detector(cards.find("detector", "scrfd_500m"))


def test_a_hundred_bad_images_are_a_hundred_rows(tmp_path: Path, loaded: object) -> None:
    root = tmp_path / "pictures" / "somebody"
    root.mkdir(parents=True)
    animals = dict(zoo())
    for name, data in animals.items():
        (root / name).write_bytes(data)
    assert len(animals) >= 100
    images, crops = tmp_path / "images.parquet", tmp_path / "crops.parquet"
    card = datasets.find("folder").with_options({"root": str(root.parent), "shards": 1})
    prepare_shard(card, None, "0000", images)
    detect_shard(images, crops, cards.find("detector", "scrfd_500m"), lambda: loaded, threads=2)  # type: ignore[arg-type,return-value]
    rows = tables.read(crops, tables.CROPS).to_pylist()
    assert {Path(row["image_id"]).name for row in rows} == set(animals)
    words = {Path(row["image_id"]).name: row["status"] for row in rows}
    assert set(words.values()) <= {status.OK, status.NO_FACE, status.UNREADABLE}
    assert all(row["detail"] and "\n" not in row["detail"] for row in rows if row["status"] != status.OK)
    assert all((row["image"] is not None) == (row["status"] == status.OK) for row in rows)
    # What is whole is read, whatever it is called or has behind it; what is cut or promises too much is not.
    for ending in FORMATS:
        assert words[f"with a tail.{ending}"] == status.OK, ending
        assert words[f"cut 25 of.{ending}"] == status.UNREADABLE, ending
        assert words[f"noise.{ending}"] == status.UNREADABLE, ending
    assert words["bomb.png"] == words["promises 65000 x 65000.png"] == status.UNREADABLE
