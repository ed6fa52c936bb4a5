"""All that :mod:`frontalbench.synth.turning` needs, in one folder of 25 MB: so it can go to a machine with a GPU and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard, UrlSource, WeightFile
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.networks import checkpoints
from frontalbench.networks.mobilestylegan import synthesis_of
from frontalbench.networks.recognizer import Recognizer
from frontalbench.networks.tddfa_mobilenet import Regressor
from frontalbench.synth import directions
from frontalbench.synth.people import noise
from frontalbench.synth.turning import Surface, Turner, TurningSettings, Ways

RECOGNIZERS = {"w600k_mbf": (127.5, 127.5), "arcface_y1": (0.0, 1.0)}
"""Cards of the backbones that an image is moved by, and the mean and the standard deviation that each takes off colours: never judges of what
is made."""
SPREAD = 4000
"""So many styles say how styles spread."""
MODEL = "tddfa_mb1"
PARTS = (
    "synthesis.safetensors",
    "regressor.safetensors",
    "face.safetensors",
    "people.safetensors",
    *(f"{name}.onnx" for name in RECOGNIZERS),
)

CARD = ModelCard(
    name="tddfa_mb05",
    kind="generator",
    family="tddfa_mb05",
    title="3DDFA_V2, half-width regressor",
    path=Path(__file__),
    root=Path(__file__).parent,
    params=MappingProxyType({}),
    weights=MappingProxyType(
        {
            "model": WeightFile(
                "model",
                "mb05_120x120.pth",
                3752462,
                "f93ed7f1c4c0382b16d7c18480a5f67473c1917a47475a9823924f38aeb27280",
                (UrlSource("https://github.com/cleardusk/3DDFA_V2/raw/1b6c67601abffc1e9f248b291708aef0e43b55ae/weights/mb05_120x120.pth"),),
            )
        }
    ),
    uses=(),
    trained_with=(),
    data=MappingProxyType({}),
)
"""For the weight store. Not in ``config/models``: no run of the grid uses it."""


def write(folder: Path, seed: int, numbers: Sequence[int]) -> None:
    """The pack in half precision, for candidates ``numbers`` of ``seed``; weights are fetched if need be. Whole files or none.

    Raises :class:`~frontalbench.errors.WeightsMissing`.
    """
    from frontalbench.landmarks.tddfa import read_arrays, read_basis, triangulate
    from frontalbench.synth.torch_generator import TorchGenerator
    from frontalbench.weights import store

    generator = TorchGenerator()
    _write(folder / PARTS[0], {name: value.half() for name, value in generator.synthesis.state_dict().items()})
    regressor = {name: value for name, value in checkpoints.load(store.fetch(CARD)).items() if not name.endswith(checkpoints.COUNTER)}
    _write(folder / PARTS[1], {name: value.half() for name, value in regressor.items()})
    model = cards.find("landmarks", MODEL)
    basis, statistics = read_basis(store.fetch(model, "basis")), read_arrays(store.fetch(model, "statistics"))
    rows = _surface_rows(basis.mean, basis.keypoints)
    normals = _normals(basis.mean, triangulate(basis.mean))[rows]
    face = {"mean": basis.mean[rows], "shape": basis.shape[rows], "expression": basis.expression[rows], "normals": normals}
    face |= {"centre": statistics["mean"].reshape(-1)[:62], "spread": statistics["std"].reshape(-1)[:62]}
    arrays = {name: torch.from_numpy(np.ascontiguousarray(values, np.float32)) for name, values in face.items()}
    # Vertices reach 120,000 micrometres, beyond float16.
    _write(folder / PARTS[2], {name: one.half() if name in ("shape", "expression", "normals") else one for name, one in arrays.items()})
    ways = directions.load()
    with torch.no_grad():
        random = np.random.default_rng([seed, SPREAD]).standard_normal((SPREAD, 512)).astype(np.float32)
        sample = generator.styles(torch.from_numpy(random)).double()
        own = generator.styles(torch.from_numpy(np.stack([noise(seed, number) for number in numbers])))
    values, vectors = torch.linalg.eigh(torch.cov(sample.T))
    people = {"spread": vectors * values.clamp(min=0.0).sqrt(), "styles": own, "numbers": torch.tensor(list(numbers))}
    people |= {name: torch.from_numpy(getattr(ways, name)) for name in ("mean", "yaw", "pitch")}
    kept = {name: value.contiguous() if name == "numbers" else value.half().contiguous() for name, value in people.items()}
    _write(folder / PARTS[3], kept | {"level": torch.tensor(ways.level), "seed": torch.tensor(seed)})
    for name in RECOGNIZERS:
        atomic.write_bytes(folder / f"{name}.onnx", halved(store.fetch(cards.find("backbone", name))))


def read(
    folder: Path, settings: TurningSettings | None = None, *, device: str = "cpu", mixed: bool = False
) -> tuple[Turner, dict[str, Tensor]]:
    """The turner of a pack, and its people: ``styles`` (P, 512) as the mapping gives them, ``numbers`` (P,), ``seed``. Raises :class:`BadInput`."""
    lacking = [name for name in PARTS if not (folder / name).is_file()]
    if lacking:
        raise BadInput(f"{folder}: not a pack to turn people with ({', '.join(lacking)} lacking); make it with turn_people.py --write-pack")
    synthesis = synthesis_of(load_file(folder / PARTS[0]))
    regressor = Regressor()
    checkpoints.fill(regressor, {name: value.float() for name, value in load_file(folder / PARTS[1]).items()}, folder / PARTS[1])
    surface = Surface(regressor, **load_file(folder / PARTS[2]))
    people = load_file(folder / PARTS[3])
    ways = Ways(people["mean"], people["spread"], people["yaw"], people["pitch"], float(people["level"]))
    recognizers = [Recognizer(folder / f"{name}.onnx", mean=mean, std=std) for name, (mean, std) in RECOGNIZERS.items()]
    return Turner(synthesis, surface, recognizers, ways, settings or TurningSettings(), device=device, mixed=mixed), people


def halved(path: Path) -> bytes:
    """An ONNX file with its weights in float16. ONNX Runtime takes it for wrong; :class:`Recognizer` reads it as any."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size > 64:
            tensor.CopyFrom(numpy_helper.from_array(np.clip(values, -65504.0, 65504.0).astype(np.float16), tensor.name))
    data: bytes = model.SerializeToString()
    return data


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    atomic.write_bytes(path, save({name: value.contiguous() for name, value in tensors.items()}))


def _surface_rows(mean: Any, keypoints: Any) -> Any:
    """The 68 points first, then one vertex for every cube of 3.5 mm that lies well within the face."""
    from frontalbench.frontalize.tddfa import thinned

    rows = thinned(mean, 3500.0, np.array([], np.int64))
    jaw = mean[keypoints[:17]]
    rows = rows[(mean[rows, 2] < np.median(jaw[:, 2]) + 30_000.0) & (np.abs(mean[rows, 0]) < np.abs(jaw[:, 0]).max())]
    return np.concatenate([keypoints, rows])


def _normals(points: Any, triangles: Any) -> Any:
    """(N, 3) of length 1, outwards."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], np.cross(b - a, c - a))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    outwards = ((points - points.mean(0) - [0.0, 0.0, 60_000.0]) * normals).sum() > 0
    return normals if outwards else -normals
