#!/usr/bin/env python3
"""Each network as it is used, beside a plain eager PyTorch module of the same layers: seconds, GMAC/s beside the machine's peak, memory.

    benchmarks/networks.py [--threads 2] [--batch 1 4] [--half] [NAME ...]

``--half``: beside the network as it is used the same with ``precision_cpu: bfloat16`` instead of the plain module.
Both sides hold the same synthetic weights (tests/golden), are built in a process of their own, and run the same input; "differ": how far apart their
results are. Rounds of the two alternate, so that a busy machine disturbs both; the least time counts, in processor seconds of all threads. The peak:
one 3 x 3 convolution of 256 channels. Memory: when the process held most so far, the making of the network included: anonymous (weights and
maps; benchmarks/peak.py), behind a + the mapped files (libraries), of which a machine holds one copy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peak import Watch  # noqa: E402
from tests.golden import fills  # noqa: E402

from frontalbench.networks import (  # noqa: E402
    cvthead,
    deca,
    eg3d,
    ffwm,
    first_order,
    fsgan,
    fsrt,
    gan_inversion,
    gfpgan,
    headgan,
    hourglass,
    hrn,
    precision,
    retinaface,
)
from frontalbench.networks.codeformer import CodeFormer  # noqa: E402
from frontalbench.networks.hourglass import Keypoints  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402
from frontalbench.networks.restoreformer import RestoreFormer  # noqa: E402
from frontalbench.networks.scaleway import Scaleway  # noqa: E402

GAN = "gan_inversion_frontalizer"
RESTORE = ("RestoreFormer", "restoreformer")


class Ffwm(nn.Module):
    """Both networks of FFWM, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = fills.filled(ffwm.FlowNet, "FFWM_flowNetF", "B").without_unused()
        self.generator = fills.filled(ffwm.Generator, "FFWM_netG", "B")

    def forward(self, images: Tensor) -> Tensor:
        drawn: Tensor = self.generator(images, self.flow(images))[0]
        return drawn


class Fsgan(nn.Module):
    """FSGAN's reenactment generator on one image and its copy of half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = fills.filled(lambda: fsgan.Generator(fsgan.REENACTMENT), "FSGAN_Gr", "fsgan_Gr")

    def forward(self, image: Tensor) -> Tensor:
        drawn: Tensor = self.generator([image, nn.functional.avg_pool2d(image, 2)])
        return drawn


class HeadGan(nn.Module):
    """HeadGAN on one image: its NMFC of three frames, and six channels of the reference."""

    def __init__(self) -> None:
        super().__init__()
        self.network = fills.filled(headgan.HeadGan, "headGAN_G", "headgan_G")

    def forward(self, x: Tensor) -> Tensor:
        drawn: Tensor = self.network(x[:, :9], x[:, 9:]).image
        return drawn


class Eg3d(nn.Module):
    """EG3D's image of one style from the front, 128 x 128 rays."""

    def __init__(self) -> None:
        super().__init__()
        self.network = fills.filled(eg3d.Eg3d, "EG3D_ffhq512", "C")
        self.register_buffer("label", torch.from_numpy(fills.golden("EG3D").arrays["frontal_label"]))

    def forward(self, styles: Tensor) -> Tensor:
        labels = self.get_buffer("label").expand(len(styles), -1)
        return self.network.look(styles[:, None].expand(-1, eg3d.STYLES, -1), labels).image


class PlainLayer(eg3d.Layer):
    """EG3D's layer as it is written in the paper."""

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = eg3d.modulated_conv2d(x, self.weight, self.affine(style), doubled=self.doubled)
        if self.doubled:
            y = eg3d.filtered(y, 4.0 * self.get_buffer("resample_filter"), padding=(1, 1))
        if not self.clamped:
            y = y + self.get_buffer("noise_const") * self.noise_strength
        y = nn.functional.leaky_relu(y + self.bias[:, None, None], 0.2) * 2**0.5
        return y.clamp(-256.0, 256.0) if self.clamped else y


class PlainEg3d(eg3d.Eg3d):
    """EG3D's points and march in PyTorch's own steps: planes sampled one by one, samples of a ray sorted with all of their features."""

    def points(self, planes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        x, y, z = (places * (2.0 / eg3d.BOX)).unbind(-1)
        grid = torch.stack([torch.stack(pair, dim=-1) for pair in ((x, y), (x, z), (z, x))], dim=1).flatten(0, 1)[:, None]
        taken = nn.functional.grid_sample(planes.flatten(0, 1), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        mean = taken.view(len(planes), eg3d.PLANES, eg3d.FEATURES, -1).mean(dim=1)
        found: tuple[Tensor, Tensor] = self.decoder(mean.transpose(1, 2))
        return found

    def march(
        self, planes: Tensor, origins: Tensor, directions: Tensor, jitter: Tensor | None = None, quantiles: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        steps = torch.linspace(eg3d.NEAR, eg3d.FAR, eg3d.SAMPLES).view(1, 1, -1, 1) + 0.5 * (eg3d.FAR - eg3d.NEAR) / (eg3d.SAMPLES - 1)
        coarse = steps.expand(*origins.shape[:2], -1, -1)
        features, density = self._along(planes, origins, directions, coarse)
        fine = eg3d._finer(coarse, self._mixed(features, density, coarse)[2], quantiles)
        more, denser = self._along(planes, origins, directions, fine)
        depths, order = torch.cat([coarse, fine], dim=2).sort(dim=2)
        features = torch.cat([features, more], dim=2).gather(2, order.expand(-1, -1, -1, eg3d.FEATURES))
        mixed, depth, _ = self._mixed(features, torch.cat([density, denser], dim=2).gather(2, order), depths)
        return 2.0 * mixed - 1.0, depth

    @staticmethod
    def _mixed(features: Tensor, density: Tensor, depths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        length = depths[:, :, 1:] - depths[:, :, :-1]
        features, density, middle = ((x[:, :, 1:] + x[:, :, :-1]) / 2.0 for x in (features, density, depths))
        alpha = 1.0 - torch.exp(-nn.functional.softplus(density - 1.0) * length)
        passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :, :1]), 1.0 - alpha + 1e-10], dim=2), dim=2)[:, :, :-1]
        weights = alpha * passed
        depth = torch.nan_to_num((weights * middle).sum(2) / weights.sum(2), float("inf")).clamp(depths.min(), depths.max())
        return (weights * features).sum(2), depth, weights


class PlainStyled(gan_inversion.Styled):
    """The styled convolution as it is written in the paper: a step for each of noise, bias, activation and gain."""

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        y = self.conv(x, style) + self.noise.weight * noise + self.activate.bias[:, None, None]
        return nn.functional.leaky_relu(y, 0.2) * 2**0.5


def queries(motion: fsrt.Motion, pixels: Tensor) -> Tensor:
    """FSRT's 480 numbers of ``pixels`` (P, 2): the keypoints' code, the pixel's code, the expression, each for every pixel: (N, P, 480)."""
    n, p = len(motion.keypoints), len(pixels)
    keypoints = fsrt.octaves(motion.keypoints.flatten(1), fsrt.KEYPOINT_OCTAVES)[:, None].expand(n, p, -1)
    where = fsrt.octaves(pixels, fsrt.PIXEL_OCTAVES)[None].expand(n, p, -1)
    return torch.cat([keypoints, where, motion.expression[:, None].expand(n, p, -1)], dim=-1)


class PlainExpression(fsrt.ExpressionEncoder):
    """FSRT's expression as it is published: a convolution, then the means of its maps."""

    def forward(self, features: Tensor, heat: Tensor) -> Tensor:
        code: Tensor = self.expression_mlp(hourglass.pooled(self.expression(features), heat).flatten(1))
        return code


class PlainEncoder(fsrt.Encoder):
    """FSRT's encoder as it is published: all 483 channels go over the image."""

    def forward(self, images: Tensor, motion: fsrt.Motion) -> Tensor:
        n, _, height, width = images.shape
        keypoints = fsrt.octaves(motion.keypoints.flatten(1), fsrt.KEYPOINT_OCTAVES)[:, :, None, None].expand(n, -1, height, width)
        where = fsrt.octaves(fsrt.pixel_grid(width), fsrt.PIXEL_OCTAVES).permute(2, 0, 1)[None].expand(n, -1, -1, -1)
        x = torch.cat([images, keypoints, where, motion.expression[:, :, None, None].expand(n, -1, height, width)], dim=1)
        for block in self.conv_blocks:
            x = block.layers(x)  # type: ignore[operator, union-attr]
        tokens: Tensor = self.transformer(self.per_patch_linear(x).flatten(2).transpose(1, 2))
        return tokens


class PlainDecoder(fsrt.Decoder):
    """FSRT's decoder as it is published: all 480 numbers of every pixel go into the first layer, 4,096 pixels of all images at a time."""

    def at(self, tokens: Tensor, motion: fsrt.Motion, pixels: Tensor) -> Tensor:
        ask = self.allocation_transformer
        memories = ask.transformer.memories(tokens)
        parts = []
        for some in torch.split(pixels, fsrt.PIXELS):
            parts.append(self.render_mlp(ask.transformer(ask.input_mlp(queries(motion, some)), memories)))
        return torch.cat(parts, dim=1)


class PlainSpade(headgan.Spade):
    """HeadGAN's norm as it is written in the paper, in one line."""

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shared = self.mlp_shared(nn.functional.interpolate(told, size=x.shape[2:], mode="nearest"))
        result: Tensor = nn.functional.instance_norm(x) * (1.0 + self.mlp_gamma(shared)) + self.mlp_beta(shared)
        return result


class PlainEnhancer(fsgan._Enhancer):
    """FSGAN's enhancer as it is published, in one line."""

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        drawn: Tensor = self.out_conv(self.flat_block(self.in_conv(x) + self.up_block(features)))
        return drawn


PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    gan_inversion.Styled: PlainStyled,
    eg3d.Layer: PlainLayer,
    eg3d.Eg3d: PlainEg3d,
    headgan.Spade: PlainSpade,
    fsgan._Enhancer: PlainEnhancer,
    fsrt.ExpressionEncoder: PlainExpression,
    fsrt.Encoder: PlainEncoder,
    fsrt.Decoder: PlainDecoder,
}
"""What computes less than is published -> the same as it is published."""


def decoder() -> nn.Module:
    return fills.filled(gan_inversion.Decoder, f"{GAN}_decoder", "C")


def plain(network: nn.Module) -> nn.Module:
    """The network without anything that this project does for speed and memory. For a process that runs no other."""
    for module in (fsgan, headgan, cvthead):
        module.added_ = torch.add
    for module in network.modules():
        module.__class__ = PLAIN.get(type(module), type(module))
    return network


class CvtHead(nn.Module):
    """A photograph described and drawn with a mesh at hand; images alone are the input."""

    def __init__(self) -> None:
        super().__init__()
        from tests.golden import test_cvthead

        self.network = fills.filled(cvthead.CvtHead, "CVTHead", "cvthead", constant=["pos_embedding"])
        self.mesh = test_cvthead.mesh()
        self.vertices = torch.rand((1, 5023, 3), generator=torch.Generator().manual_seed(1)) - 0.5

    def forward(self, images: Tensor) -> Tensor:
        vertices = self.vertices.to(images.device).expand(len(images), -1, -1)
        self.mesh = cvthead.Mesh(*(getattr(self.mesh, name).to(images.device) for name in cvthead.Mesh.__dataclass_fields__))
        drawn: Tensor = self.network(2.0 * images - 1.0, torch.ones_like(images[:, :1]), vertices, vertices, self.mesh)[0]
        return drawn


class FirstOrder(nn.Module):
    """First-Order-Model's generator between two sets of keypoints."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = fills.filled(first_order.Generator, "first_order_model", "generator", "generator", constant=("down.weight",))
        value = torch.linspace(-0.5, 0.5, 20).view(1, 10, 2)
        self.keypoints = [Keypoints(value + shift, torch.eye(2).expand(1, 10, 2, 2)) for shift in (0.0, 0.05)]

    def forward(self, images: Tensor) -> Tensor:
        many = [Keypoints(*(part.expand(len(images), *part.shape[1:]) for part in points)) for points in self.keypoints]
        drawn: Tensor = self.generator(images, *many)
        return drawn


class Fsrt(nn.Module):
    """FSRT's tokens of an image and the colours of 64 x 64 pixels, its keypoints and expression given."""

    def __init__(self) -> None:
        super().__init__()
        names = {"encoder": fsrt.Encoder, "decoder": fsrt.Decoder, "expression_encoder": fsrt.ExpressionEncoder}
        self.parts = nn.ModuleDict({name: fills.filled(kind, "fsrt", name, name) for name, kind in names.items()})
        self.detector = fills.filled(fsrt.keypoint_detector, "fsrt", "kp_detector", "kp_detector", constant=("down.weight",))

    def forward(self, images: Tensor) -> Tensor:
        motion = fsrt.observe(self.detector, self.parts["expression_encoder"], images)  # type: ignore[arg-type]
        drawn: Tensor = self.parts["decoder"](self.parts["encoder"](images, motion), motion, 64)
        return drawn


class Pointed(nn.Module):
    """First-Order-Model's keypoints, in pixels of 256."""

    def __init__(self) -> None:
        super().__init__()
        constant = ("down.weight",)
        self.detector = fills.filled(first_order.keypoint_detector, "first_order_model", "kp_detector", "kp_detector", constant=constant)

    def forward(self, images: Tensor) -> Tensor:
        found: Keypoints = self.detector(images)
        return 127.5 * (found.value + 1.0)


class Restored(nn.Module):
    """CodeFormer at half fidelity."""

    def __init__(self) -> None:
        super().__init__()
        self.network = fills.filled(CodeFormer, "CodeFormer", "codeformer", golden="CodeFormer", sums="fill_sums")

    def forward(self, images: Tensor) -> Tensor:
        drawn: Tensor = self.network(2.0 * images - 1.0, 0.5)
        return drawn


class Found(nn.Module):
    """RetinaFace's three tables as one."""

    def __init__(self) -> None:
        super().__init__()
        fill = ("RetinaFace_R50", "C")
        self.network = fills.filled(lambda: retinaface.RetinaFaceNet("resnet50"), *fill, golden="RetinaFace", sums="r50C_param_sum_abssum")

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([part.flatten(1) for part in self.network(5.0 * images - 2.5)], dim=1)


def used(network: nn.Module) -> nn.Module:
    """The network as the frontalizers use it."""
    if isinstance(network, gfpgan.Gfpgan):
        return gfpgan.ready(network)
    if isinstance(network, Found):
        network.network = retinaface.ready(network.network)
        return network
    if isinstance(network, FirstOrder):
        network.generator = first_order.ready(network.generator)
        return network
    if isinstance(network, Restored):
        network.network = folded(network.network)
        return network
    if isinstance(network, CvtHead):
        network.network = cvthead.ready(network.network)
        return network
    if isinstance(network, Fsrt):
        fsrt.ready(network.detector, *(network.parts[name] for name in ("expression_encoder", "encoder", "decoder")))  # type: ignore[arg-type]
        return network
    if isinstance(network, Pointed):
        network.detector = hourglass.ready(network.detector)
        return network
    if isinstance(network, Eg3d):
        network.network = eg3d.lowered(network.network.eval())
        return network
    return folded(network)


NETWORKS: dict[str, tuple[float, tuple[int, ...], Callable[[], nn.Module]]] = {
    "scaleway": (0.084, (3, 128, 128), lambda: fills.filled(Scaleway, "scaleway_frontalization", "B")),
    "ffwm": (54.9, (3, 128, 128), Ffwm),
    "fsgan.Gr": (305.0, (fsgan.REENACTMENT, 256, 256), Fsgan),
    "headgan": (308.7, (15, 256, 256), HeadGan),
    "eg3d": (152.3, (512,), Eg3d),
    "gan_inversion.encoder": (28.7, (3, 256, 256), lambda: fills.filled(gan_inversion.Encoder, f"{GAN}_encoder", "C")),
    "gan_inversion.decoder": (75.4, (18, 512), decoder),
    "deca.encoder": (4.1, (3, 224, 224), lambda: fills.filled(lambda: deca.Encoder(deca.CODES), "DECA_E_flame", "deca_E_flame")),
    "deca.detail": (0.9, (181,), lambda: fills.filled(deca.DetailDecoder, "DECA_D_detail", "deca_D_detail")),
    "hrn.recon": (4.1, (3, 224, 224), lambda: fills.filled(hrn.Reconstruction, "HRN_net_recon", "hrn_net_recon")),
    "hrn.mid": (3.1, (6, 64, 64), lambda: fills.filled(hrn.mid_net, "HRN_mid_net", "hrn_mid_net")),
    "hrn.high": (50.4, (9, 256, 256), lambda: fills.filled(hrn.high_net, "HRN_high_net", "hrn_high_net")),
    "cvthead": (83.6, (3, 256, 256), CvtHead),
    "first_order": (53.6, (3, 256, 256), FirstOrder),
    "keypoints": (1.4, (3, 256, 256), Pointed),
    "fsrt": (150.4, (3, 256, 256), Fsrt),
    "retinaface_r50": (44.2, (3, 640, 640), Found),
    "gfpgan": (0.0, (3, 512, 512), lambda: fills.filled(gfpgan.Gfpgan, "GFPGANv1Clean", "C")),
    "codeformer": (0.0, (3, 512, 512), Restored),
    "restoreformer": (85.2, (3, 256, 256), lambda: fills.filled(RestoreFormer, *RESTORE, golden="RestoreFormer", sums="fill_sums")),
}
"""Name -> billion multiply-adds of one image, shape of its input, the plain module with synthetic weights."""


def work(name: str, kind: str, threads: int) -> None:
    """The process of one side: a line {"batch": n} on standard input is a round, its answer the seconds and some of the result."""
    if kind == "plain":  # PyTorch as it is (networks/memory.py); nothing has been allocated yet
        os.environ["THP_MEM_ALLOC_ENABLE"] = "0"
    torch.set_num_threads(threads)
    _, shape, make = NETWORKS[name]
    if kind == "half":
        with precision.asking(name, torch.bfloat16):
            network = used(make())
    else:
        made = make()
        network = plain(made) if kind == "plain" else used(made)
    with torch.inference_mode():
        for line in sys.stdin:
            batch = json.loads(line)["batch"]
            x = torch.rand((batch, *shape), generator=torch.Generator().manual_seed(0))
            started = time.process_time()
            y = network(x)
            seconds = time.process_time() - started
            some = y.flatten()[:: max(1, y.numel() // 64)][:64].tolist()
            del y  # a result of the round before is nothing that a network needs
            print(json.dumps({"seconds": seconds, "some": some}), flush=True)


def peak(threads: int) -> float:
    torch.set_num_threads(threads)
    conv, x = nn.Conv2d(256, 256, 3, padding=1), torch.rand(1, 256, 128, 128)
    least = float("inf")
    with torch.inference_mode():
        for _ in range(6):
            started = time.process_time()
            conv(x)
            least = min(least, time.process_time() - started)
    return 256 * 256 * 9 * 128 * 128 / 1e9 / least


def compare(name: str, batches: list[int], threads: int, rounds: int, others: tuple[str, str]) -> None:
    command = [sys.executable, __file__, "--threads", str(threads), "--work", name]
    sides = {
        kind: subprocess.Popen([*command, "--kind", kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for kind in others
    }

    held = dict.fromkeys(others, (0.0, 0.0))

    def ask(kind: str, batch: int) -> dict[str, Any]:
        side = sides[kind]
        assert side.stdin is not None and side.stdout is not None
        with Watch(side.pid) as watch:
            side.stdin.write(json.dumps({"batch": batch}) + "\n")
            side.stdin.flush()
            answer: dict[str, Any] = json.loads(side.stdout.readline())
        held[kind] = max(held[kind], (watch.anonymous, watch.files), key=sum)
        return answer

    for batch in batches:
        answers = {kind: [ask(kind, batch) for _ in range(1)] for kind in sides}
        for _ in range(rounds):
            for kind in sides:
                answers[kind].append(ask(kind, batch))
        some = {kind: torch.tensor(found[0]["some"]) for kind, found in answers.items()}
        first, second = others
        off = float((some[first] - some[second]).abs().max() / some[first].abs().max())
        least = {kind: min(one["seconds"] for one in found[1:]) for kind, found in answers.items()}
        memory = [f"{anonymous:.0f}+{files:.0f}" for anonymous, files in held.values()]
        speed = NETWORKS[name][0] * batch / least[second]
        print(
            f"{name:24}{batch:5d}{least[first]:10.3f}{least[second]:10.3f}{least[first] / least[second]:8.2f}{speed:10.1f}"
            f"{memory[0]:>12}{memory[1]:>12}{off:12.1e}",
            flush=True,
        )
    for side in sides.values():
        assert side.stdin is not None
        side.stdin.close()
        side.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, []], help="networks (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--half", action="store_true", help="what bfloat16 gains instead of what the plain module loses")
    parser.add_argument("--work", choices=[*NETWORKS], help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=["plain", "used", "half"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work, args.kind, args.threads)
        return
    print(f"{args.threads} threads, torch {torch.__version__}; one convolution: {peak(args.threads):.1f} GMAC/s")
    first, second = others = ("used", "half") if args.half else ("plain", "used")
    names = (f"{first} s", f"{second} s", f"{first} MB", f"{second} MB")
    print(f"{'network':24}{'batch':>5}{names[0]:>10}{names[1]:>10}{'ratio':>8}{'GMAC/s':>10}{names[2]:>12}{names[3]:>12}{'differ':>12}")
    for name in args.names or NETWORKS:
        compare(name, args.batch, args.threads, args.rounds, others)


if __name__ == "__main__":
    main()
