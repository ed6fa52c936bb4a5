"""The residual network of ArcFace and what came after it ("improved ResNet", Deng et al. 2019; AdaFace, Kim et al. 2022; MagFace, Meng et al. 2021;
TopoFR, Dan et al. 2024), under the parameter names of AdaFace and CVLFace.

The same network is published under the names of InsightFace too (``layer1.0.conv1``, ``features``); :func:`renamed` turns those into these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torch import Tensor, nn

from frontalbench.networks.blocks import normed_conv

UNITS: Final[Mapping[int, tuple[int, int, int, int]]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 14, 3),
    100: (3, 13, 30, 3),
    200: (6, 26, 60, 6),
}
"""Depth -> blocks at 64, 128, 256 and 512 channels. What AdaFace calls IR-101 is depth 100."""
SIDE: Final = 112
"""Side in pixels of a crop."""
CHANNELS: Final = (64, 128, 256, 512)
_WITHIN: Final = {"bn1": 0, "conv1": 1, "bn2": 2, "prelu": 3, "conv2": 4, "bn3": 5}
_OUTSIDE: Final = {
    "conv1": "input_layer.0",
    "bn1": "input_layer.1",
    "prelu": "input_layer.2",
    "bn2": "output_layer.0",
    "fc": "output_layer.3",
    "features": "output_layer.4",
}


class Block(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride): batch norm, 3 x 3, batch norm (``normed``), PReLU, 3 x 3 with ``stride``, batch
    norm, and ``after``; around it the input as it is, thinned out, or by a 1 x 1 convolution where the channels change (``by_conv``: wherever
    it is thinned out, as InsightFace has it)."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, *, normed: bool = True, by_conv: bool = False, after: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.stride = stride
        projected = inputs != outputs or (by_conv and stride > 1)
        self.shortcut_layer = nn.Sequential(*normed_conv(inputs, outputs, 1, stride)) if projected else None
        between = [nn.BatchNorm2d(outputs)] if normed else []
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            *between,
            nn.PReLU(outputs),
            *normed_conv(outputs, outputs, 3, stride),
            *after,
        )

    def forward(self, x: Tensor) -> Tensor:
        around = x[:, :, :: self.stride, :: self.stride] if self.shortcut_layer is None else self.shortcut_layer(x)
        result: Tensor = self.res_layer(x) + around
        return result


class IrResNet(nn.Module):
    """Crops (N, 3, 112, 112) -> embeddings (N, dimension), not normalised.

    ``depth``: a key of :data:`UNITS`; ``epsilon`` of all batch norms; ``insightface``: the variant of InsightFace, whose first shortcut is a
    convolution and whose last norm has a scale and a shift.
    """

    def __init__(self, depth: int, *, dimension: int = 512, epsilon: float = 1e-5, insightface: bool = False) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(*normed_conv(3, CHANNELS[0], 3), nn.PReLU(CHANNELS[0]))
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(CHANNELS[-1]),
            nn.Dropout(),
            nn.Flatten(),
            nn.Linear(CHANNELS[-1] * (SIDE // 16) ** 2, dimension),
            nn.BatchNorm1d(dimension, affine=insightface),
        )
        blocks, inputs = [], CHANNELS[0]
        for outputs, count in zip(CHANNELS, UNITS[depth], strict=True):
            for place in range(count):
                blocks.append(Block(inputs, outputs, 2 if place == 0 else 1, by_conv=insightface))
                inputs = outputs
        self.body = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eps = epsilon

    def forward(self, crops: Tensor) -> Tensor:
        result: Tensor = self.output_layer(self.body(self.input_layer(crops)))
        return result


def renamed(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """``state`` under InsightFace's names -> under ours; keys that belong to no layer keep their name."""
    first = [sum(UNITS[depth][:stage]) for stage in range(4)]
    found = {}
    for key, value in state.items():
        parts = key.split(".")
        name = key
        if parts[0] in _OUTSIDE:
            name = ".".join([_OUTSIDE[parts[0]], *parts[1:]])
        elif len(parts) > 3 and parts[0] in ("layer1", "layer2", "layer3", "layer4") and parts[1].isdecimal():
            block = f"body.{first[int(parts[0][-1]) - 1] + int(parts[1])}"
            if parts[2] in _WITHIN:
                name = ".".join([block, "res_layer", str(_WITHIN[parts[2]]), *parts[3:]])
            elif parts[2] == "downsample":
                name = ".".join([block, "shortcut_layer", *parts[3:]])
        found[name] = value
    return found
