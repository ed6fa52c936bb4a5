"""Image bytes to RGB arrays and back.

Everything inside Frontalbench is ``uint8 (H, W, 3)`` RGB, upright. :func:`decode` takes what people really have: an orientation tag (EXIF, or XMP
where EXIF has none), greyscale, palettes, transparency, 10 to 16 bits, floating point, CMYK, animations (first frame), wrong file names. It refuses,
with :class:`~frontalbench.errors.Unreadable`, what is empty, truncated, not an image, of values whose range says not how bright they are, or so
large that decoding it would exhaust memory. A JPEG file whose data do not fit together is refused, too: other readers show it with wrong colours, or
grey from the damaged place on, and say nothing.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, ImageFile, UnidentifiedImageError

from frontalbench.errors import Unreadable, raise_if_memory_ran_out
from frontalbench.types import UInt8

RGB = npt.NDArray[np.uint8]
"""``uint8 (H, W, 3)``, red first."""

MAX_PIXELS = 150_000_000
"""Decoding stops above this many pixels (12,000 x 9,000 is 108 million and must pass)."""
MAX_SIDE = 4096
"""Longer sides are scaled down to this: no face model here gains from more."""

ImageFile.LOAD_TRUNCATED_IMAGES = False
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")
EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm", ".avif"}
)
"""File names that a folder scan takes for images (content decides in the end, not the name)."""
UNREADABLE_EXTENSIONS = frozenset(
    {
        ".heic",
        ".heif",
        ".jxl",
        ".jp2",
        ".j2k",
        ".psd",
        ".svg",
        ".raw",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".orf",
        ".raf",
        ".rw2",
        ".exr",
        ".hdr",
    }
)
"""Names of images that nothing here reads: a scan names them and says what to do, instead of counting them as "other files"."""


class Decoded(NamedTuple):
    """``pixels`` uint8 (H, W, 3) RGB, and what a person should know of how they came about: one line, "" for an ordinary file."""

    pixels: RGB
    note: str = ""


def decode(data: bytes, *, max_side: int = MAX_SIDE) -> RGB:
    """Decode image bytes to upright RGB.

    Transparency is laid on mid grey (128); values of more than 8 bits are scaled to 8 (:func:`to_bytes`); the first frame of an animation is taken;
    the longer side is at most ``max_side``. Raises :class:`Unreadable` with the reason.
    """
    return decode_with_note(data, max_side=max_side).pixels


def decode_with_note(data: bytes, *, max_side: int = MAX_SIDE) -> Decoded:
    """:func:`decode`, and a line where the file does not say plainly how bright its values are meant. Raises :class:`Unreadable`."""
    if not data:
        raise Unreadable("empty file")
    if data[:3] == _JPEG:
        found = _decode_plain_jpeg(data, max_side)
        if found is not None:
            return found
    return _decode_with_pillow(data, max_side)


_SLACK: Final = 0.05
"""Resampling in floating point overshoots black and white by this share at most."""


def to_bytes(values: npt.NDArray[Any]) -> tuple[UInt8, str]:
    """Values of more than 8 bits, any shape, as bytes, and a note where not all bits are used.

    Whole numbers up to 255 stay; up to 1,023 and 4,095 they are values of 10 and 12 bits in a wider file, above that of 16 bits (an image whose
    brightest point has a sixteenth of full brightness shows nothing, so no image of 16 bits ends there). Floating point is 0..1 or 0..255.
    Raises :class:`Unreadable` with the range for anything else: what white is cannot be known.
    """
    if not np.isfinite(values).all():
        raise Unreadable("holds values that are no finite numbers; save the image with 8 bits")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    whole = np.issubdtype(values.dtype, np.integer)
    tops = (255, 1023, 4095, 65535) if whole else (1, 255)
    slack = 0.0 if whole else _SLACK
    for top in tops:
        if -slack * top <= low and high <= top * (1 + slack):
            break
    else:
        raise Unreadable(_strange_range(low, high, whole=whole))
    if not whole and top == 255 and high < 8:
        raise Unreadable(_strange_range(low, high, whole=False))
    note = ""
    if whole and top > 255:
        used = int(high).bit_length()
        if top < 65535:
            note = f"values up to {high:.0f} only: taken as {top.bit_length()} bits in a 16-bit file"
        elif used < 16:
            note = f"values up to {high:.0f} of 65535: taken as 16 bits, of which the upper {16 - used} are not used"
    scaled = np.clip(np.rint(values.astype(np.float64) * (255.0 / top)), 0, 255).astype(np.uint8)
    return scaled, note


def _strange_range(low: float, high: float, *, whole: bool) -> str:
    kind, expected = ("whole-number", "0 to 255 or 0 to 65535") if whole else ("floating-point", "0 to 1 or 0 to 255")
    return f"{kind} values from {low:.6g} to {high:.6g}: expected {expected}; save the image with 8 bits"


_JPEG: Final = b"\xff\xd8\xff"
_END: Final = b"\xff\xd9"
"""Marks the end of a JPEG file."""


def _decode_plain_jpeg(data: bytes, max_side: int) -> Decoded | None:
    """The fast road for ordinary JPEG files (libjpeg-turbo, as Pillow's, but with its warnings); None: take the general one, which has the words for
    what is wrong. Raises :class:`Unreadable` for damaged data.
    """
    if _END not in data[-4096:]:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
            if header.mode != "RGB" or max(header.size) > max_side or min(header.size) < 1:
                return None
            turn = None
            if not _MAY_TURN.isdisjoint(header.info):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    turn = _TURNS.get(_orientation(header))
    except Exception as error:  # noqa: BLE001 - whatever a header's parts make Pillow raise: the general road says it
        raise_if_memory_ran_out(error)
        return None
    note = ""
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError as error:
        note = _complaint(str(error), data)
        try:
            pixels = simplejpeg.decode_jpeg(data, "RGB", strict=False)
        except ValueError:
            return None
    if turn is not None:
        pixels = np.ascontiguousarray(np.asarray(Image.fromarray(pixels).transpose(turn)))
    return Decoded(pixels, note)


_MAY_TURN: Final = frozenset({"exif", "xmp"})
"""Parts of a JPEG file that may say how the image is turned."""
_DAMAGE: Final = ("Corrupt JPEG data", "Premature end of JPEG file")
"""How libjpeg's warnings begin that tell of lost or changed data; others tell of odd headers."""
_EXTRANEOUS: Final = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")


def _complaint(said: str, data: bytes) -> str:
    """A note for what libjpeg warned of; raises :class:`Unreadable` where it tells of damage, so that wrong pixels are no image.

    Some cameras fill up the data before the end marker with one byte over and over: that is no damage.
    """
    if not said.startswith(_DAMAGE):
        return f"libjpeg says: {said}" if _is_warning(said) else ""
    extra = _EXTRANEOUS.match(said)
    if extra is not None:
        filled = data[: data.rfind(_END)][-int(extra[1]) :]
        if len(set(filled)) <= 1:
            return "padding before the end marker"
    what = said.removeprefix("Corrupt JPEG data: ")
    raise Unreadable(f"damaged JPEG data ({what}): from there on the image is not what it was; get the file again")


def _is_warning(said: str) -> bool:
    return said.startswith(("Warning", "Inconsistent", "Invalid SOS", "Unknown Adobe"))


def _refuse_damaged_jpeg(data: bytes, mode: str) -> str:
    """The same for the general road, whose decoder hides warnings: the data are read once more, at an eighth of the size. Returns a note."""
    whole = data if _END in data[-4096:] else data + _END  # a missing end marker alone loses nothing, and Pillow knows what is cut off
    try:
        simplejpeg.decode_jpeg(whole, "CMYK" if mode == "CMYK" else "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        return _complaint(str(error), whole)
    return ""


def _decode_with_pillow(data: bytes, max_side: int) -> Decoded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unreadable(f"{image.width} x {image.height} pixels: more than {MAX_PIXELS:,}")
                is_jpeg = image.format in ("JPEG", "MPO")
                if is_jpeg:
                    image.draft("RGB", (max_side, max_side))
                deep = _deep_colours(image)
                image.load()
                shallow, note = _of_depth_8(image, data if deep else None)
                if is_jpeg:
                    note = _refuse_damaged_jpeg(data, image.mode)
                turn = _TURNS.get(_orientation(image))
                upright = shallow if turn is None else shallow.transpose(turn)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"too large: {error}") from error
    except Exception as error:
        raise_if_memory_ran_out(error)
        if isinstance(error, UnidentifiedImageError) and data[:4] in (b"II*\0", b"MM\0*"):
            raise Unreadable("a TIFF of a number type or layout that is not read here; save the image with 8 bits") from error
        raise Unreadable(_one_line(error)) from error
    return Decoded(_to_rgb(upright, max_side), note)


_DEEP_COLOUR: Final = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")
"""Names under which Pillow knows colours of 16 bits, of which it keeps the upper 8."""
_GREY: Final = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Pillow's modes of grey values with more than 8 bits."""


_BITS, _WHITE_OR_BLACK, _PLANES, _SIGNS = 258, 262, 284, 339
"""Tags of TIFF 6.0: bits of each value, what zero means (0: white, 1: black), how colours lie (2: each in a plane of its own), kind of
numbers (2: whole ones with a sign)."""


def _tag(image: Image.Image, number: int) -> Any:
    """A TIFF's tag as Pillow gives it; None for other formats and where it is not there."""
    return getattr(image, "tag_v2", {}).get(number)


def _deep_colours(image: ImageFile.ImageFile) -> bool:
    """Whether the file has colours of 16 bits, of which Pillow keeps the upper 8. Call before ``load``.

    Raises :class:`Unreadable` for those that nothing here reads: Pillow would take other bytes for them.
    """
    if image.mode not in _GREY and _tag(image, _PLANES) == 2 and 16 in (_tag(image, _BITS) or ()):
        raise Unreadable("a TIFF whose colours lie in separate planes of 16 bits; save the image with 8 bits")
    parts = [part for tile in image.tile for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))]
    if image.format == "PPM":
        return image.mode == "RGB" and 65535 in parts  # a smaller number in the header is white itself, and Pillow scales by it
    return any(str(part).startswith(_DEEP_COLOUR) for part in parts)


def _of_depth_8(image: Image.Image, deep: bytes | None) -> tuple[Image.Image, str]:
    """The loaded ``image`` with 8 bits a value, and a note. ``deep``: the file's bytes where its colours have 16."""
    if image.mode in _GREY:
        grey, note = to_bytes(np.asarray(image))
        return Image.fromarray(255 - grey if _tag(image, _WHITE_OR_BLACK) == 0 else grey), note  # Pillow turns 8 bits itself
    if image.mode == "L" and 2 in (_tag(image, _SIGNS) or ()):
        signed = np.asarray(image).view(np.int8)  # Pillow takes -1 for 255; where zero is white it does not read these
        if signed.size and signed.min() < 0:
            raise Unreadable(_strange_range(float(signed.min()), float(signed.max()), whole=True))
    if deep is None:
        return image, ""
    bgr = cv2.imdecode(np.frombuffer(deep, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None or bgr.dtype != np.uint16 or bgr.ndim != 3 or bgr.shape[1::-1] != image.size:
        return image, ""
    colours, note = to_bytes(cv2.cvtColor(np.ascontiguousarray(bgr[..., :3]), cv2.COLOR_BGR2RGB))
    if int(bgr[..., :3].max(initial=0)) > 4095:
        return image, note  # Pillow's upper 8 bits are what they should be
    made = Image.fromarray(colours)
    if image.mode in ("RGBA", "LA"):
        opacity = bgr[..., 3] if bgr.shape[2] == 4 else None
        of_low_bits = opacity is not None and int(opacity.max(initial=0)) <= 4095
        made.putalpha(Image.fromarray(to_bytes(opacity)[0]) if opacity is not None and of_low_bits else image.getchannel("A"))
    return made, note


_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image of each EXIF orientation upright (TIFF 6.0, tag 274)."""
_XMP_PREFIX: Final = re.compile(r"xmlns:([\w.-]+)\s*=\s*[\"']http://ns\.adobe\.com/tiff/1\.0/[\"']")
_XMP_ORIENTATION: Final = r"\b{prefix}:Orientation\b(?:\s*=\s*[\"']|[^<>]*>)\s*([1-8])\b"


def _orientation(image: Image.Image) -> int:
    """The orientation tag, 1..8: EXIF's, else XMP's whatever program wrote it, else 1."""
    own = image.getexif().get(0x0112)
    if own is not None:
        return int(own)
    text = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
    words = text if isinstance(text, str) else text.decode("utf-8", "replace")
    prefix = _XMP_PREFIX.search(words)
    found = re.search(_XMP_ORIENTATION.format(prefix=re.escape(prefix[1] if prefix else "tiff")), words)
    return int(found[1]) if found else 1


def _to_rgb(image: Image.Image, max_side: int) -> RGB:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        background = Image.new("RGBA", layered.size, (128, 128, 128, 255))
        image = Image.alpha_composite(background, layered)
    image = image.convert("RGB")
    longest = max(image.size)
    if longest > max_side:
        factor = max_side / longest
        image = image.resize(
            (max(1, round(image.width * factor)), max(1, round(image.height * factor))), Image.Resampling.BOX, reducing_gap=2.0
        )
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8))


def size_of(data: bytes) -> tuple[int, int]:
    """(width, height) from the header alone, upright or not as stored. Raises :class:`Unreadable`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return image.size
    except Exception as error:
        raise Unreadable(_one_line(error) if data else "empty file") from error


def encode_png(image: RGB, *, level: int = 1) -> bytes:
    """Lossless PNG bytes of an RGB image (``level``: zlib 0..9; 1 is several times faster than the default and 5 % larger)."""
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, level])


def encode_png_raw(image: RGB) -> bytes:
    """PNG bytes that are neither compressed nor filtered: for files that live for minutes; a fifth of the time, two to three times the size."""
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 0, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE])


def encode_jpeg(image: RGB, *, quality: int = 92) -> bytes:
    """JPEG bytes of an RGB image, for people and pages (never between stages)."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encode(extension: str, image: RGB, flags: list[int]) -> bytes:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    done, buffer = cv2.imencode(extension, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), flags)
    if not done:
        raise ValueError(f"could not encode an image of shape {image.shape}")
    encoded: npt.NDArray[Any] = buffer
    return encoded.tobytes()


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # Pillow names the in-memory object by its address; that would make two runs differ.
    return text.split(" <_io.")[0][:200]
