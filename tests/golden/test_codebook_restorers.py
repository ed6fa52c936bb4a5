"""CodeFormer and RestoreFormer against golden tensors of the official networks, and what their loaders refuse."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frontalbench.catalogue import cards, networks
from frontalbench.enhance import codeformer, load_finisher, restoreformer
from frontalbench.errors import BadConfig, BadInput
from frontalbench.networks.codeformer import CodeFormer, Generator, recoloured
from frontalbench.networks.restoreformer import RestoreFormer
from frontalbench.networks.vqgan import Codebook
from tests.golden import fills

CLOSE = 3e-4
"""Of the largest value: some eighty layers in a row, values up to 18."""
FEW = 2
"""Places whose two nearest words are so alike that another machine may take the other one (closest logits 2.5e-4, closest distances 1e-4 apart)."""


def _agree(found: Tensor, words: np.ndarray) -> Tensor:
    """The golden words, which ``found`` may differ from in a few places."""
    golden = torch.from_numpy(words.astype(np.int64)).reshape(found.shape)
    assert int((found != golden).sum()) <= FEW
    return golden


def test_codeformer_guesses_the_official_words_and_draws_the_official_face() -> None:
    golden = fills.golden("CodeFormer")
    network = fills.filled(CodeFormer, "CodeFormer", "codeformer", golden="CodeFormer", sums="fill_sums")
    source = 2 * fills.uniform("codeformer/input", 1, 3, 512, 512) - 1
    golden.near("input_first8", source.flatten()[:8])
    with torch.inference_mode():
        features, maps = network.encoder(source)
        words = _agree(network.guess(features).argmax(dim=2), golden.arrays["words"]).reshape(1, 16, 16)
        drawn = network.generator(recoloured(network.quantize.read(words), features), network.fuse_convs_dict, maps, 0.5)
    golden.near("out_w0.5_s8", drawn[:, :, ::8, ::8], close=CLOSE)


def test_restoreformer_finds_the_official_words_and_draws_the_official_face(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = fills.golden("RestoreFormer")
    network = fills.filled(RestoreFormer, "RestoreFormer", "restoreformer", golden="RestoreFormer", sums="fill_sums")
    source = 2 * fills.uniform("restoreformer/input", 1, 3, 256, 256) - 1
    golden.near("input_first8", source.flatten()[:8])

    def looked_up(book: Codebook, features: Tensor) -> Tensor:
        golden.near("asked_s4", features, stride=4, close=CLOSE)
        return book.read(_agree(book.nearest(features), golden.arrays["words"]))

    monkeypatch.setattr(Codebook, "forward", looked_up)
    with torch.inference_mode():
        golden.near("out_s4", network(source)[:, :, ::4, ::4], close=CLOSE)


class Counted(nn.Module):
    """Stands in for the way in which the encoder's maps come back."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[float] = []

    def forward(self, own: Tensor, drawn: Tensor, fidelity: float) -> Tensor:
        self.told.append(fidelity)
        return drawn


@pytest.mark.parametrize(("fidelity", "told"), [(0.0, []), (0.3, [0.3]), (1.0, [1.0])])
def test_the_fidelity_weight_reaches_the_encoder_s_maps_and_at_0_they_are_left_out(fidelity: float, told: list[float]) -> None:
    generator = Generator()
    generator.blocks = nn.ModuleList([nn.Identity(), nn.Identity()])
    generator._open = {1: 32}
    fuse = nn.ModuleDict({"32": Counted()})
    generator(torch.zeros(1, 1, 2, 2), fuse, {32: torch.zeros(1, 1, 2, 2)}, fidelity)
    assert fuse["32"].told == told


def test_a_feature_becomes_the_nearest_word() -> None:
    book = Codebook(3, 2)
    book.embedding.weight.data = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    features = torch.tensor([[3.0, 0.5], [0.4, 1.0], [1.0, 3.5]]).T.reshape(1, 2, 1, 3)
    assert book.nearest(features).tolist() == [[[1, 0, 2]]]
    assert torch.equal(book(features)[0, :, 0].T, book.embedding.weight.data[[1, 0, 2]])


LOADERS = pytest.mark.parametrize(
    ("load_network", "inner"),
    [(codeformer.load_network, "params_ema"), (restoreformer.load_network, "params")],
    ids=["codeformer", "restoreformer"],
)


@LOADERS
@pytest.mark.parametrize("wrong", ["empty", "other", "list", "cut"])
def test_other_checkpoints_are_refused(load_network: Callable[[Path], nn.Module], inner: str, wrong: str, tmp_path: Path) -> None:
    content = {"empty": {}, "other": {inner: {"encoder.blocks.0.weight": torch.zeros(32, 3, 1, 1)}}, "list": [1]}.get(wrong, {inner: {}})
    torch.save(content, tmp_path / "other.pth")
    if wrong == "cut":
        whole = (tmp_path / "other.pth").read_bytes()
        (tmp_path / "other.pth").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"other\.pth: (expected a mapping|not the weights of this network|refused|not a readable)"):
        load_network(tmp_path / "other.pth")


@LOADERS
def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(load_network: Callable[[Path], nn.Module], inner: str, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({inner: Harm()}, tmp_path / "harm.pth")
    with pytest.raises(BadInput, match="refused"):
        load_network(tmp_path / "harm.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["codeformer", "restoreformer"])
def test_another_way_of_putting_the_face_back_shares_the_network(name: str) -> None:
    import dataclasses

    card = cards.find("enhancement", name)
    detail = dataclasses.replace(card, params={**card.params, "mode": "detail", "sigma": 4.0})
    assert networks.network(card) == networks.network(detail) != ""
    load_finisher(name)


def test_another_fidelity_is_another_network_s_image_and_a_wrong_one_is_refused() -> None:
    import dataclasses

    card = cards.find("enhancement", "codeformer")
    other, wrong = (dataclasses.replace(card, params={**card.params, "fidelity": value}) for value in (0.7, 1.5))
    assert networks.network(card) != networks.network(other)
    with pytest.raises(BadConfig, match="fidelity"):
        codeformer.finisher(wrong)
