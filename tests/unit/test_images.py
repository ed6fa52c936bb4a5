"""Every kind of image that people have becomes upright RGB, and everything else is refused with a reason."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from frontalbench import images
from frontalbench.errors import Unreadable


def _image(width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth image whose four corners differ, so that turning and flipping show."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)], axis=-1).astype(np.uint8)


def _bytes(image: Image.Image, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


@pytest.mark.parametrize(("name", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("PPM", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_come_back_exactly(name: str, options: dict[str, object]) -> None:
    image = _image()
    assert np.array_equal(images.decode(_bytes(Image.fromarray(image), name, **options)), image)


def test_the_fast_jpeg_road_gives_what_pillow_gives() -> None:
    data = _bytes(Image.fromarray(_image(250, 250)), "JPEG", quality=90)
    fast = images.decode(data)
    slow = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert fast.shape == slow.shape
    assert np.abs(fast.astype(int) - slow).max() <= 4  # two builds of libjpeg-turbo may round differently


@pytest.mark.parametrize("options", [{"keep_rgb": True}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}])
def test_jpeg_files_of_all_kinds_give_what_pillow_gives(options: dict[str, object]) -> None:
    data = _bytes(Image.fromarray(_image(250, 250)), "JPEG", quality=90, **options)
    assert np.abs(images.decode(data).astype(int) - np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    image = _image()
    turned = Image.fromarray(image)
    # The stored pixels are the upright image with the inverse of the tag's transform.
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    if orientation in inverse:
        turned = turned.transpose(inverse[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = images.decode(_bytes(turned, "JPEG", quality=98, exif=exif))
    assert upright.shape == image.shape
    assert np.abs(upright.astype(int) - image).mean() < 3


def test_greyscale_palette_and_16_bit_become_rgb() -> None:
    grey = _image()[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=-1)
    assert np.array_equal(images.decode(_bytes(Image.fromarray(grey), "PNG")), expected)
    wide = grey.astype(np.uint16) * 257
    assert np.array_equal(images.decode(_bytes(Image.fromarray(wide), "PNG")), expected)
    palette = Image.fromarray(_image()).quantize(256)
    assert np.array_equal(images.decode(_bytes(palette, "GIF")), np.asarray(palette.convert("RGB")))


def test_a_dark_16_bit_image_stays_dark() -> None:
    dark = np.full((8, 8), 5000, np.uint16)
    assert images.decode(_bytes(Image.fromarray(dark), "PNG")).max() == round(5000 / 257)


def test_transparency_is_laid_on_mid_grey() -> None:
    layered = np.zeros((8, 8, 4), np.uint8)
    layered[:, 4:] = (200, 10, 10, 255)
    decoded = images.decode(_bytes(Image.fromarray(layered), "PNG"))
    assert (decoded[:, :4] == 128).all()
    assert (decoded[:, 4:] == (200, 10, 10)).all()


def test_cmyk_jpeg_keeps_its_colours() -> None:
    image = Image.fromarray(_image())
    decoded = images.decode(_bytes(image.convert("CMYK"), "JPEG", quality=98))
    assert np.abs(decoded.astype(int) - np.asarray(image)).mean() < 6


def test_an_animation_gives_its_first_frame() -> None:
    first, second = Image.fromarray(_image()), Image.fromarray(255 - _image())
    decoded = images.decode(_bytes(first.quantize(64), "GIF", save_all=True, append_images=[second.quantize(64)]))
    assert np.abs(decoded.astype(int) - _image()).mean() < 15


def test_a_huge_image_is_scaled_down_not_refused() -> None:
    data = _bytes(Image.new("L", (12000, 9000), 90), "JPEG", quality=30)
    decoded = images.decode(data)
    assert max(decoded.shape) <= images.MAX_SIDE
    assert abs(decoded.shape[1] / decoded.shape[0] - 12 / 9) < 0.01


def test_an_image_of_one_pixel_is_an_image() -> None:
    assert images.decode(_bytes(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


def test_a_decompression_bomb_is_refused_before_it_unfolds() -> None:
    png = bytearray(_bytes(Image.new("L", (1, 1)), "PNG"))
    png[16:24] = (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big")
    import zlib

    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
    with pytest.raises(Unreadable, match=r"60000|large|pixels"):
        images.decode(bytes(png))


@pytest.mark.parametrize(
    "data", [b"", b"not an image at all", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"%PDF-1.4", b"\x00" * 4096]
)
def test_what_is_no_image_is_refused_with_one_line(data: bytes) -> None:
    with pytest.raises(Unreadable) as error:
        images.decode(data)
    assert str(error.value)
    assert "\n" not in str(error.value)
    assert "0x" not in str(error.value)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_truncated_files_are_refused_not_half_decoded(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 120, 3), np.uint8)
    data = _bytes(Image.fromarray(noise), name)
    for part in (0.05, 0.3, 0.6, 0.9):
        with pytest.raises(Unreadable):
            images.decode(data[: int(len(data) * part)])


@settings(max_examples=60, deadline=None)
@given(
    st.binary(min_size=0, max_size=400),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP", b"BM", b"II*\x00"]),
)
def test_random_bytes_never_escape_as_another_error(tail: bytes, magic: bytes) -> None:
    try:
        decoded = images.decode(magic + tail)
    except Unreadable:
        return
    assert decoded.dtype == np.uint8
    assert decoded.ndim == 3


def test_png_round_trip_is_lossless_and_wrong_arrays_are_refused() -> None:
    image = _image()
    assert np.array_equal(images.decode(images.encode_png(image)), image)
    with pytest.raises(ValueError, match="uint8"):
        images.encode_png(image.astype(np.float32))  # type: ignore[arg-type]


def _deep_colours(values: np.ndarray, name: str) -> bytes:
    """A file of 16-bit colours, which Pillow cannot write."""
    import cv2

    done, coded = cv2.imencode(f".{name.lower()}", cv2.cvtColor(values, cv2.COLOR_RGB2BGR))
    assert done
    return bytes(coded.tobytes())


def _grey_file(values: np.ndarray, name: str = "TIFF") -> bytes:
    return _bytes(Image.fromarray(values), name)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(_image()[..., 0].astype(np.float32) / 255, id="floats from 0 to 1"),
        pytest.param(_image()[..., 0].astype(np.float32), id="floats from 0 to 255"),
        pytest.param(_image()[..., 0].astype(np.int32), id="32-bit integers of 8 bits"),
        pytest.param(_image()[..., 0].astype(np.int32) * 257, id="32-bit integers of 16 bits"),
        pytest.param(_image()[..., 0].astype(np.uint16) * 257, id="16 bits"),
        pytest.param(_image()[..., 0].astype(np.uint16), id="8 bits in 16"),
    ],
)
def test_number_types_with_a_plain_range_give_the_same_image(values: np.ndarray) -> None:
    grey = _image()[..., 0]
    decoded, note = images.decode_with_note(_grey_file(values))
    assert np.abs(decoded[..., 0].astype(int) - grey).max() <= 1
    assert note == ""


def test_floats_that_resampling_took_a_little_beyond_black_and_white_are_clipped() -> None:
    values = _image()[..., 0].astype(np.float32) / 255
    values[0, 0], values[-1, -1] = -0.03, 1.04
    decoded = images.decode(_grey_file(values))
    assert decoded[0, 0, 0] == 0
    assert decoded[-1, -1, 0] == 255


@pytest.mark.parametrize(
    ("values", "range_in_words"),
    [
        (np.linspace(-1, 1, 64, dtype=np.float32), "floating-point values from -1 to 1: expected 0 to 1 or 0 to 255"),
        (np.linspace(0, 4, 64, dtype=np.float32), "floating-point values from 0 to 4: expected"),
        (np.linspace(0, 65535, 64, dtype=np.float32), "floating-point values from 0 to 65535: expected"),
        (np.linspace(0, 4_000_000, 64).astype(np.int32), "whole-number values from 0 to 4e\\+06: expected 0 to 255 or 0 to 65535"),
        (np.linspace(-300, 300, 64).astype(np.int32), "whole-number values from -300 to 300: expected"),
        (np.array([0.5] * 63 + [np.nan], np.float32), "no finite numbers"),
    ],
)
def test_number_types_whose_white_is_unknown_are_refused_with_their_range(values: np.ndarray, range_in_words: str) -> None:
    with pytest.raises(Unreadable, match=range_in_words):
        images.decode(_grey_file(values.reshape(8, 8)))


@pytest.mark.parametrize(("bits", "factor"), [(10, 4), (12, 16)])
@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_the_low_bits_of_a_16_bit_file_are_scaled_up_and_said(bits: int, factor: int, colours: bool, name: str) -> None:
    image = _image() if colours else _image()[..., 0]
    deep = image.astype(np.uint16) * factor + factor // 2
    coded = _deep_colours(deep, name) if colours else _grey_file(deep, name)
    decoded, note = images.decode_with_note(coded)
    expected = image if colours else np.repeat(image[..., None], 3, axis=-1)
    assert np.abs(decoded.astype(int) - expected).max() <= 1
    assert f"taken as {bits} bits in a 16-bit file" in note


def test_a_16_bit_image_in_its_lower_half_keeps_its_brightness_and_is_noted() -> None:
    values = _image()[..., 0].astype(np.uint16) * 64
    decoded, note = images.decode_with_note(_grey_file(values, "PNG"))
    assert np.abs(decoded[..., 0].astype(int) - _image()[..., 0] // 4).max() <= 1
    assert "of which the upper 2 are not used" in note


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_a_deep_image_keeps_its_orientation_tag(kind: str) -> None:
    image = _image()[..., 0].astype(np.uint16) * 16
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind == "grey":
        coded = _bytes(Image.fromarray(image), "PNG", exif=exif)
    else:
        coded = _with_png_chunk(_deep_colours(np.dstack([image] * 3), "PNG"), b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    assert images.decode(coded).shape[:2] == image.shape[::-1]


def _with_png_chunk(png: bytes, name: bytes, content: bytes) -> bytes:
    import zlib

    chunk = len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")
    return png[:33] + chunk + png[33:]


def _with_jpeg_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    return jpeg[:2] + bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


XMP = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='{toolkit}'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description {names} {attribute}>{element}</rdf:Description></rdf:RDF></x:xmpmeta>"
)
NAMES = "xmlns:tiff='http://ns.adobe.com/tiff/1.0/'"
WAYS = [
    {"attribute": 'tiff:Orientation="6"', "element": ""},
    {"attribute": "tiff:Orientation='6'", "element": ""},
    {"attribute": "", "element": "<tiff:Orientation>6</tiff:Orientation>"},
    {"attribute": "", "element": "<tiff:Orientation rdf:datatype='http://www.w3.org/2001/XMLSchema#integer'>6</tiff:Orientation>"},
    {"names": "xmlns:t = 'http://ns.adobe.com/tiff/1.0/'", "attribute": "t:Orientation='6'", "element": ""},
]


@pytest.mark.parametrize("toolkit", ["Adobe XMP Core 5.6", "Image::ExifTool 12.40", "XMP Core 6.0.0"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("late", [False, True])
def test_an_orientation_that_stands_only_in_xmp_is_obeyed_whatever_program_wrote_it(toolkit: str, way: dict[str, str], late: bool) -> None:
    text = b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(**{"toolkit": toolkit, "names": NAMES, **way}).encode()
    data = _with_jpeg_segment(_bytes(Image.fromarray(_image()), "JPEG"), 0xE1, text)
    if late:  # behind 90 KB of other segments, where a camera's preview or a long colour profile lies
        for _ in range(3):
            data = _with_jpeg_segment(data, 0xED, b"x" * 30000)
    assert images.decode(data).shape == (64, 48, 3)


def test_exif_is_believed_before_xmp() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = _bytes(Image.fromarray(_image()), "JPEG", exif=exif)
    text = b"http://ns.adobe.com/xap/1.0/\0" + XMP.format(toolkit="", names=NAMES, **WAYS[0]).encode()
    assert images.decode(_with_jpeg_segment(data, 0xE1, text)).shape == (48, 64, 3)


def test_a_tiff_of_a_number_type_that_is_not_read_says_what_to_do() -> None:
    import cv2

    done, coded = cv2.imencode(".tiff", _image().astype(np.float32))
    assert done
    with pytest.raises(Unreadable, match=r"number type.*8 bits"):
        images.decode(coded.tobytes())


def _tiff(values: np.ndarray, *, white_is_zero: bool = False, planes: bool = False) -> bytes:
    """An uncompressed little-endian TIFF of ``values`` (H, W) or (H, W, C), as Pillow and OpenCV cannot write it; C 4: with opacity."""
    height, width, channels = (*values.shape, 1)[:3]
    kinds = {"u": 1, "i": 2, "f": 3}
    each = values.dtype.itemsize * height * width * (1 if planes else channels)
    parts = channels if planes else 1
    entries = {
        256: [width],
        257: [height],
        258: [values.dtype.itemsize * 8] * channels,
        259: [1],
        262: [(0 if white_is_zero else 1) if channels == 1 else 2],
        273: [8 + each * part for part in range(parts)],
        277: [channels],
        278: [height],
        279: [each] * parts,
        284: [2 if planes else 1],
        339: [kinds[values.dtype.kind]] * channels,
    } | ({338: [2]} if channels == 4 else {})
    pixels = (np.moveaxis(values, -1, 0) if planes else values).tobytes()
    start = 8 + len(pixels)
    behind = start + 2 + 12 * len(entries) + 4
    table, more = len(entries).to_bytes(2, "little"), b""
    for tag, numbers in sorted(entries.items()):
        coded = np.array(numbers, "<u4").tobytes()
        table += tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + len(numbers).to_bytes(4, "little")
        if len(numbers) == 1:
            table += coded
        else:
            table += (behind + len(more)).to_bytes(4, "little")
            more += coded
    return b"II*\0" + start.to_bytes(4, "little") + pixels + table + bytes(4) + more


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_a_tiff_whose_zero_is_white_is_no_negative_whatever_its_number_type(kind: type[object], white_is_zero: bool) -> None:
    grey = _image()[..., 0]
    stored = (255 - grey) if white_is_zero else grey
    scaled = {np.uint8: stored, np.uint16: stored.astype(np.uint16) * 257, np.float32: stored.astype(np.float32) / 255}[kind]
    decoded = images.decode(_tiff(scaled, white_is_zero=white_is_zero))
    assert np.abs(decoded[..., 0].astype(int) - grey).max() <= 1


def test_colours_in_separate_planes_are_read_with_8_bits_and_refused_with_16() -> None:
    image = _image()
    np.testing.assert_array_equal(images.decode(_tiff(image, planes=True)), image)
    with pytest.raises(Unreadable, match=r"separate planes of 16 bits; save the image with 8 bits"):
        images.decode(_tiff(image.astype(np.uint16) * 257, planes=True))


def test_low_bits_of_a_16_bit_ppm_are_scaled_up_where_its_header_says_16() -> None:
    image = _image()

    def ppm(highest: int, factor: int) -> bytes:
        return b"P6 64 48 %d\n" % highest + (image.astype(np.uint16) * factor).astype(">u2").tobytes()

    decoded, note = images.decode_with_note(ppm(65535, 16))
    assert np.abs(decoded.astype(int) - image).max() <= 1
    assert "taken as 12 bits in a 16-bit file" in note
    for highest, factor in ((65535, 257), (4095, 16), (1023, 4)):  # the header says what white is: no guess, no note
        decoded, note = images.decode_with_note(ppm(highest, factor))
        assert np.abs(decoded.astype(int) - image).max() <= 2
        assert note == ""


def test_opacity_of_12_bits_in_16_is_opacity_of_12_bits() -> None:
    image = _image()
    opaque = np.full((*image.shape[:2], 1), 4095, np.uint16)
    decoded = images.decode(_tiff(np.concatenate([image.astype(np.uint16) * 16, opaque], axis=-1)))
    assert np.abs(decoded.astype(int) - image).max() <= 1


DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


def _face(mode: str) -> Image.Image:
    return Image.open(next(iter(sorted(DEMO.rglob("*.jpg"))))).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("damage", "share"), [("zeros", 0.75), ("lost", 0.9)])
def test_a_jpeg_damaged_in_the_middle_is_refused_though_its_end_is_there(mode: str, progressive: bool, damage: str, share: float) -> None:
    whole = _bytes(_face(mode), "JPEG", quality=90, progressive=progressive)
    assert not images.decode_with_note(whole).note
    found, places = 0, range(whole.index(b"\xff\xda") + 14, len(whole) - 1024, len(whole) // 20)
    for place in places:
        data = whole[:place] + (bytes(512) if damage == "zeros" else b"") + whole[place + 512 :]
        try:
            images.decode(data)
        except Unreadable as error:
            assert "damaged JPEG data (" in str(error) or "broken data stream" in str(error), error
            found += 1
    assert found >= share * len(places)  # what fits together by luck is a JPEG file like any other: docs/traps.md


def test_a_damaged_jpeg_with_an_orientation_is_refused_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(_bytes(_face("RGB"), "JPEG", quality=90, exif=exif))
    del data[len(data) // 2 : len(data) // 2 + 512]
    with pytest.raises(Unreadable, match="damaged JPEG data"):
        images.decode(bytes(data))


def test_padding_before_the_end_marker_of_a_jpeg_is_no_damage() -> None:
    data = _bytes(_face("RGB"), "JPEG", quality=90)
    for filler in (b"\x00", b"\xff"):
        made = images.decode_with_note(data[:-2] + filler * 37 + data[-2:])
        assert np.array_equal(made.pixels, images.decode(data))
        assert made.note in ("", "padding before the end marker")


def test_an_odd_revision_in_a_jpeg_header_is_a_note_not_a_refusal() -> None:
    data = bytearray(_bytes(_face("RGB"), "JPEG", quality=90))
    assert data[6:10] == b"JFIF"
    data[11] = 3
    made = images.decode_with_note(bytes(data))
    assert made.note.startswith("libjpeg says: ")
    assert np.array_equal(made.pixels, images.decode(_bytes(_face("RGB"), "JPEG", quality=90)))


def test_a_jpeg_without_its_end_marker_but_with_all_its_data_is_whole() -> None:
    data = _bytes(_face("RGB"), "JPEG", quality=90)
    assert np.array_equal(images.decode(data + b"\n" * 5000), images.decode(data))


def test_bytes_with_a_sign_are_no_bright_values() -> None:
    values = (np.arange(64 * 64).reshape(64, 64) % 100 - 50).astype(np.int8)
    out = io.BytesIO()
    tifffile.imwrite(out, values, photometric="minisblack")
    with pytest.raises(Unreadable, match="whole-number values from -50 to 49"):
        images.decode(out.getvalue())
    out = io.BytesIO()
    tifffile.imwrite(out, np.abs(values), photometric="minisblack")
    assert np.array_equal(images.decode(out.getvalue())[..., 0], np.abs(values))
