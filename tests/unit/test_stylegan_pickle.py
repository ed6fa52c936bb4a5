"""Networks of NVIDIA's StyleGAN family: their tensors come out of the pickle, the source in it is not run."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize import stylegan_pickle  # noqa: E402


@pytest.fixture
def official(tmp_path: Path) -> Iterator[types.SimpleNamespace]:
    """Modules of the official tree, as far as a pickle names them: classes that carry their source, plain ones, and the dictionary."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")
    training = types.ModuleType("training.volumetric_rendering.renderer")

    def reconstruct(meta: Any) -> Any:
        (tmp_path / "ran").mkdir()

    reconstruct.__module__, reconstruct.__qualname__ = persistence.__name__, "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = reconstruct  # type: ignore[attr-defined]
    util.EasyDict = type("EasyDict", (dict,), {"__module__": util.__name__})  # type: ignore[attr-defined]
    training.ImportanceRenderer = type("ImportanceRenderer", (nn.Module,), {"__module__": training.__name__})  # type: ignore[attr-defined]

    class Persistent(nn.Module):
        def __reduce__(self) -> Any:
            source = f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n"
            state = dict(self.__dict__)
            return reconstruct, (util.EasyDict(type="class", version=6, module_src=source, class_name="Generator", state=state),)  # type: ignore[attr-defined]

    modules = {module.__name__: module for module in (persistence, util, training)}
    for name in ("torch_utils", "dnnlib", "training", "training.volumetric_rendering"):
        modules[name] = types.ModuleType(name)
    sys.modules.update(modules)
    yield types.SimpleNamespace(Persistent=Persistent, Renderer=training.ImportanceRenderer, modules=modules)  # type: ignore[attr-defined]
    for name in modules:
        sys.modules.pop(name, None)


def network(official: Any) -> nn.Module:
    torch.manual_seed(0)
    made, inner = official.Persistent(), official.Persistent()
    inner.weight = nn.Parameter(torch.randn(3, 2))
    inner.register_buffer("w_avg", torch.randn(4))
    inner.register_buffer("none", None)
    made.backbone = inner
    made.decoder = nn.Sequential(nn.Linear(2, 2), nn.Softplus())
    made.renderer = official.Renderer()
    made.rendering_kwargs = {"ray_start": 2.25, "device": torch.device("cpu"), "dtype": torch.float32, "shape": torch.Size([1, 2])}
    return made


def saved(content: Any, path: Path) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def forget(official: Any) -> None:
    for name in official.modules:
        sys.modules.pop(name, None)


def test_the_tensors_come_out_as_the_network_s_state_dict_and_nothing_ran(official: Any, tmp_path: Path) -> None:
    made = network(official)
    path = saved({"G": None, "G_ema": made, "training_set_kwargs": {"resolution": 512}}, tmp_path / "g.pkl")
    forget(official)
    found = stylegan_pickle.read(path, "G_ema")
    wanted = made.state_dict()
    assert {*found} == {*wanted} and all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert not (tmp_path / "ran").exists()


def test_a_file_of_another_kind_is_refused_in_one_line_and_not_run(official: Any, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    class Called:
        """A call of something on the list with something that is not."""

        def __reduce__(self) -> Any:
            return torch.storage._load_from_bytes, (pickle.dumps(Harm()),)

    whole = pickle.dumps({"G_ema": network(official)})
    contents = {
        "code": pickle.dumps({"G_ema": Harm()}),
        "code within": pickle.dumps({"G_ema": Called()}),
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"no pickle",
        "another network": pickle.dumps({"D": network(official)}),
        "no network": pickle.dumps({"G_ema": 3}),
        "a list": pickle.dumps([1]),
        "no tensors": pickle.dumps({"G_ema": official.Persistent()}),
    }
    forget(official)
    for name, data in contents.items():
        path = tmp_path / "bad.pkl"
        path.write_bytes(data)
        with pytest.raises(BadInput) as caught:
            stylegan_pickle.read(path, "G_ema")
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value), name
    assert not (tmp_path / "ran").exists()
    with pytest.raises(BadInput, match="not found"):
        stylegan_pickle.read(tmp_path / "none.pkl", "G_ema")
