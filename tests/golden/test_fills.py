"""The synthetic weights of the golden tests are those that the official modules had."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from frontalbench.errors import BadInput
from tests.golden import fills

SCHEMES = [
    ("scaleway_frontalization", "A", "scaleway_frontalization", "A/param_sum_abssum"),
    ("scaleway_frontalization", "B", "scaleway_frontalization", "B/param_sum_abssum"),
    ("FFWM_flowNetF", "B", "FFWM", "B/param_sum_abssum_flowNetF"),
    ("FFWM_netG", "B", "FFWM", "B/param_sum_abssum_netG"),
    ("3DDFA_V2_mb1", "B", "3DDFA_V2", "mb1_schemeB_param_sum_abssum"),
    ("gan_inversion_frontalizer_encoder", "C", "gan_inversion_frontalizer", "enc_param_sum_abssum"),
    ("gan_inversion_frontalizer_decoder", "C", "gan_inversion_frontalizer", "dec_param_sum_abssum"),
    ("EG3D_ffhq512", "C", "EG3D", "param_sum_abssum"),
    ("RetinaFace_R50", "C", "RetinaFace", "r50C_param_sum_abssum"),
    ("GFPGANv1Clean", "C", "GFPGANv1Clean", "C/param_sum_abssum"),
]
NAMED = [
    ("DECA_E_flame", "deca_E_flame", "DECA"),
    ("DECA_D_detail", "deca_D_detail", "DECA"),
    ("FSGAN_S", "fsgan_S", "FSGAN"),
    ("FSGAN_L", "fsgan_L", "FSGAN"),
    ("FSGAN_Hopenet", "fsgan_Hopenet", "FSGAN"),
    ("FSGAN_VGG19bn_features", "fsgan_VGG", "FSGAN"),
    ("HRN_net_recon", "hrn_net_recon", "HRN"),
    ("HRN_mid_net", "hrn_mid_net", "HRN"),
    ("HRN_deretouch", "hrn_retouch", "HRN"),
    ("headGAN_G", "headgan_G", "headGAN"),
    ("CVTHead", "cvthead", "CVTHead"),
]


@pytest.mark.parametrize(("name", "recipe", "system", "sums"), SCHEMES, ids=lambda value: str(value))
def test_a_fill_by_torch_has_the_official_sums(name: str, recipe: str, system: str, sums: str) -> None:
    fills.check_sums(fills.state(name, recipe), fills.golden(system).arrays[sums])


@pytest.mark.parametrize(("name", "recipe", "system"), NAMED, ids=lambda value: str(value))
def test_a_fill_by_name_has_the_official_values(name: str, recipe: str, system: str) -> None:
    made = fills.state(name, recipe, constant=("pos_embedding",) if system == "CVTHead" else ())
    assert fills.check_fill(made, system, recipe) > 30


class Small(nn.Module):
    def __init__(self, *, more: bool = False) -> None:
        super().__init__()
        self.main = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)) if more else nn.Sequential(nn.Linear(3, 4))


def test_a_network_with_other_names_than_the_official_ones_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = {"main.0.weight": fills.Entry((4, 3), "float32"), "main.0.bias": fills.Entry((4,), "float32")}
    monkeypatch.setattr(fills, "state_keys", lambda name, part=None: listed)
    network = Small()
    made = fills.fill(network, "small", "B")
    assert torch.equal(network.main[0].weight, made["main.0.weight"])
    with pytest.raises(BadInput, match=r"small_statedict\.tsv: .* 2 of its keys missing \(first: main\.1\.weight\)"):
        fills.fill(Small(more=True), "small", "B")


def test_an_output_is_compared_in_every_stored_place() -> None:
    stored = fills.Golden("one", {"out": np.arange(6.0)[::2], "whole": np.arange(6.0)}, {"out": ((2, 3), 2)})
    value = torch.arange(6.0).view(2, 3)
    assert stored.near("out", value) == 0.0
    with pytest.raises(AssertionError, match=r"off by 0\.01"):
        stored.near("out", value + 0.01 * (value == 4.0))
    with pytest.raises(AssertionError, match="expected"):
        stored.near("whole", value)
    with pytest.raises(AssertionError, match="not finite"):
        stored.near("out", value / 0.0)
