"""FSRT's networks against golden tensors of the official modules (no published weight is in them)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks import fsrt  # noqa: E402
from tests.golden import fills  # noqa: E402

NAME = "fsrt"
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}
PARTS: dict[str, Callable[[], torch.nn.Module]] = {
    "kp_detector": fsrt.keypoint_detector,
    "expression_encoder": fsrt.ExpressionEncoder,
    "encoder": fsrt.Encoder,
    "decoder": fsrt.Decoder,
}


@cache
def part(name: str) -> torch.nn.Module:
    return fills.filled(PARTS[name], NAME, name, name, constant=("down.weight",))


@cache
def motion(role: str) -> fsrt.Motion:
    image = fills.uniform(f"input:fsrt_{role}", 1, 3, fsrt.SIDE, fsrt.SIDE)
    with torch.inference_mode():
        return fsrt.observe(part("kp_detector"), part("expression_encoder"), image)


@cache
def tokens() -> torch.Tensor:
    with torch.inference_mode():
        return part("encoder")(fills.uniform("input:fsrt_source", 1, 3, fsrt.SIDE, fsrt.SIDE), motion("source"))


@pytest.mark.parametrize("name", PARTS)
def test_the_keys_are_the_official_ones(name: str) -> None:
    assert set(part(name).state_dict()) == set(fills.state_keys(NAME, name))


@pytest.mark.parametrize("role", ["source", "driving"])
def test_keypoints_and_expression_are_the_official_ones(role: str) -> None:
    found = motion(role)
    fills.golden(NAME).near(f"kp_{role}", found.keypoints.flatten(), **TOLERANCE)
    fills.golden(NAME).near(f"expr_{role}", found.expression.flatten(), **TOLERANCE)


def test_the_encoder_gives_the_official_tokens() -> None:
    fills.golden(NAME).near("z", tokens(), stride=53, **TOLERANCE)


def test_the_decoder_gives_the_official_colours() -> None:
    pixels = fsrt.pixel_grid().flatten(0, 1)[::64]
    with torch.inference_mode():
        colours = part("decoder").at(tokens(), motion("driving"), pixels)
    fills.golden(NAME).near("rgb_every64th_pixel", colours.flatten(), **TOLERANCE)


def test_the_networks_as_they_are_used_give_the_same() -> None:
    """Laid out for the processor, their products saved."""
    detector, expression, encoder, decoder = (
        fills.filled(kind, NAME, name, name, constant=("down.weight",)) for name, kind in PARTS.items()
    )
    fsrt.ready(detector, expression, encoder, decoder)
    source, driving = (fills.uniform(f"input:fsrt_{role}", 1, 3, fsrt.SIDE, fsrt.SIDE) for role in ("source", "driving"))
    with torch.inference_mode():
        found, wanted = (fsrt.observe(detector, expression, image) for image in (source, driving))
        tokens = encoder(source, found)
        colours = decoder.at(tokens, wanted, fsrt.pixel_grid().flatten(0, 1)[::64])
    for role, motion in (("source", found), ("driving", wanted)):
        fills.golden(NAME).near(f"kp_{role}", motion.keypoints.flatten(), **TOLERANCE)
        fills.golden(NAME).near(f"expr_{role}", motion.expression.flatten(), **TOLERANCE)
    fills.golden(NAME).near("z", tokens, stride=53, **TOLERANCE)
    fills.golden(NAME).near("rgb_every64th_pixel", colours.flatten(), **TOLERANCE)
