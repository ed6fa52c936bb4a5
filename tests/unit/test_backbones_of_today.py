"""Families ``ir_resnet``, ``edgeface`` and ``kprpe``: checkpoints as their makers save them, the second input, and files that are something else."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import FileSource, ModelCard
from frontalbench.embed import load_backbone
from frontalbench.embed.base import points_in_crop
from frontalbench.errors import BadInput, FrontalbenchError
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE
from frontalbench.networks.edgenext import EdgeFace
from frontalbench.networks.ir_resnet import UNITS, IrResNet, renamed
from frontalbench.networks.kprpe import KeypointViT
from frontalbench.stages.embed import embed_shard

TODAY = ["lvface_t", "lvface_s", "lvface_b", "lvface_l", "adaface_ir18", "adaface_ir50", "adaface_ir101", "edgeface_xs", "edgeface_s_idiap"]
TODAY += ["edgeface_base", "magface", "topofr_r50", "topofr_r100", "kprpe_webface4m", "kprpe_webface12m"]
TINY = {"dimension": 16, "width": 32, "depth": 1, "heads": 2, "wider": 1}


def card_of(name: str, file: Path, params: Mapping[str, Any]) -> ModelCard:
    card = cards.find("backbone", name)
    weight = dataclasses.replace(
        card.weights["model"],
        bytes=file.stat().st_size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        sources=(FileSource(file),),
    )
    return dataclasses.replace(card, params=MappingProxyType(dict(params)), weights=MappingProxyType({"model": weight}))


def drawn(network: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) * 0.1 + (0.5 if value.ndim < 2 else -0.05))
    return network.eval()


def insightface_names(network: IrResNet) -> dict[str, torch.Tensor]:
    """The state dict of ``network`` as InsightFace names it."""
    plain = {
        **{f"conv1.{end}": "" for end in ["weight"]},
        **{f"{name}.{end}": "" for name in ("bn1", "bn2", "features") for end in ("weight", "bias", "running_mean", "running_var")},
        **dict.fromkeys(["prelu.weight", "fc.weight", "fc.bias"], ""),
    }
    for stage, count in enumerate(UNITS[18], start=1):
        for block in range(count):
            stem = f"layer{stage}.{block}."
            plain |= {f"{stem}{n}.{e}": "" for n in ("bn1", "bn2", "bn3") for e in ("weight", "bias", "running_mean", "running_var")}
            plain |= dict.fromkeys([f"{stem}conv1.weight", f"{stem}conv2.weight", f"{stem}prelu.weight"], "")
            if block == 0:
                plain |= {f"{stem}downsample.1.{e}": "" for e in ("weight", "bias", "running_mean", "running_var")}
                plain |= {f"{stem}downsample.0.weight": ""}
    own = network.state_dict()
    ours = renamed({key: torch.zeros(0) for key in plain}, 18)
    assert set(ours) == {key for key in own if not key.endswith("num_batches_tracked")}
    return {theirs: own[mine] for theirs, mine in zip(plain, ours, strict=True)}


@pytest.fixture(scope="module")
def crops() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)


@pytest.mark.parametrize("name", TODAY)
def test_every_backbone_of_today_says_where_its_file_is_and_whose_terms_hold(name: str) -> None:
    card = cards.find("backbone", name)
    weight = card.weights["model"]
    assert weight.sources or weight.terms
    assert weight.sha256 or card.data["verified"]["level"] == "golden"
    assert card.data["licence"]["weights"] and card.params["dimension"] == 512


@pytest.fixture(scope="module")
def adaface(crops: np.ndarray[Any, Any]) -> tuple[IrResNet, np.ndarray[Any, Any]]:
    """A network and what it makes of the crops."""
    network = drawn(IrResNet(18, dimension=8))
    with torch.inference_mode():
        return network, network(torch.from_numpy(((crops - np.float32(127.5)) / 127.5).transpose(0, 3, 1, 2).copy())).numpy()


@pytest.fixture(scope="module")
def magface(crops: np.ndarray[Any, Any]) -> tuple[IrResNet, np.ndarray[Any, Any]]:
    network = drawn(IrResNet(18, dimension=8, epsilon=2e-5, insightface=True))
    with torch.inference_mode():
        return network, network(torch.from_numpy((crops[..., ::-1] / np.float32(255)).transpose(0, 3, 1, 2).copy())).numpy()


@pytest.mark.parametrize("before", ["net.", "model.", ""])
def test_a_checkpoint_of_adaface_is_read_whoever_saved_it(
    tmp_path: Path, before: str, crops: np.ndarray[Any, Any], adaface: tuple[IrResNet, np.ndarray[Any, Any]]
) -> None:
    network, wanted = adaface
    state = {f"{before}{key}": value for key, value in network.state_dict().items()} | (
        {"head.kernel": torch.ones(2)} if before == "model." else {}
    )
    torch.save({"state_dict": state, "epoch": 3} if before == "model." else state, tmp_path / "a.pt")
    backbone = load_backbone(card_of("adaface_ir18", tmp_path / "a.pt", {"dimension": 8, "depth": 18}))
    found = backbone.embed(crops)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4 * abs(wanted).max())
    np.testing.assert_allclose(found[1:2], backbone.embed(crops[1:2]), rtol=1e-5, atol=1e-5 * abs(wanted).max())
    assert backbone.embed(crops[:0]).shape == (0, 8)


@pytest.mark.parametrize("before", ["features.module.", "module.features.", ""])
def test_a_checkpoint_under_insightface_s_names_is_read_and_its_classifier_left_out(
    tmp_path: Path, before: str, crops: np.ndarray[Any, Any], magface: tuple[IrResNet, np.ndarray[Any, Any]]
) -> None:
    network, wanted = magface
    state = {f"{before}{key}": value for key, value in insightface_names(network).items()}
    torch.save({"state_dict": state | {"fc.loss" if before else "weight": torch.ones(9, 8)}}, tmp_path / "m.pth")
    params = {"dimension": 8, "depth": 18, "epsilon": 2e-5, "mean": 0, "std": 255, "colour": "bgr"}
    backbone = load_backbone(card_of("magface", tmp_path / "m.pth", params))
    np.testing.assert_allclose(backbone.embed(crops), wanted, rtol=2e-4, atol=2e-4 * abs(wanted).max())


def test_a_checkpoint_of_edgeface_is_read(tmp_path: Path, crops: np.ndarray[Any, Any]) -> None:
    network = drawn(EdgeFace("xx_small", share=0.5, dimension=8))
    torch.save(network.state_dict(), tmp_path / "e.pt")
    backbone = load_backbone(card_of("edgeface_xs", tmp_path / "e.pt", {"dimension": 8, "size": "xx_small", "gamma": 0.5}))
    with torch.inference_mode():
        wanted = network(torch.from_numpy(((crops - np.float32(127.5)) / 127.5).transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(backbone.embed(crops), wanted, rtol=1e-4, atol=1e-4 * abs(wanted).max())


@pytest.fixture
def kprpe(tmp_path: Path) -> ModelCard:
    network = KeypointViT(**TINY)
    generator = torch.Generator().manual_seed(0)
    for key, value in network.state_dict().items():
        if value.is_floating_point() and not key.endswith("running_var"):
            value.copy_(torch.randn(value.shape, generator=generator) * (0.5 if value.ndim < 2 else value[0].numel() ** -0.5))
            value.mul_(20.0 if key.startswith("keypoint") else 1.0)
    torch.save({f"net.{key}": value for key, value in network.state_dict().items()}, tmp_path / "k.pt")
    return card_of("kprpe_webface4m", tmp_path / "k.pt", TINY)


def test_the_stage_hands_the_points_of_each_crop_to_a_network_that_takes_them(kprpe: ModelCard, tmp_path: Path, crops: Any) -> None:
    backbone = load_backbone(kprpe)
    assert backbone.takes_points and not load_takes_points("w600k_mbf")
    turned = np.array([[60.0, 80.0], [95.0, 82.0], [88.0, 100.0], [64.0, 121.0], [92.0, 122.0]], np.float32)
    rows = [
        {
            **dict.fromkeys(tables.CROPS.names),
            **{"image_id": str(i), "identity": "a", "role": "probe", "status": status.OK, "detail": "", "score": 0.9, "n_faces": 1},
            **{"box": [0.0] * 4, "points": points.reshape(-1).tolist(), "image": images.encode_png(crop)},
        }
        for i, (points, crop) in enumerate(zip([turned, turned * 2 + 7], [crops[0], crops[0]], strict=True))
    ]
    tables.write(tmp_path / "crops.parquet", pa.Table.from_pylist(rows, schema=tables.CROPS))
    embed_shard(tmp_path / "crops.parquet", tmp_path / "out.parquet", kprpe, lambda: backbone)
    found = tables.read(tmp_path / "out.parquet").to_pylist()
    with_points = backbone.embed(crops[:1], points_in_crop(turned)[None])[0]
    np.testing.assert_allclose(found[0]["embedding"], with_points / np.linalg.norm(with_points), atol=1e-5)
    np.testing.assert_allclose(
        found[1]["embedding"], found[0]["embedding"], atol=1e-5
    )  # the same face twice as large: the same crop, the same points
    assert np.abs(with_points - backbone.embed(crops[:1])[0]).max() > 2e-4  # the template's points are others
    np.testing.assert_allclose(backbone.embed(crops[:1]), backbone.embed(crops[:1], ARCFACE_TEMPLATE[None].astype(np.float32)), atol=1e-6)


def load_takes_points(name: str) -> bool:
    from frontalbench.embed.arcface import ArcFaceOnnx

    assert cards.find("backbone", name).family == "arcface_onnx"
    return ArcFaceOnnx.takes_points


def test_points_of_another_number_than_crops_are_refused(kprpe: ModelCard, crops: Any) -> None:
    with pytest.raises(BadInput, match=r"points should be \(3, 5, 2\), are \(1, 5, 2\)"):
        load_backbone(kprpe).embed(crops, np.zeros((1, 5, 2), np.float32))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("/tmp/never").touch, ())


@pytest.mark.parametrize(
    ("content", "params", "said"),
    [
        ({"backbone.0.weight": torch.ones(2)}, {"dimension": 8, "depth": 18}, "no IR-ResNet in it"),
        ({}, {"dimension": 8, "depth": 18}, "expected a state dict"),
        (Evil(), {"dimension": 8, "depth": 18}, "refused"),
        ({"conv1.weight": torch.ones(2)}, {"dimension": 8, "depth": 18}, "not the weights of this network"),
        ({"conv1.weight": torch.ones(2)}, {"dimension": 8, "depth": 19}, r"depth 19: expected one of 18, 34, 50, 100, 200"),
    ],
)
def test_a_file_that_is_something_else_is_told_in_one_line(tmp_path: Path, content: Any, params: dict[str, int], said: str) -> None:
    file = tmp_path / "x.pt"
    if isinstance(content, Evil):
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file)
    with pytest.raises(FrontalbenchError, match=said) as caught:
        load_backbone(card_of("adaface_ir18", file, params))
    assert "\n" not in str(caught.value)
