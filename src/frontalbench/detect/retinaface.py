"""RetinaFace (Deng et al. 2020): feature pyramid, context modules, three heads; an own torch module that loads the published state dicts.

Two networks: ``resnet50`` and ``mobilenet0.25``. Names of modules are those of the widely used PyTorch port, so that its files load as they are.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench import runtime
from frontalbench.detect.base import Detections, Float32
from frontalbench.detect.boxes import Sizing, place, search, suppress_overlaps
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.params import Params

if TYPE_CHECKING:
    from frontalbench.cards import ModelCard

MEAN_BGR: Final = (104.0, 117.0, 123.0)
STEPS: Final = (8, 16, 32)
ANCHOR_SIDES: Final = ((16, 32), (64, 128), (256, 512))
VARIANCES: Final = (0.1, 0.2)
BACKBONES: Final = ("resnet50", "mobilenet0.25")


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> RetinaFace:
    """The detector of a card of family ``retinaface``.

    Params: ``backbone`` (resnet50 | mobilenet0.25), ``threshold`` 0.5, ``overlap`` 0.4, and those of
    :class:`~frontalbench.detect.boxes.Sizing`.
    """
    from frontalbench.weights import store

    params = Params(card)
    sizing = Sizing.of(params)
    backbone = params.choice("backbone", BACKBONES)
    threshold, overlap = params.number("threshold", 0.5, low=0, high=1), params.number("overlap", 0.4, low=0, high=1)
    params.finish()
    path = store.fetch(card)
    return RetinaFace(card.name, path, backbone, sizing=sizing, threshold=threshold, overlap=overlap, threads=threads, device=device)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class _Rectifier(nn.Module):
    """Leaky rectifier; a module of its own so that a slope of 0 is the plain one."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)


def _unit(inputs: int, outputs: int, kernel: int, slope: float | None) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, outputs, kernel), *([] if slope is None else [_Rectifier(slope)]))


class _Bottleneck(nn.Module):
    """ResNet bottleneck, stride on the 3 x 3 convolution."""

    def __init__(self, inputs: int, width: int, stride: int, *, project: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, width, 1)
        self.conv2, self.bn2 = _conv(width, width, 3, stride)
        self.conv3, self.bn3 = _conv(width, 4 * width, 1)
        self.downsample = nn.Sequential(*_conv(inputs, 4 * width, 1, stride)) if project else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class _ResNet50(nn.Module):
    channels = (512, 1024, 2048)
    pyramid = 256
    slope = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, 64, 7, 2)
        inputs = 64
        for index, (width, count, stride) in enumerate(((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)), start=1):
            blocks = [_Bottleneck(inputs if i == 0 else 4 * width, width, stride if i == 0 else 1, project=i == 0) for i in range(count)]
            self.add_module(f"layer{index}", nn.Sequential(*blocks))
            inputs = 4 * width

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
            maps.append(x)
        return maps[1:]


class _MobileNet(nn.Module):
    channels = (64, 128, 256)
    pyramid = 64
    slope = 0.1

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(*_conv(3, 8, 3, 2), _Rectifier(self.slope))
        plan1 = ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        plan2 = ((64, 128, 2), *((128, 128, 1),) * 5)
        plan3 = ((128, 256, 2), (256, 256, 1))
        self.stage1 = nn.Sequential(first, *(self._separable(*unit) for unit in plan1))
        self.stage2 = nn.Sequential(*(self._separable(*unit) for unit in plan2))
        self.stage3 = nn.Sequential(*(self._separable(*unit) for unit in plan3))

    def _separable(self, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        depth = _conv(inputs, inputs, 3, stride, groups=inputs)
        point = _conv(inputs, outputs, 1)
        return nn.Sequential(*depth, _Rectifier(self.slope), *point, _Rectifier(self.slope))

    def forward(self, x: Tensor) -> list[Tensor]:
        one = self.stage1(x)
        two = self.stage2(one)
        return [one, two, self.stage3(two)]


class _Pyramid(nn.Module):
    """Top-down feature pyramid over three levels."""

    def __init__(self, channels: tuple[int, int, int], width: int, slope: float) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_unit(c, width, 1, slope) for c in channels)
        self.merge1, self.merge2 = (_unit(width, width, 3, slope) for _ in range(2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return [fine, middle, coarse]


class _Context(nn.Module):
    """Three branches that see 3 x 3, 5 x 5 and 7 x 7 neighbourhoods."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = _unit(width, half, 3, None)
        self.conv5X5_1 = _unit(width, quarter, 3, slope)
        self.conv5X5_2 = _unit(quarter, quarter, 3, None)
        self.conv7X7_2 = _unit(quarter, quarter, 3, slope)
        self.conv7x7_3 = _unit(quarter, quarter, 3, None)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        return functional.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))], dim=1))


class _Head(nn.Module):
    """A 1 x 1 convolution that gives ``values`` numbers for each of two anchors per cell."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(width, 2 * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.conv1x1(x).permute(0, 2, 3, 1)
        return rows.reshape(len(x), -1, self.values)


class RetinaFaceNet(nn.Module):
    """The network. Input float32 (N, 3, H, W), **BGR** minus (104, 117, 123), any size.

    Output: box offsets (N, A, 4), face probabilities (N, A, 2) (index 1 is the face), point offsets (N, A, 10), for the anchors of :func:`priors`.
    """

    def __init__(self, backbone: str) -> None:
        super().__init__()
        body = _ResNet50() if backbone == "resnet50" else _MobileNet()
        self.body = body
        self.fpn = _Pyramid(body.channels, body.pyramid, body.slope)
        self.ssh1, self.ssh2, self.ssh3 = (_Context(body.pyramid, body.slope) for _ in range(3))
        self.ClassHead, self.BboxHead, self.LandmarkHead = (
            nn.ModuleList(_Head(body.pyramid, values) for _ in STEPS) for values in (2, 4, 10)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = self.fpn(self.body(x))
        maps = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        classes, boxes, points = (
            torch.cat([head(level) for head, level in zip(heads, maps, strict=True)], dim=1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        )
        return boxes, classes.softmax(dim=-1), points


@lru_cache(maxsize=64)
def priors(height: int, width: int) -> Float32:
    """Anchors of an input of ``height`` x ``width``: float32 (A, 4) centre x, centre y, width, height in pixels, read-only."""
    levels = []
    for step, sides in zip(STEPS, ANCHOR_SIDES, strict=True):
        y, x = np.mgrid[: -(-height // step), : -(-width // step)]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 1, 2) + 0.5) * step
        centres = np.repeat(centres, len(sides), axis=1)
        sizes = np.broadcast_to(np.array(sides, np.float64)[None, :, None], centres.shape)
        levels.append(np.concatenate([centres, sizes], axis=-1).reshape(-1, 4))
    anchors: Float32 = np.concatenate(levels).astype(np.float32)
    anchors.flags.writeable = False
    return anchors


def decode(anchors: npt.NDArray[Any], boxes: npt.NDArray[Any], points: npt.NDArray[Any]) -> tuple[Float32, Float32]:
    """Offsets (A, 4) and (A, 10) relative to ``anchors`` (A, 4) as boxes (A, 4) x1, y1, x2, y2 and points (A, 5, 2) in pixels."""
    centres, sizes = anchors[:, :2], anchors[:, 2:]
    middle = centres + boxes[:, :2] * VARIANCES[0] * sizes
    half = sizes * np.exp(boxes[:, 2:] * VARIANCES[1]) / 2
    places = centres[:, None] + points.reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None]
    return np.hstack([middle - half, middle + half]).astype(np.float32), places.astype(np.float32)


class RetinaFace:
    """A RetinaFace detector. ``detect`` may be called from several threads at once."""

    def __init__(
        self,
        name: str,
        model: str | os.PathLike[str],
        backbone: str,
        *,
        sizing: Sizing = Sizing(),  # noqa: B008 - frozen
        threshold: float = 0.5,
        overlap: float = 0.4,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        if backbone not in BACKBONES:
            raise BadInput(f"{name}: backbone '{backbone}' is not known; use one of {', '.join(BACKBONES)}")
        self.name = name
        self._sizing, self._threshold, self._overlap = sizing, threshold, overlap
        torch.set_num_threads(max(1, threads))
        self._device = runtime.torch_device(device)
        net = RetinaFaceNet(backbone)
        runtime.fill_module(net, runtime.load_state_dict(model), model)
        self._net = net.eval().requires_grad_(False).to(self._device)
        self._fill = (int(MEAN_BGR[2]), int(MEAN_BGR[1]), int(MEAN_BGR[0]))
        self._mean = torch.tensor(MEAN_BGR, device=self._device).view(1, 3, 1, 1)

    def detect(self, image: RGB) -> Detections:
        """All faces of ``image`` (see :class:`~frontalbench.detect.base.Detector`)."""
        return search(image, self._sizing, self._look)

    def glance(self, image: RGB, longest: int) -> Detections:
        """One search at ``longest`` network pixels (see :class:`~frontalbench.detect.base.Detector`)."""
        return self._look(image, longest, 0.0)[0]

    def _look(self, image: RGB, longest: int, border: float) -> tuple[Detections, float]:
        # The mean colour as filling is 0 after the subtraction. No rounding up: this network takes any size.
        canvas = place(image, longest, border=border, multiple=1, fill=self._fill)
        with torch.inference_mode():
            rgb = torch.from_numpy(canvas.pixels).to(self._device)
            blob = rgb.flip(-1).permute(2, 0, 1)[None].float() - self._mean
            offsets, classes, places = (output[0].cpu().numpy() for output in self._net(blob))
        scores = classes[:, 1]
        hits = np.flatnonzero(scores >= self._threshold)
        if not len(hits):
            return Detections.none(), canvas.scale
        boxes, points = decode(priors(*canvas.pixels.shape[:2])[hits], offsets[hits], places[hits])
        kept = suppress_overlaps(boxes, scores[hits], self._overlap)
        return canvas.to_image(Detections.sorted(boxes[kept], scores[hits][kept], points[kept])), canvas.scale
