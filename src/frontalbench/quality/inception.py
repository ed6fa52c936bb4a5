"""The Inception network of 2015 (Szegedy et al. 2016) whose pool features FID and KID stand on, read as data from a TorchScript file.

A TorchScript archive holds code. None of it is run: ``data.pkl`` is unpickled with every class replaced by a plain record, the numbers are read as
bytes, and go into a network that is defined here. Input as in the TensorFlow graph that the published FIDs were computed with: 0 .. 255, resized to
299 x 299 by that graph's bilinear rule (no half-pixel shift, no blur before reduction), then (x - 128) / 128.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench import runtime
from frontalbench.errors import BadInput
from frontalbench.params import Params

if TYPE_CHECKING:
    from frontalbench.cards import ModelCard

SIDE: Final = 299
LENGTH: Final = 2048
_CHUNK: Final = 16


class Conv(nn.Module):
    """Convolution, batch normalisation without a factor (epsilon 0.001), ReLU; keys weight, beta, mean, var."""

    def __init__(
        self, wide_in: int, wide_out: int, size: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0
    ) -> None:
        super().__init__()
        high, broad = (size, size) if isinstance(size, int) else size
        self.weight = nn.Parameter(torch.zeros(wide_out, wide_in, high, broad))
        for name in ("beta", "mean", "var"):
            self.register_parameter(name, nn.Parameter(torch.zeros(wide_out)))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.weight, stride=self.stride, padding=self.padding)
        mean, var, beta = (self.get_parameter(name) for name in ("mean", "var", "beta"))
        return functional.relu(functional.batch_norm(x, mean, var, None, beta, eps=1e-3))


def _pooled(channels: int, wide_out: int) -> nn.Sequential:
    """A mean over 3 x 3 (the border is not counted), then a 1 x 1 convolution."""
    tower = nn.Sequential()
    tower.add_module("pool", nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    tower.add_module("conv", Conv(channels, wide_out, 1))
    return tower


def _tower(*layers: Conv) -> nn.Sequential:
    tower = nn.Sequential()
    for i, layer in enumerate(layers):
        tower.add_module(f"conv_{i}" if i else "conv", layer)
    return tower


class Branches(nn.Module):
    """Several ways through the same input, side by side in the output, in the order in which they were given."""

    def __init__(self, **ways: nn.Module) -> None:
        super().__init__()
        for name, way in ways.items():
            self.add_module(name, way)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.children()], 1)


def _block_a(wide: int, pooled: int) -> Branches:
    return Branches(
        conv=Conv(wide, 64, 1),
        tower=_tower(Conv(wide, 48, 1), Conv(48, 64, 5, padding=2)),
        tower_1=_tower(Conv(wide, 64, 1), Conv(64, 96, 3, padding=1), Conv(96, 96, 3, padding=1)),
        tower_2=_pooled(wide, pooled),
    )


def _block_b(wide: int) -> Branches:
    tower = _tower(Conv(wide, 64, 1), Conv(64, 96, 3, padding=1), Conv(96, 96, 3, 2))
    return Branches(conv=Conv(wide, 384, 3, 2), tower=tower, pool=nn.MaxPool2d(3, 2))


def _across(wide_in: int, wide_out: int) -> Conv:
    return Conv(wide_in, wide_out, (1, 7), padding=(0, 3))


def _down(wide_in: int, wide_out: int) -> Conv:
    return Conv(wide_in, wide_out, (7, 1), padding=(3, 0))


def _block_c(wide: int, inner: int) -> Branches:
    return Branches(
        conv=Conv(wide, 192, 1),
        tower=_tower(Conv(wide, inner, 1), _across(inner, inner), _down(inner, 192)),
        tower_1=_tower(Conv(wide, inner, 1), _down(inner, inner), _across(inner, inner), _down(inner, inner), _across(inner, 192)),
        tower_2=_pooled(wide, 192),
    )


def _block_d(wide: int) -> Branches:
    return Branches(
        tower=_tower(Conv(wide, 192, 1), Conv(192, 320, 3, 2)),
        tower_1=_tower(Conv(wide, 192, 1), _across(192, 192), _down(192, 192), Conv(192, 192, 3, 2)),
        pool=nn.MaxPool2d(3, 2),
    )


class BlockE(nn.Module):
    """The last two blocks; ``highest``: the pooling takes the largest instead of the mean (only the very last one does, in this network)."""

    def __init__(self, wide: int, *, highest: bool) -> None:
        super().__init__()
        self.conv = Conv(wide, 320, 1)
        self.tower_conv = Conv(wide, 384, 1)
        self.tower_mixed_conv, self.tower_mixed_conv_1 = _split()
        self.tower_1_conv, self.tower_1_conv_1 = Conv(wide, 448, 1), Conv(448, 384, 3, padding=1)
        self.tower_1_mixed_conv, self.tower_1_mixed_conv_1 = _split()
        self.tower_2_pool = nn.MaxPool2d(3, 1, 1) if highest else nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.tower_2_conv = Conv(wide, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.tower_conv(x), self.tower_1_conv_1(self.tower_1_conv(x))
        ways = [
            self.conv(x),
            self.tower_mixed_conv(a),
            self.tower_mixed_conv_1(a),
            self.tower_1_mixed_conv(b),
            self.tower_1_mixed_conv_1(b),
        ]
        return torch.cat([*ways, self.tower_2_conv(self.tower_2_pool(x))], 1)


def _split() -> tuple[Conv, Conv]:
    return Conv(384, 384, (1, 3), padding=(0, 1)), Conv(384, 384, (3, 1), padding=(1, 0))


class Inception(nn.Module):
    """Pictures (N, 3, H, W), 0 .. 255 -> features (N, 2048). Keys as in the file."""

    def __init__(self) -> None:
        super().__init__()
        mixed: list[nn.Module] = [_block_a(192, 32), _block_a(256, 64), _block_a(288, 64), _block_b(288)]
        mixed += [_block_c(768, 128), _block_c(768, 160), _block_c(768, 160), _block_c(768, 192)]
        mixed += [_block_d(768), BlockE(1280, highest=False), BlockE(2048, highest=True)]
        self.layers = nn.Sequential()
        for name, layer in (
            *(
                ("conv", Conv(3, 32, 3, 2)),
                ("conv_1", Conv(32, 32, 3)),
                ("conv_2", Conv(32, 64, 3, padding=1)),
                ("pool0", nn.MaxPool2d(3, 2)),
            ),
            *(("conv_3", Conv(64, 80, 1)), ("conv_4", Conv(80, 192, 3)), ("pool1", nn.MaxPool2d(3, 2))),
            *((f"mixed_{i}" if i else "mixed", block) for i, block in enumerate(mixed)),
            ("pool2", nn.AvgPool2d(8)),
        ):
            self.layers.add_module(name, layer)

    def forward(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.layers((resized(pictures) - 128.0) / 128.0)
        return features.reshape(len(pictures), LENGTH)


def resized(pictures: Tensor, side: int = SIDE) -> Tensor:
    """(N, C, H, W) -> (N, C, side, side): bilinear, output pixel i lies at i * H / side of the input, the last pixel is repeated beyond the end."""

    def along(x: Tensor, axis: int) -> Tensor:
        at = torch.arange(side, device=x.device, dtype=torch.float32) * (x.shape[axis] / side)
        low = at.floor().long()
        shape = [1, 1, 1, 1]
        shape[axis] = side
        weight = (at - low).reshape(shape)
        high = (low + 1).clamp(max=x.shape[axis] - 1)
        return x.index_select(axis, low) * (1.0 - weight) + x.index_select(axis, high) * weight

    return along(along(pictures, 3), 2)


class Features:
    """The network on a device."""

    def __init__(self, network: Inception, *, device: str = "cpu") -> None:
        self._device = runtime.torch_device(device)
        self._network = network.eval().requires_grad_(False).to(self._device)

    def of(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """float32 (N, 2048) of crops uint8 (N, H, W, 3) RGB; N may be 0."""
        found = [np.zeros((0, LENGTH), np.float32)]
        # no TF32: a GPU gives the CPU's features
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for i in range(0, len(crops), _CHUNK):
                pictures = torch.from_numpy(np.ascontiguousarray(crops[i : i + _CHUNK].transpose(0, 3, 1, 2))).to(self._device).float()
                found.append(self._network(pictures).cpu().numpy())
        return np.concatenate(found)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Features:
    """The network of a card of family ``inception`` (no params). Raises :class:`~frontalbench.errors.WeightsMissing`."""
    from frontalbench.weights import store

    Params(card).finish()
    path = store.fetch(card)
    torch.set_num_threads(max(1, threads))
    network = Inception()
    runtime.fill_module(network, read_torchscript(path), path)
    return Features(network, device=device)


class _Record:
    """What stands in for a class of the archive: the attributes that were pickled, and nothing that runs."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class _Storage:
    """The word for "32-bit floats" in the archive."""


class _DataOnly(pickle.Unpickler):
    """Unpickles records, lists of numbers and float32 tensors; a class or function that the archive brings itself becomes a :class:`_Record`."""

    def __init__(self, data: bytes, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(data))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__."):
            return _Record
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): _Storage,
            ("torch.jit._pickle", "build_intlist"): list,
            ("collections", "OrderedDict"): dict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no tensor")
        return known[module, name]

    def persistent_load(self, pid: Any) -> npt.NDArray[np.float32]:
        word, kind, key, _, count = pid
        if word != "storage" or kind is not _Storage or not str(key).isdecimal():
            raise pickle.UnpicklingError(f"{pid!r} is no storage of 32-bit floats")
        values = np.frombuffer(self._archive.read(f"{self._folder}/data/{key}"), "<f4")
        if len(values) != count:
            raise pickle.UnpicklingError(f"storage {key} holds {len(values)} numbers, not {count}")
        return values


def _tensor(storage: npt.NDArray[np.float32], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A tensor that lies in one piece, row by row, which is all that these archives hold."""
    if tuple(stride) != tuple(int(np.prod(size[i + 1 :])) for i in range(len(size))):
        raise pickle.UnpicklingError(f"a tensor of size {size} with strides {stride} does not lie in one piece")
    values = storage[offset : offset + int(np.prod(size))]
    return torch.from_numpy(values.astype(np.float32).reshape(size))


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """The float32 tensors of a TorchScript archive by name (attributes joined with dots; a single wrapping module ``net`` left out), read as data.

    Raises :class:`BadInput` for a file that is none, is damaged, or holds anything that reading as data cannot stand for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = next((name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")), None)
            if member is None:
                raise BadInput(f"{path}: no data.pkl in it; expected a TorchScript archive")
            top = _DataOnly(archive.read(member), archive, member.split("/")[0]).load()
    except (
        *(zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError, KeyError),
        *(ValueError, TypeError, IndexError, AttributeError, NotImplementedError, RuntimeError),
    ) as error:
        raise BadInput(f"{path}: not a TorchScript archive that can be read as data ({' '.join(str(error).split())[:200]})") from error
    found: dict[str, Tensor] = {}

    def walk(record: Any, name: str) -> None:
        if isinstance(record, Tensor):
            found[name] = record
        elif isinstance(record, _Record):
            for key, value in record.state.items():
                walk(value, f"{name}.{key}" if name else str(key))

    walk(top, "")
    if not found:
        raise BadInput(f"{path}: no tensors in it; expected a network's weights")
    return {key.removeprefix("net."): value for key, value in found.items()}
