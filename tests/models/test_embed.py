"""Backbones: the same embedding whatever the batch, the threads and the graph; cards that do not fit the file.

With real weights or photographs.
"""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.embed import load_backbone
from frontalbench.embed.arcface import ArcFaceOnnx
from frontalbench.embed.base import normalise
from frontalbench.errors import BadConfig, BadInput
from frontalbench.geometry.similarity import align
from frontalbench.runtime import engines
from frontalbench.runtime import sessions as runtime
from tests.unit.test_embed import Crops, Weight

BACKBONES = ["w600k_mbf", "edgeface_s", "sface", "arcface_y1"]


@pytest.fixture(scope="module")
def crops(shared: Path, weight: Weight) -> Crops:
    """Seven aligned faces; 0 and 1 are one person seen from the front and in three-quarter view, 2 and 3 another."""
    weight("detector", "scrfd_500m")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    names = [
        f"frll/neutral_{view}/{person}_{number}" for person in ("001", "002") for view, number in (("front", "03"), ("left_3quarter", "02"))
    ]
    names += [f"lfw/{person}/{person}_0001" for person in ("Tony_Blair", "Serena_Williams", "Hans_Blix")]
    found = []
    for name in names:
        image = images.decode((shared / "testdata" / f"{name}.jpg").read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        assert face is not None
        found.append(align(image, face.points))
    return np.stack(found)


@pytest.mark.weights
@pytest.mark.parametrize("name", BACKBONES)
def test_embeddings_do_not_depend_on_batch_or_threads(name: str, weight: Weight, crops: Crops) -> None:
    weight("backbone", name)
    card = cards.find("backbone", name)
    backbone = load_backbone(card)
    whole, _ = normalise(backbone.embed(crops))
    assert whole.shape == (len(crops), backbone.dimension) == (7, card.params["dimension"])
    single, _ = normalise(np.concatenate([backbone.embed(crop[None]) for crop in crops]))
    turned, _ = normalise(backbone.embed(crops[::-1].copy()))
    threaded, _ = normalise(load_backbone(card, threads=3).embed(crops))
    for other in (single, turned[::-1], threaded):
        assert np.abs(other - whole).max() < 1e-5
    assert backbone.embed(crops[:0]).shape == (0, backbone.dimension)


@pytest.mark.weights
@pytest.mark.parametrize("name", BACKBONES)
def test_one_person_is_nearer_than_another(name: str, weight: Weight, crops: Crops) -> None:
    weight("backbone", name)
    units, _ = normalise(load_backbone(cards.find("backbone", name)).embed(crops))
    similar = units @ units.T
    others = similar[np.triu_indices(7, 1)]
    same = [similar[0, 1], similar[2, 3]]
    assert min(same) > 0.5
    assert sorted(others)[-2:] == sorted(same)


@pytest.mark.weights
def test_the_embedding_is_that_of_insightface(weight: Weight, crops: Crops) -> None:
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX

    reference = ArcFaceONNX(str(weight("backbone", "w600k_mbf")))
    expected = reference.get_feat([np.ascontiguousarray(crop[..., ::-1]) for crop in crops])
    found = load_backbone(cards.find("backbone", "w600k_mbf")).embed(crops)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.weights
def test_the_faster_graph_is_the_same_function(weight: Weight, crops: Crops) -> None:
    path = weight("backbone", "w600k_mbf")
    plain = ArcFaceOnnx("plain", path, dimension=512, fast_prelu=False).embed(crops)
    fast = ArcFaceOnnx("fast", path, dimension=512, fast_prelu=True).embed(crops)
    assert not np.array_equal(plain, fast), "the graph was not changed"
    np.testing.assert_allclose(fast, plain, atol=1e-5 * np.abs(plain).max())


@pytest.mark.weights
@pytest.mark.parametrize("name", ["w600k_mbf", "sface", "arcface_y1"])
def test_pytorch_gives_the_embeddings_of_onnx_runtime(name: str, weight: Weight, crops: Crops) -> None:
    path, params = weight("backbone", name), _own_params(cards.find("backbone", name))
    wanted, found = (normalise(ArcFaceOnnx(name, path, engine=engine, **params).embed(crops))[0] for engine in engines.NAMES)
    assert not np.array_equal(found, wanted)
    assert np.abs(found - wanted).max() < 1e-4
    assert (found.astype(np.float64) * wanted).sum(axis=1).min() > 1 - 1e-4


@pytest.mark.weights
def test_a_network_that_pytorch_cannot_rebuild_is_refused_with_its_operators(weight: Weight) -> None:
    path, params = weight("backbone", "edgeface_s"), _own_params(cards.find("backbone", "edgeface_s"))
    with pytest.raises(BadInput, match=r"operator Clip, Div, Erf, .* is not known to engine_cpu: torch; leave engine_cpu out of the card"):
        ArcFaceOnnx("edgeface_s", path, engine="torch", **params)


@pytest.mark.weights
@pytest.mark.parametrize("name", BACKBONES)
def test_in_half_precision_an_embedding_is_the_same_to_four_digits(name: str, weight: Weight, crops: Crops, tmp_path: Path) -> None:
    path, card = weight("backbone", name), cards.find("backbone", name)
    half = tmp_path / "half.onnx"
    half.write_bytes(runtime.half_precision(path))
    types = {tensor.data_type for tensor in onnx.load(half).graph.initializer if len(tensor.dims) > 1 and min(tensor.dims) > 1}
    assert TensorProto.FLOAT16 in types, "nothing was converted"
    whole, halved = (
        normalise(ArcFaceOnnx(name, file, fast_prelu=False, **_own_params(card)).embed(crops))[0] for file in (path, half)
    )  # the CPU runs such a file with casts, so it shows what rounding does and nothing of a GPU's speed
    assert not np.array_equal(whole, halved)
    assert (whole * halved).sum(axis=1).min() >= 0.9999
    assert np.abs(whole @ whole.T - halved @ halved.T).max() < 2e-3


def _own_params(card: cards.ModelCard) -> dict[str, Any]:
    """What a card says of the crop, as arguments."""
    given = dict(card.params)
    size = (given.pop("height", 112), given.pop("width", 112))
    given.pop("fast_prelu", None)
    numbers = {
        key: (float(given.pop(key)),) * 3 if np.isscalar(given[key]) else tuple(given.pop(key)) for key in ("mean", "std") if key in given
    }
    return {**given, **numbers, "size": size}


@pytest.mark.weights
def test_half_precision_is_for_gpus_and_a_cpu_computes_as_ever(weight: Weight, crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    path, card = weight("backbone", "w600k_mbf"), cards.find("backbone", "w600k_mbf")
    asked = dataclasses.replace(card, params={**card.params, "precision": "float16"})
    assert asked.digest() != card.digest()
    np.testing.assert_array_equal(load_backbone(asked).embed(crops), load_backbone(card).embed(crops))
    assert runtime.real_precision("float16", "cpu") == "float32"
    # Where ONNX Runtime says that it has CUDA the graph is the halved one; here the session then falls back to the CPU, loudly.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert runtime.real_precision("float16", "auto") == "float16"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        session = runtime.onnx_session(path, device="cuda", precision="float16")
    assert runtime.DeviceFallback in {warning.category for warning in said}
    blob = np.random.default_rng(0).normal(size=(1, 3, 112, 112)).astype(np.float32)
    feeds = {session.get_inputs()[0].name: blob}
    plain, half = runtime.run(runtime.onnx_session(path), None, feeds)[0], runtime.run(session, None, feeds)[0]
    assert plain.dtype == half.dtype == np.float32
    assert 0 < np.abs(plain - half).max() < 0.01 * np.abs(plain).max()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("kind", "name", "shape"), [("backbone", "w600k_mbf", (3, 3, 112, 112)), ("detector", "scrfd_500m", (1, 3, 256, 320))]
)
def test_bound_inputs_and_outputs_give_the_same_bytes(weight: Weight, kind: str, name: str, shape: tuple[int, ...]) -> None:
    session = runtime.onnx_session(weight(kind, name))
    feeds = {session.get_inputs()[0].name: np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    names = [output.name for output in session.get_outputs()][::-1]
    plain = runtime.run(session, names, feeds)
    for bound in (runtime.run_bound(session, names, feeds), runtime.run_bound(session, None, feeds)[::-1]):
        assert [(a.dtype, a.shape, a.tobytes()) for a in bound] == [(a.dtype, a.shape, a.tobytes()) for a in plain]
    with pytest.raises(Exception, match=r"(?i)invalid|dimension|shape"):
        runtime.run_bound(session, None, {name: value[:, :2] for name, value in feeds.items()}, runtime.quiet_run())


@pytest.mark.weights
def test_a_file_that_declares_a_free_batch_but_fails_on_one_runs_crop_by_crop(weight: Weight, capfd: pytest.CaptureFixture[str]) -> None:
    backbone = ArcFaceOnnx("edgeface_s", weight("backbone", "edgeface_s"), dimension=512)
    assert onnxruntime.InferenceSession(weight("backbone", "edgeface_s")).get_inputs()[0].shape[0] != 1
    assert not backbone.batched
    assert ArcFaceOnnx("w600k_mbf", weight("backbone", "w600k_mbf"), dimension=512).batched
    assert "Reshape" not in capfd.readouterr().err


@pytest.mark.weights
def test_a_card_that_does_not_fit_its_file_is_refused_in_one_line(weight: Weight) -> None:
    weight("backbone", "w600k_mbf")
    card = cards.find("backbone", "w600k_mbf")
    for params, message in (
        ({"dimension": 128}, "dimension 128, the file gives 512"),
        ({"dimension": 512, "width": 96}, "card says input"),
    ):
        with pytest.raises(BadInput, match=message) as caught:
            load_backbone(dataclasses.replace(card, params=params))
        assert "\n" not in str(caught.value)
    with pytest.raises(BadConfig, match=r"params\.dimension is missing"):
        load_backbone(dataclasses.replace(card, params={}))
    with pytest.raises(BadInput, match="w600k_mbf: crops should be"):
        load_backbone(card).embed(np.zeros((1, 96, 96, 3), np.uint8))
    with pytest.raises(BadInput, match="scrfd"):
        ArcFaceOnnx("x", weight("detector", "scrfd_500m"), dimension=512)
