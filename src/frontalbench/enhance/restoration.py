"""Restoration of faces by a network of 512 x 512 pixels: find the face, align it, restore it, put it back.

What GFPGAN, CodeFormer and RestoreFormer share.

Two ways to put it back, both definitions of this project (no original has the second):

* ``full``: the restored face as it comes out of the network;
* ``detail``: the image's own low frequencies and colours, with the restored face's fine luminance detail (what a Gaussian blur takes away). Such
  networks invent identity along with detail; this keeps the coarse shape of what the frontalizer made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.detect.select import choose
from frontalbench.enhance.base import Refused, each, to_bytes
from frontalbench.enhance.drawn import Drawn
from frontalbench.frontalize import framing
from frontalbench.frontalize.base import Outcome
from frontalbench.geometry.crop import paste_back
from frontalbench.geometry.masks import border_mask
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    import torch

    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector

Network = TypeVar("Network", bound="torch.nn.Module")
SIDE: Final = 512
_SURROUND: Final = (132, 133, 135)  # R, G, B beyond the photograph's border, as in training
_LUMA: Final = np.array([[0.299, 0.587, 0.114]], np.float32)
MODES: Final = ("full", "detail")


def second_step(params: Params) -> Finish:
    """The second step that ``params`` ask for: ``mode`` full or detail, ``sigma`` (detail only), ``feather``. More of them may be read afterwards."""
    mode = params.choice("mode", MODES)
    sigma = params.number("sigma", low=0.5, high=64) if mode == "detail" else 0.0
    return Finish(mode=mode, sigma=sigma, feather=params.number("feather", low=0.01, high=0.5))


def finisher(card: ModelCard) -> Finish:
    """The second step of a card that has no other params, without weights: :meth:`Finish.finish` puts a face into the image that
    :meth:`Draw.draw` drew of it."""
    params = Params(card)
    finish = second_step(params)
    params.finish()
    return finish


class Draw:
    """Finds the face and restores it. ``network``: float32 (1, 3, 512, 512) RGB in -1..1 -> the same. No face: refused with status ``no_face``."""

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor], detector: Detector, *, device: str = "cpu") -> None:
        self._network, self._detector = network, detector
        self._device = runtime.torch_device(device)

    def draw(self, image: RGB) -> Drawn:
        """The restored face, 512 x 512, and where it lies."""
        matrix = located(self._detector, image)
        return Drawn(self._run(aligned(image, matrix)), matrix)

    def _run(self, face: RGB) -> Float32:
        """Restored pixels float32 (512, 512, 3) on the scale 0..255."""
        import torch

        blob = torch.from_numpy(face.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1.0).to(self._device)
        with torch.inference_mode():
            output = np.asarray(self._network(blob)[0].float().clamp(-1, 1).cpu().numpy(), np.float32)
        pixels: Float32 = (output.transpose(1, 2, 0) + 1.0) * np.float32(127.5)
        if not np.isfinite(pixels).all():
            raise Refused("the network gave values that are not numbers")
        return pixels


class Finish:
    """Puts a restored face into its image; see the module for ``mode``. ``sigma`` in pixels of the face, ``feather`` a share of its side."""

    def __init__(self, *, mode: str, sigma: float, feather: float) -> None:
        self._mode, self._sigma = mode, sigma
        self._mask = border_mask(SIDE, feather)

    def finish(self, image: RGB, drawn: Drawn) -> RGB:
        """``image`` with the face of ``drawn`` in it."""
        pixels = drawn.pixels
        if self._mode == "detail":
            pixels = swap_detail(np.asarray(aligned(image, drawn.matrix), np.float32), pixels, self._sigma)
        return _put_back(image, to_bytes(pixels), drawn.matrix, self._mask)


class Restore:
    """Both steps. An image without a face has status ``no_face``."""

    def __init__(self, name: str, draw: Draw, finish: Finish) -> None:
        self.name = name
        self.draw, self.finish = draw.draw, finish.finish

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, lambda image: self.finish(image, self.draw(image)))


def restorer(
    card: ModelCard, load: Callable[[], Callable[[torch.Tensor], torch.Tensor]], finish: Finish, *, threads: int, device: str
) -> Restore:
    """The enhancement of ``card``: the network that ``load`` gives, and the one detector that the card's ``uses`` names, which is asked for first."""
    from frontalbench.catalogue import families

    finder = card.the("detector")
    network = load()
    detector: Detector = families.load(finder, threads=threads, device=device)
    return Restore(card.name, Draw(network, detector, device=device), finish)


def filled(build: Callable[[], Network], path: str | os.PathLike[str], *, inner: str, threads: int) -> Network:
    """The network that ``build`` makes, filled from the mapping ``inner`` of an official checkpoint, every key used and none missing.

    The file is read as data only. Raises :class:`~frontalbench.errors.BadInput`.
    """
    import torch

    from frontalbench.networks import checkpoints

    torch.set_num_threads(max(1, threads))
    network = checkpoints.unfilled(build)
    checkpoints.fill(network, checkpoints.load(path, inner=inner), path)
    return network


def located(detector: Detector, image: RGB) -> Float:
    """The similarity (2, 3) from the image's pixels to the 512 x 512 face. Raises :class:`Refused` (``no_face``)."""
    face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
    if face is None:
        raise Refused("no face found to restore", status.NO_FACE)
    return framing.five_point(face.points, SIDE)


def aligned(image: RGB, matrix: Float) -> RGB:
    """The 512 x 512 face that ``matrix`` shows."""
    pixels = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_SURROUND)
    return np.asarray(pixels, np.uint8)


def swap_detail(own: Float32, restored: Float32, sigma: float) -> Float32:
    """``own`` with the luminance detail of ``restored`` in place of its own; both float32 (H, W, 3) on the scale 0..255.

    Detail is what a Gaussian of ``sigma`` pixels takes away. The difference is added to all three channels alike, so colours stay.
    """

    def detail(pixels: Float32) -> npt.NDArray[Any]:
        luma = cv2.transform(pixels, _LUMA)
        return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))

    result: Float32 = own + (detail(restored) - detail(own)).reshape(*own.shape[:2], 1)
    return result


def _put_back(image: RGB, face: RGB, matrix: Float, mask: Float32) -> RGB:
    """``face`` (512 x 512) back into ``image``; reduced by area first where the image has fewer pixels, so that it does not alias."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale > 1.0:
        side = max(1, round(SIDE / scale))
        face = np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), np.float32)
        factor = side / SIDE
        # Pixel centres at integers: x' = (x + 0.5) f - 0.5.
        matrix = factor * matrix
        matrix[:, 2] += 0.5 * factor - 0.5
    return paste_back(image, face, matrix, mask)
