"""CVTHead by card: its four files, each refused in one line where it is another, its mesh, and where heads are put."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.errors import BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import cvthead, load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from frontalbench.landmarks.base import Landmarks  # noqa: E402
from frontalbench.networks.cvthead import CvtHead  # noqa: E402
from tests.golden import faces, fills  # noqa: E402
from tests.unit.facekit import mesh_levels, write_flame  # noqa: E402
from tests.unit.test_frontalize_deca import CPU, Given, codes, photograph, view  # noqa: E402
from tests.unit.test_frontalize_deca import SQUARE as POINTS  # noqa: E402
from tests.unit.weightkit import without_networks  # noqa: E402


def constant(listed: str) -> dict[str, Any]:
    """A state dict of one number: tensors of the right shapes in a file of a few kilobytes."""
    one, none = torch.tensor(0.001), torch.tensor(0)
    return {key: (one if entry.floats else none).expand(entry.shape) for key, entry in fills.state_keys(listed).items()}


def files(folder: Path) -> dict[str, Path]:
    """Files as their makers write them, with numbers that mean nothing but a head in the middle of the crop."""
    paths = {key: folder / weight.file for key, weight in cards.find("frontalizer", "cvthead").weights.items()}
    state = {**constant("CVTHead"), "deca.E_flame.layers.0.weight": torch.zeros(3), "face_parsing.conv.weight": torch.zeros(2)}
    torch.save({"model": state}, paths["model"])
    coarse = constant("DECA_E_flame")
    coarse["layers.2.weight"] = torch.zeros(1).expand(236, 1024)
    coarse["layers.2.bias"] = codes().float()
    torch.save({"E_flame": coarse}, paths["deca"])
    arrays = faces.flame_arrays()
    write_flame(paths["flame"], {**arrays, "shapedirs": arrays["shapedirs"].astype(np.float32)}, "python 3")
    paths["mesh"].write_bytes(pickle.dumps(mesh_levels(), protocol=2))
    return paths


def card_of(paths: Mapping[str, Path]) -> ModelCard:
    """The shipped card with the hashes of these files written into it."""

    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    return dataclasses.replace(
        cards.find("frontalizer", "cvthead"), weights=MappingProxyType({key: pinned(key, path) for key, path in paths.items()})
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return files(tmp_path_factory.mktemp("cvthead"))


class _Harm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "damage"), [("model", "cut"), ("model", "code"), ("deca", "code"), ("flame", "cut"), ("mesh", "cut"), ("mesh", "code")]
)
def test_any_other_file_is_refused_in_one_line_and_not_run(
    key: str, damage: str, whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / whole[key].name
    if damage == "cut":
        path.write_bytes(whole[key].read_bytes()[: whole[key].stat().st_size // 2])
    elif key == "mesh":
        path.write_bytes(pickle.dumps(mesh_levels() | {"adj": _Harm(tmp_path / "ran")}, protocol=2))
    else:
        torch.save(_Harm(tmp_path / "ran"), path)
    if key in ("flame", "mesh"):
        without_networks(monkeypatch)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of({**whole, key: path}))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_lacks_a_part_is_refused_and_other_networks_in_it_are_left_alone(whole: dict[str, Path], tmp_path: Path) -> None:
    state = dict(torch.load(whole["model"], weights_only=True)["model"])
    assert {"deca", "face_parsing"} <= {key.partition(".")[0] for key in state}
    del state["vtx_query"]
    torch.save({"model": state}, tmp_path / "cvthead.pt")
    with pytest.raises(BadInput, match=r"cvthead\.pt: .*1 of its keys missing \(first: vtx_query\)"):
        load_frontalizer(card_of({**whole, "model": tmp_path / "cvthead.pt"}))


@pytest.mark.parametrize(
    ("key", "level", "value", "said"),
    [
        ("face", 0, np.array([[0, 1, 9999]]), "'face' names vertices that are not there"),
        ("face", 1, np.array([[0, 1, 2]]), "'face': vertex 0 has 2 others around it, a spiral needs 8"),
        ("down_transform", 0, np.zeros((1256, 5023)), "'down_transform' should choose one vertex for each of 1256"),
        ("up_transform", 1, np.zeros((3, 3)), "'up_transform' should be an array of 1256 x 314 numbers, is (3, 3)"),
    ],
)
def test_a_mesh_whose_levels_do_not_fit_is_refused(key: str, level: int, value: Any, said: str, tmp_path: Path) -> None:
    levels = mesh_levels()
    levels[key][level] = value
    path = tmp_path / "transform.pkl"
    path.write_bytes(pickle.dumps(levels, protocol=2))
    with pytest.raises(BadInput) as caught:
        cvthead.read_mesh(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value) and "\n" not in str(caught.value)


def test_the_levels_of_the_mesh_are_those_of_the_file(whole: dict[str, Path]) -> None:
    mesh, levels = cvthead.read_mesh(whole["mesh"]), mesh_levels()
    points = torch.from_numpy(levels["vertices"][0])[None]
    kept = levels["down_transform"][1] @ (levels["down_transform"][0] @ levels["vertices"][0])
    np.testing.assert_allclose(mesh.coarse(points)[0].numpy(), kept)
    np.testing.assert_allclose(mesh.up_fine.to_dense().numpy(), levels["up_transform"][0].toarray(), atol=1e-6)
    assert mesh.spiral_fine.shape == (5023, 9) and mesh.spiral_middle.shape == (1256, 9)
    assert torch.equal(mesh.spiral_fine[:, 0], torch.arange(5023))


def test_without_files_of_one_s_own_the_line_says_where_they_are_and_what_to_accept() -> None:
    card = cards.find("frontalizer", "cvthead")
    assert all(weight.terms for weight in card.weights.values())
    with pytest.raises(WeightsMissing, match=r"has no known sha256.*licen.e.*fetch_weights\.py --from"):
        load_frontalizer(card)


class Drawn(torch.nn.Module):
    """Stands for the network: keeps where heads are, and draws a grey square."""

    def forward(self, image: Any, mask: Any, own: Any, wanted: Any, mesh: Any) -> Any:
        self.own, self.wanted, self.mask = own, wanted, mask
        return torch.zeros_like(image), torch.ones_like(mask)


def family(given: Any, whole: dict[str, Path]) -> tuple[cvthead.CvtHeadFrontalizer, Drawn]:
    network = Drawn()
    made = cvthead.CvtHeadFamily(
        lambda _: Landmarks(POINTS, "ibug68"),
        lambda image: np.ones(image.shape[:2], np.float32),
        faces.flame(),
        cvthead.read_mesh(whole["mesh"]),
        Given(given),  # type: ignore[arg-type]
        network,  # type: ignore[arg-type]
        CPU,
    )
    return cvthead.CvtHeadFrontalizer("cvthead", made, takes_target_pose=True, batch=2), network


def test_the_head_lies_where_deca_sees_it_and_turns_to_the_front(whole: dict[str, Path]) -> None:
    model, network = family(codes((30.0, 0.0, 0.0)), whole)
    outcome, none = model.frontalize([view(), View(photograph(), None)])
    assert outcome.status == "ok" and outcome.image is not None and outcome.image.shape == (256, 256, 3), outcome.detail
    assert none.status == "no_face" and outcome.place is not None
    item = model.family.prepare(view(), (0.0, 0.0, 0.0))
    flat = (network.own[0, :, :2].double().numpy() + 1.0) * 128.0 - 0.5
    middle = apply(item.image.matrix, POINTS.min(axis=0) / 2.0 + POINTS.max(axis=0) / 2.0)
    assert np.abs((flat.min(axis=0) + flat.max(axis=0)) / 2.0 - middle).max() < 6.0, "the head's middle is the crop's"
    nose, ahead = network.own[0, 86 * 29 + 14], network.wanted[0, 86 * 29 + 14]
    assert float(nose[0] - network.own[0, :, 0].mean()) < -0.1 and abs(float(ahead[0] - network.wanted[0, :, 0].mean())) < 0.1
    assert float(nose[2]) < float(network.own[0, :, 2].mean()), "near is small"


@pytest.mark.parametrize("given", [codes(scale=-8.0), codes(shift=(2.0, 0.0)), torch.zeros(236)])
def test_a_head_that_lies_elsewhere_is_a_row_and_never_an_image(
    given: Any, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = family(given, whole)
    found = model.frontalize([view(), view()])
    assert [one.status for one in found] == ["model_error"] * 2 and "does not lie where the face is" in found[0].detail


def test_the_network_made_ready_for_use_has_no_norm_left_that_could_be_folded() -> None:
    from frontalbench.networks import cvthead as networks

    made = networks.ready(CvtHead())
    assert not [name for name, module in made.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not [name for name, module in made.named_modules() if type(module).__name__ == "_StandardConv"]


@pytest.mark.parametrize("inputs", [128, 64], ids=["the map itself is added", "a convolution of it is added"])
@pytest.mark.parametrize("grad", [False, True])
def test_a_block_made_ready_gives_the_same_in_less_room(inputs: int, grad: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from frontalbench.networks import cvthead as networks

    monkeypatch.setattr(networks, "_STRIP", 1 << 14)
    torch.manual_seed(5)
    block = networks._Bottleneck(inputs, 32).eval().requires_grad_(False)
    for norm in block.modules():
        if isinstance(norm, torch.nn.GroupNorm):
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
    ready = networks._Frugal(block)
    for count, side in ((1, 48), (2, 16), (1, 48)):
        x = (torch.randn(count, inputs, side, side) * 3 + 1).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            want = block(x.clone())
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(ready(x.clone(memory_format=torch.preserve_format)), want, rtol=1e-4, atol=1e-4)
