"""Image bytes to RGB arrays and back.

Everything inside Frontalbench is ``uint8 (H, W, 3)`` RGB, upright. :func:`decode` takes what people really have: EXIF rotation, greyscale, palettes,
transparency, 16 bits, CMYK, animations (first frame), wrong file names; and refuses, with :class:`~frontalbench.errors.Unreadable`, what is
empty, truncated, not an image, or so large that decoding it would exhaust memory.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

from frontalbench.errors import Unreadable, raise_if_memory_ran_out

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
"""File names that a folder scan takes for pictures (content decides in the end, not the name)."""
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
"""Names of pictures that nothing here reads: a scan names them and says what to do, instead of counting them as "other files"."""


def decode(data: bytes, *, max_side: int = MAX_SIDE) -> RGB:
    """Decode image bytes to upright RGB.

    Transparency is laid on mid grey (128); 16-bit values are scaled to 8; the first frame of an animation is taken; the longer side is at most
    ``max_side``. Raises :class:`Unreadable` with the reason.
    """
    if not data:
        raise Unreadable("empty file")
    if data[:3] == b"\xff\xd8\xff":
        array = _decode_plain_jpeg(data, max_side)
        if array is not None:
            return array
    return _decode_with_pillow(data, max_side)


def _decode_plain_jpeg(data: bytes, max_side: int) -> RGB | None:
    """The fast road for ordinary JPEG files (libjpeg-turbo through OpenCV, the same decoder that Pillow uses); None: take the general one.

    A truncated JPEG must not slip through as half a picture: OpenCV decodes it silently, so the end marker is looked for first.
    """
    if b"\xff\xd9" not in data[-4096:] or b"Exif" in data[:65536] or b"Adobe" in data[:65536]:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
            if header.mode != "RGB" or max(header.size) > max_side or min(header.size) < 1:
                return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _decode_with_pillow(data: bytes, max_side: int) -> RGB:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unreadable(f"{image.width} x {image.height} pixels: more than {MAX_PIXELS:,}")
                if image.format == "JPEG":
                    image.draft("RGB", (max_side, max_side))
                image.load()
                upright = ImageOps.exif_transpose(image)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"too large: {error}") from error
    except Exception as error:
        raise_if_memory_ran_out(error)
        raise Unreadable(_one_line(error)) from error
    return _to_rgb(upright, max_side)


def _to_rgb(image: Image.Image, max_side: int) -> RGB:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") and values.max(initial=0) > 255 else max(255.0, float(values.max(initial=0)))
        grey = np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)
        image = Image.fromarray(grey)
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
