"""First-Order-Model and FSRT as frontalizers: by card, with synthetic weights, on images of people who do not exist; files that are no weights."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import framing, load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import SelfTested, View  # noqa: E402
from frontalbench.frontalize.driven import reproduction  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from frontalbench.images import RGB  # noqa: E402
from frontalbench.landmarks import tddfa  # noqa: E402
from tests.golden import fills  # noqa: E402

Weight = Callable[..., Path]
PEOPLE = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


SIDES = {"first_order": 256, "fsrt": 24}
"""Pixels of the results; FSRT is asked for few, each costs 17 million multiply-adds."""


@pytest.fixture(scope="module", autouse=True)
def _models(weight: Weight) -> None:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)


def with_files(card: ModelCard, files: Mapping[str, Path]) -> ModelCard:
    weights = {
        key: WeightFile(key, path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest(), (FileSource(path),))
        for key, path in files.items()
    }
    params = {**card.params, **({"side": SIDES["fsrt"]} if card.family == "fsrt" else {})}
    return dataclasses.replace(card, weights=MappingProxyType(weights), params=MappingProxyType(params))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Files of the published form, filled with synthetic weights; what training leaves beside the weights is there too."""
    folder = tmp_path_factory.mktemp("weights")

    def saved(name: str, content: dict[str, Any]) -> Path:
        torch.save(content, folder / name)
        return folder / name

    def filled(system: str, part: str) -> dict[str, torch.Tensor]:
        made = fills.state(system, part, part, constant=("down.weight",))
        shrink = {key: smoothing() for key in fills.state_keys(system, part) if key.endswith("down.weight")}
        return made | shrink

    beside = {
        "optimizer_generator": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]},
        "epoch": 9,
    }
    parts = ("encoder", "decoder", "expression_encoder")
    return {
        "first_order": {
            "model": saved("vox-cpk.pth.tar", {part: filled("first_order_model", part) for part in ("generator", "kp_detector")} | beside)
        },
        "fsrt": {
            "kp_detector": saved("kp_detector.pt", filled("fsrt", "kp_detector")),
            "model": saved("vox256.pt", {part: filled("fsrt", part) for part in parts} | beside),
        },
    }


@pytest.fixture(scope="module")
def models(files: dict[str, dict[str, Path]]) -> dict[str, Any]:
    """The frontalizers of both cards, filled, loaded once."""
    return {family: load_frontalizer(with_files(cards.find("frontalizer", family), files[family])) for family in SIDES}


def smoothing() -> torch.Tensor:
    from frontalbench.networks.hourglass import Shrink

    return Shrink().weight


def view(image: RGB) -> View:
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    return View(image, choose(detector.detect(image), (image.shape[1], image.shape[0])))


def image(step: str, person: int = 1) -> RGB:
    name = f"synth_{person:02d}"
    return images.decode((PEOPLE / name / ("GT" if step == "front" else "Angle") / f"{name}_{step}.jpg").read_bytes())


@pytest.mark.parametrize("family", SIDES)
def test_a_card_turns_a_batch_and_says_where_each_square_lies(family: str, models: dict[str, Any]) -> None:
    model = models[family]
    views = [view(image("l39")), View(image("l13"), None), view(image("r26", 7))]
    outcomes = model.frontalize(views)
    assert [one.status for one in outcomes] == [status.OK, status.NO_FACE, status.OK], [one.detail for one in outcomes]
    for one, shown in zip(outcomes, views, strict=True):
        if one.image is None:
            continue
        side = SIDES[family]
        assert one.image.shape == (side, side, 3) and one.place is not None and shown.face is not None
        eyes, mouth = (apply(one.place.matrix, shown.face.points[part]).mean(axis=0) / side for part in (slice(2), slice(3, 5)))
        assert 0.3 < eyes[1] < 0.5 and 0.6 < mouth[1] < 0.85 and 0.3 < eyes[0] < 0.7, "the face in the middle, hair above it"
    assert np.array_equal(model.frontalize(views[:1])[0].image, outcomes[0].image)
    with pytest.raises(ValueError, match="cannot turn"):
        model.frontalize(views, (10.0, 0.0, 0.0))


@pytest.mark.parametrize("family", SIDES)
def test_two_images_at_once_are_drawn_as_each_alone(family: str, models: dict[str, Any]) -> None:
    network = models[family].family
    items = [network.prepare(view(image(step)), (0.0, 0.0, 0.0)) for step in ("l39", "r13")]
    assert items[0].start != items[1].start
    with torch.inference_mode():
        both, alone = network.run(items), torch.cat([network.run([item]) for item in items])
    torch.testing.assert_close(both, alone, rtol=1e-3, atol=1e-4)


def degenerate(shared: Path) -> dict[str, View]:
    profile = images.decode((shared / "testdata" / "frll" / "neutral_left_profile" / "001_01.jpg").read_bytes())
    noise = np.random.default_rng(3).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    guess = Face(
        np.array([60, 60, 140, 150], np.float32), 0.6, np.array([[80, 90], [120, 90], [100, 110], [85, 130], [115, 130]], np.float32), 1
    )
    front = image("front")
    import cv2

    small = cv2.resize(front, (64, 64), interpolation=cv2.INTER_AREA)
    grey = np.repeat(front.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    return {
        "profile": view(profile),
        "no landmarks": View(noise, guess),
        "two faces": view(np.hstack([front, image("front", 2)])),
        "small": view(small),
        "grey": view(grey),
        "cut by the border": view(np.ascontiguousarray(image("l26")[:, 100:])),
        "a box of no size": View(front, dataclasses.replace(guess, box=np.array([50, 50, 50, 50], np.float32))),
    }


@pytest.mark.parametrize("family", SIDES)
def test_degenerate_images_are_outcomes_and_no_exceptions(family: str, models: dict[str, Any], shared: Path) -> None:
    views = degenerate(shared)
    outcomes = dict(zip(views, models[family].frontalize(list(views.values())), strict=True))
    for name, one in outcomes.items():
        assert (one.image is not None) == (one.status == status.OK) and (one.status == status.OK or one.detail), name
    assert all(outcomes[name].status == status.OK for name in ("profile", "two faces", "grey")), outcomes
    assert outcomes["a box of no size"].status == status.MODEL_ERROR


def test_synthetic_weights_fail_the_self_test_and_a_network_that_gives_the_crop_back_passes_its_first_check(models: dict[str, Any]) -> None:
    views = [view(image("l39"))]
    network = models["first_order"].family
    assert not reproduction(network, views).passed and not reproduction(models["fsrt"].family, views).passed
    assert isinstance(models["fsrt"], SelfTested)
    checks = models["first_order"].selftest(views)
    assert [check.name for check in checks][:2] == ["reproduces the crop (dB)", "images"] and not all(check.passed for check in checks)

    class Kept:
        prepare = network.prepare

        def reproduced(self, items: list[Any]) -> torch.Tensor:
            return torch.stack([torch.from_numpy(item.framed.pixels).permute(2, 0, 1) / 255.0 for item in items])

    assert reproduction(Kept(), views).passed

    class Asked(Kept):
        """Pixels asked for one by one, as FSRT draws them: a sixteenth of the crop's, each as it is where it lies."""

        def reproduced(self, items: list[Any]) -> torch.Tensor:
            return torch.nn.functional.interpolate(super().reproduced(items), (64, 64), mode="bilinear", align_corners=False)

    assert reproduction(Asked(), views).value > 45, "no loss by the size"
    with pytest.raises(BadInput, match="at least one image in which a face is found"):
        reproduction(network, [View(image("l39"), None)])


def test_fsrt_s_self_test_draws_as_many_pixels_as_its_checks_look_at(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    family = models["fsrt"].family
    monkeypatch.setattr(family, "reproduced", lambda items: torch.zeros(len(items), 3, family.side, family.side))
    monkeypatch.setattr(family, "run", lambda items: sides.append(family.side) or torch.zeros(len(items), 3, family.side, family.side))
    for side, drawn in ((256, 64), (24, 24)):
        monkeypatch.setattr(family, "side", side)
        assert not all(check.passed for check in models["fsrt"].selftest([view(image("l39"))]))
        assert {*sides} == {drawn} and family.side == side
        sides.clear()


def damaged(path: Path, how: str, tmp_path: Path) -> Path:
    made = tmp_path / path.name
    if how == "cut off":
        made.write_bytes(path.read_bytes()[:5000])
    elif how == "code":
        made.write_bytes(pickle.dumps({"generator": print, "encoder": print}, protocol=2))
    else:
        content = torch.load(path, weights_only=True)
        part = content.get("generator") or content["encoder"]
        key = next(iter(part))
        part["other." + key] = part.pop(key)
        torch.save(content, made)
    return made


@pytest.mark.parametrize("how", ["cut off", "code", "another network"])
@pytest.mark.parametrize("family", SIDES)
def test_a_file_that_is_not_the_weights_is_refused_in_one_line(
    family: str, how: str, files: dict[str, dict[str, Path]], tmp_path: Path
) -> None:
    wrong = files[family] | {"model": damaged(files[family]["model"], how, tmp_path)}
    with pytest.raises(BadInput, match=rf"{wrong['model'].name}: .*(fetch the|check the card)") as caught:
        load_frontalizer(with_files(cards.find("frontalizer", family), wrong))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["first_order", "first_order_absolute", "first_order_adv", "fsrt", "fsrt_absolute"])
def test_a_weight_that_nobody_pinned_is_not_loaded_and_the_line_says_what_to_do(name: str) -> None:
    with pytest.raises(WeightsMissing, match=rf"{name}.*no known sha256.*write its bytes and sha256 into .*{name}\.yaml"):
        load_frontalizer(cards.find("frontalizer", name))


def test_the_forehead_is_what_detectors_add_to_the_points(shared: Path) -> None:
    detector, fitter = load_detector(cards.find("detector", "scrfd_500m")), tddfa.load(cards.find("landmarks", "tddfa_mb1"))
    above = []
    for folder in ("neutral_front", "neutral_left_3quarter", "neutral_left_profile"):
        for path in sorted((shared / "testdata" / "frll" / folder).glob("*.jpg"))[:8:2]:
            image = images.decode(path.read_bytes())
            face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
            assert face is not None
            points = fitter.fit(image, face).vertices[fitter.basis.keypoints]
            top, bottom = points[:, 1].min(), points[:, 1].max()
            above.append((top - face.box[1]) / (bottom - top))
    assert np.median(above) == pytest.approx(framing.FOREHEAD, abs=0.05)
