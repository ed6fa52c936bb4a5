"""Whole networks pickled by an old PyTorch: their tensors come out, whatever else stands in the file is not run."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch")

from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize import module_pickle  # noqa: E402
from frontalbench.networks.scaleway import Scaleway  # noqa: E402

CLASSES = (("network", "G"),)


@pytest.fixture
def network() -> Iterator[Any]:
    """An instance of a class ``network.G`` that is importable while the test runs, with numbers in all its tensors."""
    module = types.ModuleType("network")
    module.G = type("G", (Scaleway,), {"__module__": "network"})  # type: ignore[attr-defined]
    sys.modules["network"] = module
    torch.manual_seed(0)
    made = module.G()
    made.main[1].running_mean.normal_()
    yield made
    del sys.modules["network"]


def saved(network: Any, path: Path) -> Path:
    torch.save(network, path, _use_new_zipfile_serialization=False)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        module_pickle.read(path, CLASSES)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    return str(caught.value)


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return list(found) == list(wanted) and all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_the_tensors_of_a_pickled_network_come_out_as_its_own_state_dict(network: Any, tmp_path: Path) -> None:
    path = saved(network, tmp_path / "g.pt")
    wanted = {key: value.clone() for key, value in network.state_dict().items()}
    del sys.modules["network"]
    try:
        found = module_pickle.read(path, CLASSES)
        assert {*found} == {*wanted} and all(torch.equal(found[key], wanted[key]) for key in wanted)
        Scaleway().load_state_dict(found)
    finally:
        sys.modules["network"] = types.ModuleType("network")


def test_what_pytorch_1_0_put_into_its_files_is_understood(tmp_path: Path) -> None:
    """By hand as that version wrote: classes with the text of their source, a backend object, tensors in the memory of a GPU, two in one storage."""
    numbers = torch.arange(12.0)

    class Writer(pickle._Pickler):  # type: ignore[name-defined,misc]
        """Writes names of things that do not exist here."""

        def persistent_id(self, value: Any) -> Any:
            return value.pid if isinstance(value, Named) else None

        def save_global(self, value: Any, name: str | None = None) -> None:
            place = getattr(value, "place", None)
            if place is None:
                super().save_global(value, name)
            else:
                self.write(b"c" + f"{place[0]}\n{place[1]}\n".encode())
                self.memoize(value)

        dispatch: ClassVar = {**pickle._Pickler.dispatch, type: save_global}  # type: ignore[attr-defined]

    class Named:
        def __init__(self, *pid: Any) -> None:
            self.pid = pid

        def __call__(self) -> None:
            """Only what can be called may make something in a pickle."""

    def of(module: str, name: str) -> type:
        return type(name, (), {"place": (module, name)})

    class Call:
        def __init__(self, function: Any, *values: Any) -> None:
            self.function, self.values = function, values

        def __reduce__(self) -> Any:
            return self.function, self.values

    storage = Named("storage", of("torch", "FloatStorage"), "94", "cuda:0", 12, None)
    build, parameter = of("torch._utils", "_rebuild_tensor_v2"), of("torch._utils", "_rebuild_parameter")

    def tensor(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Any:
        return Call(parameter, Call(build, storage, offset, size, stride, False, OrderedDict()), True, OrderedDict())

    layer = of("torch.nn.modules.conv", "Conv2d")
    backend = Call(of("torch.nn.backends.thnn", "_get_thnn_function_backend"))

    class Layer:
        def __init__(self, kind: Any, **state: Any) -> None:
            self.kind, self.state = kind, state

        def __reduce__(self) -> Any:
            return self.kind, (), {"_backend": backend, "_buffers": OrderedDict(), "training": True, **self.state}

    inner = Layer(layer, _parameters=OrderedDict(weight=tensor(0, (2, 4), (4, 1)), bias=tensor(8, (4,), (1,)), none=None))
    known = Named("module", of("network", "G"), "/home/somebody/network.py", "class G: pass")
    outer = Layer(known, _parameters=OrderedDict(), _modules=OrderedDict(main=inner))
    with (tmp_path / "old.pt").open("wb") as handle:
        for part in (module_pickle.MAGIC, module_pickle.PROTOCOL, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(part, handle, protocol=2)
        Writer(handle, protocol=2).dump(outer)
        pickle.dump(["94"], handle, protocol=2)
        handle.write(struct.pack("<q", 12) + numbers.numpy().tobytes())
    found = module_pickle.read(tmp_path / "old.pt", CLASSES)
    assert same(found, {"main.weight": numbers[:8].view(2, 4), "main.bias": numbers[8:]})


def test_a_class_that_is_not_expected_is_refused(network: Any, tmp_path: Path) -> None:
    path = saved(network, tmp_path / "g.pt")
    with pytest.raises(BadInput, match=r"refused, .*it asks for network\.G"):
        module_pickle.read(path, [("network", "Other")])


@pytest.mark.parametrize("where", ["instead", "attribute", "machine"])
def test_code_in_a_file_is_refused_and_not_run(where: str, network: Any, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "harm.pt"
    if where == "machine":
        with path.open("wb") as handle:
            for part in (module_pickle.MAGIC, module_pickle.PROTOCOL, Harm()):
                pickle.dump(part, handle, protocol=2)
    else:
        network.extra = Harm()
        saved(Harm() if where == "instead" else network, path)
    assert "refused" in refusal(path) and "mkdir" in refusal(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 10, 0.02, 0.5, 0.999])
def test_a_cut_off_file_is_refused(kept: float, network: Any, tmp_path: Path) -> None:
    path = saved(network, tmp_path / "g.pt")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept >= 1 else kept * len(data))])
    assert "fetch the" in refusal(path)


def test_files_of_other_kinds_are_refused(network: Any, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "new.pt")
    torch.save(network.state_dict(), tmp_path / "states.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "page.pt").write_text("<html>404</html>")
    for name in ("new.pt", "states.pt", "page.pt"):
        assert "fetch the" in refusal(tmp_path / name)


def test_a_file_that_claims_more_numbers_than_it_has_is_refused_before_they_are_made(tmp_path: Path) -> None:
    class Writer(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", 10**12, None) if value == "here" else None

    with (tmp_path / "large.pt").open("wb") as handle:
        for part in (module_pickle.MAGIC, module_pickle.PROTOCOL, {"little_endian": True}):
            pickle.dump(part, handle, protocol=2)
        Writer(handle, protocol=2).dump(["here"])
    assert "more numbers than the file has bytes" in refusal(tmp_path / "large.pt")
