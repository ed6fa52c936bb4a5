"""The encoder and the StyleGAN2 generator of mhahmadi258's frontalizer against golden tensors of the official modules (no trained weight is in
them)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from frontalbench.networks.gan_inversion import Decoder, Encoder, GanInversion, Styled  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402
from tests.golden import fills  # noqa: E402

NAME = "gan_inversion_frontalizer"


def test_the_same_weights_read_the_same_styles_and_draw_the_same_face() -> None:
    golden = fills.golden(NAME)
    encoder = fills.filled(Encoder, f"{NAME}_encoder", "C", golden=NAME, sums="enc_param_sum_abssum")
    decoder = fills.filled(Decoder, f"{NAME}_decoder", "C", golden=NAME, sums="dec_param_sum_abssum")
    assert list(encoder.state_dict()) == list(fills.state_keys(f"{NAME}_encoder"))
    assert list(decoder.state_dict()) == list(fills.state_keys(f"{NAME}_decoder"))
    image = fills.drawn("gi/input0", (1, 3, 256, 256), -1, 1)
    golden.near("input_first8", image.flatten()[:8])
    with torch.inference_mode():
        codes = encoder(image)
        golden.near("codes", codes[:, :, ::4])
        drawn = decoder(codes + fills.drawn("gi/latent_avg", (18, 512), -0.5, 0.5))
        golden.near("codes", folded(encoder)(image)[:, :, ::4])
    assert drawn.shape == (1, 3, 1024, 1024)
    golden.near("out256_s2", functional.adaptive_avg_pool2d(drawn, 256)[:, :, ::2, ::2])


def test_the_whole_has_the_names_of_the_published_file() -> None:
    with torch.device("meta"):
        names = list(GanInversion().state_dict())
    parts = {"encoder_firststage": f"{NAME}_encoder", "decoder": f"{NAME}_decoder"}
    assert sorted(names) == sorted(["latent_avg", *(f"{part}.{key}" for part, listed in parts.items() for key in fills.state_keys(listed))])


def test_every_image_of_a_batch_has_its_own_style() -> None:
    torch.manual_seed(0)
    for layer in (Styled(6, 4), Styled(6, 4, doubled=True)):
        for value in layer.state_dict().values():
            value.normal_()
        x, styles = torch.randn(3, 6, 5, 5), torch.randn(3, 512)
        noise = torch.randn(1, 1, *([10, 10] if layer.conv.blur is not None else [5, 5]))
        with torch.inference_mode():
            together = layer(x, styles, noise)
            for i in range(3):
                torch.testing.assert_close(together[i : i + 1], layer(x[i : i + 1], styles[i : i + 1], noise), rtol=1e-4, atol=1e-4)
