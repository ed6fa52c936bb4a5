"""The liveportrait frontalizer from outside: cards, statuses, crops, settings. The networks are played by a small stand-in."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards, families  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadConfig, NotEnoughMemory, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.frontalize.liveportrait import LivePortraitFrontalizer, Params  # noqa: E402
from frontalbench.frontalize.pasting import Pasting  # noqa: E402
from frontalbench.liveportrait import motion as motions  # noqa: E402
from frontalbench.liveportrait.motion import Motion  # noqa: E402
from frontalbench.liveportrait.pipeline import Driving, LivePortrait, Source  # noqa: E402
from frontalbench.liveportrait.selftest import looks_left, selftest  # noqa: E402
from frontalbench.networks import precision  # noqa: E402

POINTS = np.array([[200.0, 200.0], [280.0, 200.0], [240.0, 245.0], [210.0, 290.0], [270.0, 290.0]], np.float32)


class Puppet(LivePortrait):
    """Keeps LivePortrait's keypoint arithmetic; its images are the crops themselves, with the pose written into the top left pixels.

    ``sign``: which way its keypoints' depth runs. A crop whose first pixel is 255, 0, 0 breaks it.
    """

    def __init__(self, sign: float = 1.0) -> None:
        self.device = torch.device("cpu")
        self.sign = sign
        self.seen: list[int] = []
        zero = {"stitching": 65, "eye": 63, "lip": 63}
        self.perceptrons = {name: (lambda x, width=width: torch.full((len(x), width), 0.01)) for name, width in zero.items()}  # type: ignore[misc]

    def observe(self, crops: Any) -> Source:
        self.seen.append(len(crops))
        if any(tuple(crop[0, 0]) == (255, 0, 0) for crop in crops):
            raise RuntimeError("the network broke\non this crop")
        n = len(crops)
        yaw = torch.tensor([self.sign * (float(crop[:, :256].mean()) - float(crop[:, 256:].mean())) for crop in crops])
        kp = torch.linspace(-0.4, 0.4, 63).view(1, 21, 3).expand(n, 21, 3)
        zeros = torch.zeros(n)
        motion = Motion(kp, torch.full((n, 21, 3), 0.02), torch.full((n, 1), 1.3), torch.zeros(n, 3), yaw, zeros, zeros)
        volume = torch.from_numpy(np.stack(crops))
        return Source(volume, motion, motions.source_keypoints(motion))

    def render(self, source: Source, driving: Any) -> list[Any]:
        images: list[Any] = []
        for crop, x_d, x_s in zip(source.volume, driving, source.keypoints, strict=True):
            image = crop.numpy().copy()
            if not torch.allclose(x_d, x_s):  # "turned": both halves equally bright, so the puppet then sees yaw 0
                image[:] = image.mean()
            images.append(image)
        return images


def view(image: np.ndarray | None = None, points: np.ndarray = POINTS) -> View:
    image = np.full((480, 480, 3), 90, np.uint8) if image is None else image
    return View(image, Face(np.array([180, 150, 300, 320], np.float32), 0.9, points, 1))


def frontalizer(**params: Any) -> LivePortraitFrontalizer:
    return LivePortraitFrontalizer("puppet", Puppet(), Params.from_card({"landmarks": 5, "batch_cpu": 4, **params}, "puppet"))


def test_every_view_gets_one_outcome_in_order_and_one_bad_crop_harms_no_other() -> None:
    red = np.full((480, 480, 3), (255, 0, 0), np.uint8)
    views = [view(), View(np.zeros((9, 9, 3), np.uint8), None), view(red), view(points=np.full((5, 2), np.nan, np.float32)), view()]
    model = frontalizer()
    outcomes = model.frontalize(views)
    assert [outcome.status for outcome in outcomes] == ["ok", "no_face", "model_error", "model_error", "ok"]
    assert outcomes[2].detail == "the network broke on this crop"
    assert "not finite" in outcomes[3].detail
    assert all((outcome.image is not None) == (outcome.status == "ok") for outcome in outcomes)
    assert outcomes[0].image is not None and outcomes[0].image.shape == (512, 512, 3)
    assert outcomes[0].seconds > 0
    assert isinstance(model.portrait, Puppet) and model.portrait.seen == [3, 1, 1, 1]


def test_memory_that_is_short_for_one_image_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """For several at once it only means one by one; a row must not say what another machine would not."""
    model = frontalizer()
    observe = model.portrait.observe

    def short(crops: Any) -> Source:
        if len(crops) > room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return observe(crops)

    monkeypatch.setattr(model.portrait, "observe", short)
    room = 1
    assert [outcome.status for outcome in model.frontalize([view(), view()])] == ["ok", "ok"]
    room = 0
    with pytest.raises(NotEnoughMemory):
        model.frontalize([view(), view()])


def test_pasted_photograph_keeps_its_size_and_everything_outside_the_square() -> None:
    image = np.random.default_rng(1).integers(0, 255, (480, 700, 3), dtype=np.uint8)
    outcome = frontalizer(output="photograph").frontalize([view(image)])[0]
    assert outcome.image is not None and outcome.image.shape == image.shape
    assert np.array_equal(outcome.image[:, 560:], image[:, 560:])
    assert not np.array_equal(outcome.image[200:280, 200:280], image[200:280, 200:280])


@pytest.mark.parametrize("factor", [1, 4])
def test_a_crop_says_where_it_lies_in_the_photograph_as_it_came(factor: int) -> None:
    """Also in a photograph that is shrunk before it is cropped: a crop that was not turned, pasted back, is the photograph again."""
    y, x = np.mgrid[: 480 * factor, : 480 * factor] / factor
    image = np.stack([128 + 90 * np.sin(x / 25), 128 + 90 * np.cos(y / 31), 128 + 60 * np.sin((x + y) / 29)], axis=-1).astype(np.uint8)
    model = frontalizer(multiplier=0.0, stitching=False)
    face = Face(np.array([180, 150, 300, 320], np.float32) * factor, 0.9, POINTS * factor, 1)
    (outcome,) = Pasting(model).frontalize([View(image, face)])
    assert outcome.image is not None and outcome.image.shape == image.shape
    assert np.abs(outcome.image.astype(int) - image).max() <= 8
    assert not np.array_equal(outcome.image, image)


def motion(yaw: float = 30.0, roll: float = 8.0) -> Source:
    generator = torch.Generator().manual_seed(1)
    kp, exp = (torch.randn((1, 21, 3), generator=generator) * factor for factor in (0.3, 0.02))
    one = torch.ones(1)
    m = Motion(kp, exp, one[:, None] * 1.4, torch.tensor([[0.1, 0.2, 0.3]]), one * yaw, one * 5.0, one * roll)
    return Source(torch.zeros(1), m, motions.source_keypoints(m))


RAW = Driving(stitching=False)


def test_driving_to_the_sources_own_pose_changes_nothing() -> None:
    source = motion()
    torch.testing.assert_close(Puppet().drive(source, (30.0, 5.0, 8.0), RAW), source.keypoints)


def test_frontal_driving_uses_the_identity_and_keeps_the_expression() -> None:
    source = motion()
    m = source.motion
    expected = 1.4 * (m.kp + m.exp) + torch.tensor([0.1, 0.2, 0.0])
    torch.testing.assert_close(Puppet().drive(source, settings=RAW), expected)


def test_each_setting_does_what_it_says() -> None:
    source, puppet = motion(), Puppet()
    m, front = source.motion, Puppet().drive(motion(), settings=RAW)
    torch.testing.assert_close(puppet.drive(source, settings=Driving(stitching=True)), front + torch.tensor([0.02, 0.02, 0.01]))
    half = puppet.drive(source, settings=Driving(stitching=False, multiplier=0.5))
    torch.testing.assert_close(half, (front + source.keypoints) / 2)
    assert torch.equal(puppet.drive(source, settings=Driving(stitching=False, multiplier=0.0)), source.keypoints)
    rolled = puppet.drive(source, settings=Driving(stitching=False, keep_roll=True))
    torch.testing.assert_close(rolled, puppet.drive(source, (0.0, 0.0, 8.0), RAW))
    poke = puppet.drive(source, settings=Driving(stitching=False, expression="neutral", depth_shift=True))
    torch.testing.assert_close(poke, 1.4 * m.kp + m.t[:, None])
    eyes = puppet.drive(source, settings=Driving(stitching=False, eyes=0.3), eyes=[(0.2, 0.2)])
    lips = puppet.drive(source, settings=Driving(stitching=False, lips=0.0), lips=[0.1])
    torch.testing.assert_close(eyes, front + 0.01)
    torch.testing.assert_close(lips, front + 0.01)


def test_retargeting_without_measured_ratios_is_refused() -> None:
    with pytest.raises(BadConfig, match="203"):
        Puppet().drive(motion(), settings=Driving(eyes=0.3))
    with pytest.raises(BadConfig, match="203"):
        LivePortraitFrontalizer("x", Puppet(), Params.from_card({"landmarks": 5, "lips": 0.1}, "x"))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"stiching": True}, "stiching"),
        ({"landmarks": 68}, "5, 106"),
        ({"output": "video"}, "crop, photograph"),
        ({"expression": "happy"}, "keep, neutral"),
        ({"multiplier": 7.0}, "0..2"),
        ({"batch": 0}, "1 or more"),
        ({"precision": "half"}, "float32, float16, bfloat16"),
        ({"precision_cpu": "int8"}, "precision_cpu 'int8'"),
    ],
)
def test_unknown_params_are_refused_by_name(params: dict[str, Any], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        Params.from_card(params, "card")


def test_precision_and_device_are_checked() -> None:
    with pytest.raises(BadConfig, match="float32, float16, bfloat16"):
        LivePortrait(lambda name: {}, precision="int8")  # type: ignore[arg-type]
    if not torch.cuda.is_available():
        with pytest.raises(BadConfig, match="no CUDA GPU"):
            LivePortrait(lambda name: {}, device="cuda")


def test_half_precision_on_a_cpu_wants_a_processor_that_computes_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    card = cards.find("frontalizer", "liveportrait")
    half = dataclasses.replace(card, params={**card.params, "precision_cpu": "float16"})
    assert (families.precision(card, "cpu"), families.precision(half, "cpu")) == ("float32", "float16")
    features = {"amx_tile": True, "amx_bf16": True, "amx_fp16": False}  # as Sapphire Rapids has them
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    kinds = (torch.bfloat16, torch.float16, torch.float32)
    assert [precision.in_hardware(kind) for kind in kinds] == [True, False, False]
    with pytest.raises(
        BadConfig, match=r"precision_cpu float16 needs a CPU that computes in it \(amx_tile\+amx_fp16\), and this one does not"
    ):
        load_frontalizer(half)
    features["amx_fp16"] = True
    with pytest.raises(WeightsMissing):
        load_frontalizer(half)
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # older PyTorch
    with pytest.raises(BadConfig, match="use float32"):
        load_frontalizer(half)


@pytest.mark.parametrize("name", ["liveportrait", "liveportrait_raw", "facepoke"])
def test_cards_load_up_to_their_weights_and_say_which_is_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    card = cards.find("frontalizer", name)
    params = Params.from_card(card.params, name)
    assert params.settings.stitching == (name != "liveportrait_raw")
    assert (params.settings.expression, params.crop_shift) == (("neutral", -0.15) if name == "facepoke" else ("keep", -0.125))
    with pytest.raises(WeightsMissing, match=r"appearance_feature_extractor\.pth \(3,387,959 bytes"):
        load_frontalizer(card)


def test_selftest_passes_a_well_behaved_model_and_names_a_mirrored_yaw() -> None:
    crop = np.full((512, 512, 3), 100, np.uint8)
    crop[:, :256] += 25
    good = {check.name: check for check in selftest(Puppet(), [crop], [True])}
    failed = [name for name, check in good.items() if not check.passed]
    assert failed == [], {name: good[name].value for name in failed}
    assert good["reproduces the crop (dB)"].bound == ">= 22"
    bad = {check.name: check for check in selftest(Puppet(sign=-1.0), [crop], [True])}
    assert [name for name, check in bad.items() if not check.passed] == ["sign of yaw"]


def test_five_points_tell_a_plain_turn() -> None:
    assert looks_left(POINTS) is None
    turned = POINTS.copy()
    turned[2, 0] = 195
    assert looks_left(turned) is True
    turned[2, 0] = 285
    assert looks_left(turned) is False
