"""Golden tensors and the synthetic weights that belong to them, for every network: a golden test is some twenty lines.

The official modules were filled with numbers that follow from the names of their tensors alone, run once, and their outputs kept
(``tests/golden/data``; its README says how). Here the same numbers go into our module::

    def test_the_flow_network_gives_the_official_flow() -> None:
        network = fills.filled(FlowNet, "FFWM_flowNetF", "B", sums="B/param_sum_abssum_flowNetF", golden="FFWM")
        with torch.inference_mode():
            flow = network(fills.drawn("ffwm/input0", (1, 3, 128, 128), 0, 1))
        fills.golden("FFWM").near("B/flow128", flow[:, :, ::2, ::2])

Filling fails where our names or shapes differ from the official list, in either direction. A *recipe* is ``A``, ``B`` or ``C`` (drawn by torch from
the tensor's name) or a name like ``deca_E_flame`` (drawn by NumPy from that name, a colon and the tensor's name); the README has both tables.
"""

from __future__ import annotations

import csv
import functools
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from frontalbench.networks import checkpoints
from frontalbench.networks.liveportrait import keys

DATA = Path(__file__).resolve().parent / "data"
SCHEMES = ("A", "B", "C")
CLOSE = 1e-4
"""Of the largest golden value: what another machine may differ by."""

LIVEPORTRAIT = {name: keys.FILES[name] for name in ("appearance", "motion", "warping", "generator")} | {
    name: f"stitching_retargeting_module.{name}" for name in keys.MLP_WIDTHS
}
"""Our name of a LivePortrait network -> its name in the lists."""

Array = npt.NDArray[Any]
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Entry:
    """One tensor of an official state dict."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def floats(self) -> bool:
        return self.dtype.startswith("float")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def _shape(text: str) -> tuple[int, ...]:
    return () if text == "scalar" else tuple(int(side) for side in text.split("x"))


@functools.cache
def state_keys(name: str, part: str | None = None) -> Mapping[str, Entry]:
    """Official keys in order, from ``<name>_statedict.tsv``; ``part``: the module, for lists that hold several (column ``module``)."""
    rows = _rows(DATA / f"{name}_statedict.tsv")
    found = {row["key"]: Entry(_shape(row["shape"]), row["dtype"]) for row in rows if row.get("module") == part}
    assert found, f"{name}_statedict.tsv has no part {part}; it has {sorted({row.get('module') or '-' for row in rows})}"
    return found


# Weights ----------------------------------------------------------------------------------------------------------------------------------


def state(name: str, recipe: str, part: str | None = None, *, constant: Sequence[str] = ()) -> dict[str, Tensor]:
    """The synthetic state dict of an official key list. Keys that end as one of ``constant`` are left out: constants of the network."""
    wanted = {key: entry for key, entry in state_keys(name, part).items() if not key.endswith(tuple(constant) or ("\n",))}
    return _scheme(wanted, recipe) if recipe in SCHEMES else _named(wanted, recipe)


def fill(module: nn.Module, name: str, recipe: str, part: str | None = None, *, constant: Sequence[str] = ()) -> dict[str, Tensor]:
    """Fill ``module`` (see :func:`state`); its keys and shapes must be the official ones, exactly. Returns what was filled in."""
    made = state(name, recipe, part, constant=constant)
    own = {key: value for key, value in module.state_dict().items() if constant and key.endswith(tuple(constant))}
    checkpoints.fill(module, {**made, **own}, f"{name}_statedict.tsv")
    assert {*made, *own} == set(state_keys(name, part)), "a key that may be missing in a file may not be missing here"
    return made


def filled(
    make: Callable[[], Module],
    name: str,
    recipe: str,
    part: str | None = None,
    *,
    constant: Sequence[str] = (),
    golden: str | None = None,
    sums: str | None = None,
) -> Module:
    """``make()`` filled, in evaluation mode and without gradients; with ``sums`` (an array of ``golden``) the fill itself is checked first."""
    network = checkpoints.unfilled(make)
    made = fill(network, name, recipe, part, constant=constant)
    if golden is not None and sums is not None:
        check_sums(made, Golden.of(golden).arrays[sums])
    return network.eval().requires_grad_(False)


def liveportrait(network: str) -> dict[str, Tensor]:
    """The synthetic state dict of one of LivePortrait's networks, by our names for them."""
    return state("liveportrait", LIVEPORTRAIT[network], LIVEPORTRAIT[network])


def check_sums(made: Mapping[str, Tensor], wanted: Array) -> None:
    """``wanted``: sum and sum of absolute values per key, float64 (keys, 2). Fails where the random generator is another one."""
    found = np.array([[float(value.double().sum()), float(value.double().abs().sum())] for value in made.values()])
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3, err_msg="another random generator: comparing outputs means nothing")


def check_fill(made: Mapping[str, Tensor], system: str, module: str) -> int:
    """Compare with the rows of ``<system>_fill_check.tsv`` of ``module``: first value, sum, largest absolute value. How many were compared."""
    rows = [row for row in _rows(DATA / f"{system}_fill_check.tsv") if row["module"] == module and row["key"] in made]
    assert rows, f"{system}_fill_check.tsv has nothing of {module}"
    for row in rows:
        flat = made[row["key"]].double().flatten()
        wanted = [float(row.get("first") or row["first_value"]), float(row["sum"]), float(row["absmax"])]
        found = [float(flat[0]), float(flat.sum()), float(flat.abs().max())]
        scale = float(flat.abs().sum())
        assert np.allclose(found, wanted, rtol=1e-4, atol=1e-6 * max(1.0, scale)), f"{row['key']}: {found}, expected {wanted}"
    return len(rows)


def _scheme(wanted: Mapping[str, Entry], scheme: str) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    later = [key for key in wanted if key.endswith("weight_v")]
    for key, (shape, floats) in ((key, (entry.shape, entry.floats)) for key, entry in wanted.items()):
        if key in later:
            continue
        if not floats:
            made[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        draw = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        owner, _, last = key.rpartition(".")
        beside = f"{owner}.running_var" if owner else "running_var"
        if last == "running_var":
            made[key] = draw.abs() + 0.5
        elif last == "weight" and beside in wanted:
            made[key] = 1.0 + 0.02 * draw
        elif last == "weight_u":
            made[key] = draw / draw.norm()
        elif scheme == "A" or draw.ndim < 2:
            made[key] = 0.02 * draw
        else:
            fan = draw.numel() / (shape[0] * shape[1] if draw.ndim == 5 else shape[0])
            made[key] = draw * (2.0 / fan) ** 0.5 * (0.5 if scheme == "C" else 1.0)
    for key in later:
        weight = made[key.removesuffix("_v") + "_orig"]
        v = weight.reshape(weight.shape[0], -1).T @ made[key.removesuffix("_v") + "_u"]
        made[key] = v / v.norm()
    return {key: made[key] for key in wanted}


def _named(wanted: Mapping[str, Entry], module: str) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for key, entry in wanted.items():
        if key.endswith((".weight_u", ".weight_v")):
            continue
        if not entry.floats:
            made[key] = torch.zeros(entry.shape, dtype=torch.int64)
            continue
        r = random_state(f"{module}:{key}").standard_normal(entry.shape)
        if key.endswith("running_mean"):
            r = 0.1 * r
        elif key.endswith("running_var"):
            r = 0.5 + np.abs(r)
        elif key.endswith(("gamma", "beta")):
            r = 0.1 * r
        elif key.endswith("bias"):
            r = 0.05 * r
        elif len(entry.shape) == 1:
            r = 1.0 + 0.1 * r
        else:
            r = r / np.sqrt(r.size / entry.shape[0])
        made[key] = torch.from_numpy(np.asarray(r, np.float32))
    for key in [key for key in made if key.endswith(".weight_orig")]:
        w = made[key].numpy().reshape(made[key].shape[0], -1).astype(np.float64)
        v = np.ones(w.shape[1]) / np.sqrt(w.shape[1])
        for _ in range(10):
            u = w @ v
            u /= np.linalg.norm(u)
            v = w.T @ u
            v /= np.linalg.norm(v)
        stem = key.removesuffix("_orig")
        made[f"{stem}_u"], made[f"{stem}_v"] = (torch.from_numpy(vector.astype(np.float32)) for vector in (u, v))
    return {key: made[key] for key in wanted}


# Inputs -----------------------------------------------------------------------------------------------------------------------------------


def drawn(name: str, shape: Sequence[int], low: float, high: float) -> Tensor:
    """The inputs that belong to recipes A, B and C: uniform in ``low`` .. ``high``, from torch's generator seeded by ``name``."""
    return low + (high - low) * torch.rand(tuple(shape), generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def random_state(tag: str) -> np.random.RandomState:
    """NumPy's generator of one name."""
    return np.random.RandomState(zlib.crc32(tag.encode("utf-8")))


def uniform(tag: str, *shape: int) -> Tensor:
    """The inputs that belong to the other recipes: uniform in 0 .. 1, float32."""
    return tensor(random_state(tag).random_sample(shape))


def normal(tag: str, spread: float, *shape: int) -> npt.NDArray[np.float64]:
    """The same, normal with standard deviation ``spread``, still float64: sums of several are made before :func:`tensor`."""
    values: npt.NDArray[np.float64] = random_state(tag).standard_normal(shape) * spread
    return values


def tensor(values: Array) -> Tensor:
    """As a float32 tensor."""
    return torch.from_numpy(np.asarray(values, np.float32))


# Outputs ----------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Golden:
    """The stored outputs of one system: ``arrays`` by name, ``index``: shape and stride of those that were thinned out."""

    name: str
    arrays: Mapping[str, Array]
    index: Mapping[str, tuple[tuple[int, ...], int]]

    @staticmethod
    @functools.cache
    def of(name: str) -> Golden:
        """From ``<name>_golden.npz`` and, where there is one, ``<name>_golden_index.tsv``."""
        with np.load(DATA / f"{name}_golden.npz", allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        listed = DATA / f"{name}_golden_index.tsv"
        rows = _rows(listed) if listed.is_file() else []
        index = {row.get("array") or row["name"]: (_shape(row["full_shape"]), int(row["stride"])) for row in rows}
        return Golden(name, arrays, index)

    def near(
        self,
        key: str,
        value: Tensor | Array,
        *,
        stride: int | None = None,
        close: float = CLOSE,
        rtol: float = 0.0,
        atol: float | None = None,
    ) -> float:
        """``value`` is the whole output, which is thinned out as the index says (or by ``stride``, flat), or exactly what is stored.

        It may differ by ``atol`` (unless given: ``close`` times the largest golden value) plus ``rtol`` times each golden value. Returns the largest
        difference over the largest golden value.
        """
        found = (value.detach().float().cpu().contiguous().numpy() if isinstance(value, Tensor) else np.asarray(value)).copy()
        wanted = self.arrays[key]
        if stride is not None:
            found = found.reshape(-1)[::stride]
        elif key in self.index:
            shape, step = self.index[key]
            assert found.size == int(np.prod(shape)), f"{key}: {found.shape}, expected {shape}"
            found = found.reshape(-1)[::step] if step > 1 else found
        if key in self.index or stride is not None:
            found = found.reshape(wanted.shape)
        assert found.shape == wanted.shape, f"{key}: {found.shape}, expected {wanted.shape}"
        assert np.isfinite(found).all(), f"{key}: values that are not finite"
        off, most = np.abs(found - wanted), float(np.abs(wanted).max())
        allowed = (close * most if atol is None else atol) + rtol * np.abs(wanted)
        assert (off <= allowed).all(), f"{self.name} {key}: off by {off.max():.3g} where the largest golden value is {most:.3g}"
        return float(off.max()) / max(most, 1e-30)

    def near_sub(self, key: str, value: Tensor, *, close: float = CLOSE) -> float:
        """The same for the arrays named after modules beside recipes A, B and C: the first image, every (n // 512)-th value, first 512."""
        return self.near(key, sub(value), close=close)


def golden(name: str) -> Golden:
    """See :meth:`Golden.of`."""
    return Golden.of(name)


def sub(value: Tensor) -> Tensor:
    """What :meth:`Golden.near_sub` compares."""
    flat = value[0].flatten()
    return flat[:: max(1, flat.numel() // 512)][:512]


def record(network: nn.Module, names: Sequence[str], run: Callable[[], object]) -> dict[str, Tensor]:
    """Outputs of the modules ``names`` while ``run()`` runs, each as it was at its first call."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: object, out: Tensor) -> None:
            found.setdefault(name, out.clone())

        return hook

    modules = dict(network.named_modules())
    hooks = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        with torch.inference_mode():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return found
