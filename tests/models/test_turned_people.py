"""Turning people who do not exist, on real weights: the pack is the packaged networks, and a few moves bring the person nearer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images  # noqa: E402
from frontalbench.errors import WeightsMissing  # noqa: E402
from frontalbench.synth import people, turning_pack  # noqa: E402
from frontalbench.synth.turned_files import read_people, write_people  # noqa: E402
from frontalbench.synth.turning import TurningSettings, angles  # noqa: E402


@pytest.mark.weights
def test_a_few_moves_bring_the_person_nearer(
    tmp_path: Path, weight: Callable[..., Path], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight("backbone", "w600k_mbf")
    monkeypatch.setenv("FRONTALBENCH_WEIGHTS", f"{shared / 'weights/tddfa_v2'}:{shared / 'weights/arcface_y1'}")
    pack = tmp_path / "pack"
    try:
        turning_pack.write(pack, 7, [3, 4])
        from frontalbench.synth.torch_generator import TorchGenerator

        generator = TorchGenerator()
    except WeightsMissing as error:
        pytest.skip(str(error))
    turner, given = turning_pack.read(pack, TurningSettings(steps=3, search=1))
    noise = torch.from_numpy(people.noise(7, 3))[None]
    with torch.no_grad():
        style = generator.styles(noise)
        np.testing.assert_allclose(given["styles"][0].float().numpy(), style[0].numpy(), atol=0.01)
        wanted = generator(style, size=256)
    drawn = turner.drawn(style[:, None].expand(-1, 23, -1))
    assert float((drawn - wanted.clamp(-1, 1)).abs().mean()) < 0.01, "half precision is enough"
    middle = given["mean"].float() + 0.65 * (given["styles"][:1].float() - given["mean"].float())
    fronts, front, turned = turner.turn(middle, [30.0])
    parameters, _ = turner.surface.fit(front)
    assert abs(angles(parameters)[0, 0]) < 15.0 and 15.0 < turned.poses[0, 0] < 45.0, "searched in one step"
    assert (turned.similarity.mean() - turned.start.mean()) > 0.02 and float(turned.unusual[0]) < 0.5
    write_people(tmp_path / "one.safetensors", turner, [([3], fronts, front, turned)], 1, image=256, keep_styles=False, seed=7)
    assert [images.decode(row.jpeg).shape for row in read_people(tmp_path / "one.safetensors")] == [(256, 256, 3)] * 2
