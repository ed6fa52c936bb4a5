"""IR-ResNets from checkpoints (AdaFace and CVLFace, MagFace, TopoFR): 112 x 112 aligned crop in, embedding out. What differs stands on the card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from torch import Tensor

from frontalbench.catalogue.params import Params
from frontalbench.embed.torch_network import TorchBackbone, read_input
from frontalbench.errors import BadInput
from frontalbench.networks import checkpoints
from frontalbench.networks.ir_resnet import UNITS, IrResNet, renamed

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

WITHIN: Final = ("net.", "model.", "module.features.", "features.module.", "module.", "")
"""What may stand before the names of the network, depending on who saved it; keys without it (a classifier, a loss) belong to the training."""
CLASSIFIER: Final = "weight"
"""TopoFR keeps the weights of its training classes beside the network."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> TorchBackbone:
    """The backbone of a card of family ``ir_resnet``.

    Params: ``dimension``; ``depth`` (18, 34, 50, 100, 200: IR-101 is 100); ``epsilon`` of the batch norms (1e-5); ``mean``, ``std`` 127.5;
    ``colour`` rgb or bgr; ``precision`` float32.

    Raises WeightsMissing, and BadInput for a file that is no such network. ``threads`` is the process's own.
    """
    from frontalbench.weights import store

    params = Params(card)
    options = read_input(params)
    depth = params.integer("depth")
    epsilon = params.number("epsilon", 1e-5, low=0.0)
    params.finish()
    if depth not in UNITS:
        raise BadInput(f"{card.path}: params.depth {depth}: expected one of {', '.join(map(str, UNITS))}")
    path = store.fetch(card)
    state, insightface = network_of(checkpoints.load(path, strip=""), depth, path)
    network = checkpoints.unfilled(lambda: IrResNet(depth, dimension=options["dimension"], epsilon=epsilon, insightface=insightface))
    checkpoints.fill(network, state, path)
    return TorchBackbone(card.name, network, device=device, **options)


def network_of(state: Mapping[str, Tensor], depth: int, path: Path) -> tuple[dict[str, Tensor], bool]:
    """(the network's part of a state dict, under our names; whether it came under InsightFace's). Raises :class:`BadInput` where there is none."""
    for before in WITHIN:
        ours, theirs = f"{before}input_layer.0.weight" in state, f"{before}conv1.weight" in state
        if ours or theirs:
            own = {key.removeprefix(before): value for key, value in state.items() if key.startswith(before)}
            if before == "":
                own.pop(CLASSIFIER, None)
            return (dict(own), False) if ours else (renamed(own, depth), True)
    raise BadInput(
        f"{path}: no IR-ResNet in it (neither 'input_layer.0.weight' nor 'conv1.weight'); it has {', '.join(list(state)[:3])}, ..."
    )
