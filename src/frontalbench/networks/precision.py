"""Networks that compute in half precision on a CPU, where its instructions do so: ``precision_cpu`` of a card's params, float32 unless said.

One way for all of them. :func:`frontalbench.catalogue.families.load` opens :func:`asking` with what the card says; whoever makes a network ready for
use hands it through :func:`lowered`, convolutions that are laid out for the processor take :func:`dtype`, and files of ONNX go to an engine that has
the type (:mod:`frontalbench.runtime.sessions`). Convolutions, linear layers and matrix products then multiply in that type and sum in float32; inputs
and outputs of the network stay float32, and so does what is :func:`exact` in it: coordinates, of which bfloat16 knows 128 between 1 and 2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from frontalbench.errors import BadConfig
from frontalbench.networks import asked as asks
from frontalbench.networks.asked import PARAM, PRECISIONS

Module = TypeVar("Module", bound=nn.Module)

_INSTRUCTIONS: Final[Mapping[torch.dtype, tuple[tuple[str, ...], ...]]] = {
    torch.bfloat16: (("amx_tile", "amx_bf16"), ("avx512_bf16",)),
    torch.float16: (("amx_tile", "amx_fp16"),),
}
"""Number type -> sets of processor features, each of which is enough: products of pairs that are summed in float32."""


def in_hardware(dtype: torch.dtype) -> bool:
    """Whether this CPU multiplies numbers of ``dtype`` (bfloat16, float16) and sums them in float32: AVX512_BF16, or Intel's AMX."""
    ask = getattr(torch.cpu, "get_capabilities", None)  # older PyTorch cannot tell
    has = ask() if ask else {}
    return any(all(has.get(feature) for feature in features) for features in _INSTRUCTIONS.get(dtype, ()))


def checked(name: str, precision: object) -> torch.dtype:
    """The number type of a card's ``precision_cpu``. Raises :class:`BadConfig` for a word that is not known, and where this CPU lacks it."""
    if precision not in PRECISIONS:
        raise BadConfig(f"card '{name}': {PARAM} {precision!r} is not known; known: {', '.join(PRECISIONS)}")
    found: torch.dtype = getattr(torch, str(precision))
    if found != torch.float32 and not in_hardware(found):
        wanted = " or ".join("+".join(features) for features in _INSTRUCTIONS[found])
        raise BadConfig(
            f"card '{name}': {PARAM} {precision} needs a CPU that computes in it ({wanted}), and this one does not; use float32"
        )
    return found


@contextlib.contextmanager
def asking(name: str, wanted: torch.dtype, why: str = "this family computes in float32 on a CPU") -> Iterator[None]:
    """Networks that are made ready inside compute in ``wanted``. Raises :class:`BadConfig`, which says ``why``, at the end where there was none that
    can."""
    with asks.asking(str(wanted).removeprefix("torch.")) as asked:
        yield
    if wanted != torch.float32 and not asked.answers:
        raise BadConfig(f"card '{name}': {PARAM}: {why}; leave the param out")


def dtype() -> torch.dtype:
    """What a network that is made ready now should compute in."""
    found: torch.dtype = getattr(torch, asks.word())
    return found


def lowered(network: Module, *methods: str) -> Module:
    """``network``, which computes in :func:`dtype` from now on when it is called on a CPU; itself where that is float32.

    Only calls of the module itself, or of the ``methods`` that are named: others stay as they are.
    """
    wanted = dtype()
    if wanted != torch.float32:
        asks.answered()
        for method in methods or ("forward",):
            setattr(network, method, _under(getattr(network, method), wanted))
    return network


def exact(network: Module) -> Module:
    """``network``, which is called by a network that may be :func:`lowered` and computes in float32 itself, but for parts that are lowered."""
    if dtype() != torch.float32:
        network.forward = _under(network.forward, None)
    return network


def _under(call: Callable[..., Any], wanted: torch.dtype | None) -> Callable[..., Any]:
    """``call`` in ``wanted``, or exactly (None); float32 out, and for exact calls float32 in."""

    @functools.wraps(call)
    def run(*args: Any, **options: Any) -> Any:
        if wanted is not None:
            with torch.autocast("cpu", dtype=wanted):
                return _float32(call(*args, **options))
        with torch.autocast("cpu", enabled=False):
            return _float32(call(*_float32(args), **_float32(options)))

    return run


def _float32(value: Any) -> Any:
    """``value`` with every half precision tensor in it as float32."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _INSTRUCTIONS else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_float32(part) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(_float32(part) for part in value)
    if isinstance(value, dict):
        return {key: _float32(part) for key, part in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{field.name: _float32(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return value
