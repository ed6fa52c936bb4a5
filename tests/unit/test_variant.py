"""The grammar of variant names: read in one place, and what every part of a name means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from frontalbench.errors import BadConfig
from frontalbench.plan import fingerprint
from frontalbench.plan.grid import WILDCARDS
from frontalbench.plan.variant import GATES, MATCHED, ORIGINAL, RECIPES, control_of, made, parse, turn_of

SRC = Path(__file__).resolve().parents[2] / "src" / "frontalbench"


def test_the_original_has_pixels_and_neither_frontalizer_nor_enhancement() -> None:
    one = parse(ORIGINAL)
    assert (one.is_original, one.has_pixels, one.base, one.frontalizer, one.enhancement, one.steps) == (True, True, ORIGINAL, "", "", ())


@pytest.mark.parametrize(
    ("name", "frontalizer", "enhancement", "steps", "plain"),
    [
        ("mesh.none", "mesh", "none", ("none",), True),
        ("liveportrait_raw.sharp+omit_bg", "liveportrait_raw", "sharp+omit_bg", ("sharp", "omit_bg"), False),
        ("mesh.turned", "mesh", "turned", ("turned",), False),
        ("tddfa@0.85.none", "tddfa@0.85", "none", ("none",), True),
        ("tddfa@1.4x", "tddfa@1", "4x", ("4x",), False),
        ("tddfa@20deg.sharp+omit_bg", "tddfa@20deg", "sharp+omit_bg", ("sharp", "omit_bg"), False),
    ],
)
def test_a_variant_with_pixels_is_its_own_base(name: str, frontalizer: str, enhancement: str, steps: tuple[str, ...], plain: bool) -> None:
    one = parse(name)
    assert (one.name, one.base, one.recipe, one.prefix, one.weight) == (name, name, "", "", None)
    assert (one.frontalizer, one.enhancement, one.steps, one.is_plain) == (frontalizer, enhancement, steps, plain)
    assert one.has_pixels and not one.is_original and one.probes == name and one.turned == ""


def test_a_derived_variant_keeps_its_prefix_as_written_and_has_no_pixels() -> None:
    one = parse("fuse_mean@0.30:mesh.sharp")
    assert (one.name, one.recipe, one.prefix, one.weight, one.base) == (
        "fuse_mean@0.30:mesh.sharp",
        "fuse_mean",
        "fuse_mean@0.30",
        0.3,
        "mesh.sharp",
    )
    assert (one.frontalizer, one.steps, one.has_pixels, one.is_original, one.probes) == ("mesh", ("sharp",), False, False, "mesh.sharp")
    assert parse("fuse_mean:mesh.sharp").weight is None


def test_a_pose_matched_cell_takes_original_probes_and_turned_references() -> None:
    one = parse(f"{MATCHED}:mesh.none")
    assert (one.probes, one.turned, one.base) == (ORIGINAL, "mesh.turned", "mesh.none")
    assert made("mesh") == "mesh.none"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fuse_min:mesh.none", "recipe of fuse_mean"),
        ("Fuse:mesh.none", "recipe of fuse_mean"),
        (":mesh.none", "recipe of fuse_mean"),
        ("fuse_mean:", "recipe of fuse_mean"),
        ("fuse_mean:original", "plain variant"),
        ("fuse_mean:fuse_max:mesh.none", "plain variant"),
        ("pose_matched:mesh.sharp", "by a frontalizer alone"),
        ("fuse_max@0.5:mesh.none", "weight is for fuse_mean"),
        ("fuse_mean@0:mesh.none", "between 0 and 1"),
        ("fuse_mean@1.0:mesh.none", "between 0 and 1"),
        ("fuse_mean@0.3.3:mesh.none", "between 0 and 1"),
        ("fuse_flip@2:mesh.none", "between 0 and 1"),
        ("fuse_flip:mirror.none", "the mirror image is in it already"),
        ("gate_flip@60:mirror.none", "the mirror image is in it already"),
        ("gate_flip:mesh.none", "0 to 180 degrees, as in gate_flip@30:mesh.none"),
        ("gate:mesh.none", "0 to 180 degrees, as in gate@30:mesh.none"),
        ("gate@200:mesh.none", "0 to 180 degrees"),
        ("gate_fuse@3.0.0:mesh.none", "0 to 180 degrees, as in gate_fuse@30:mesh.none"),
        ("gate_learned@30:mesh.none", "weight is for fuse_mean"),
        ("gate@30:fuse_mean:mesh.none", "plain variant"),
    ],
)
def test_a_malformed_name_is_refused_in_one_line_that_names_it(name: str, said: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse(name)
    assert said in str(caught.value) and f"'{name}'" in str(caught.value) and "\n" not in str(caught.value)


def test_every_recipe_can_be_read() -> None:
    names = [f"{recipe}@30:mesh.none" if recipe in GATES else f"{recipe}:mesh.none" for recipe in RECIPES]
    assert [parse(name).recipe for name in names] == list(RECIPES)


def test_a_fusion_of_three_needs_the_mirrored_photographs_and_is_held_against_flip_fusion() -> None:
    for name in ("fuse_flip@0.3:tddfa@0.9.none", "gate_flip@60:tddfa@0.9.none"):
        one = parse(name)
        assert (one.second, one.base, one.probes) == ("mirror.none", "tddfa@0.9.none", "tddfa@0.9.none")
        assert control_of(name) == "fuse_mean:mirror.none"
    assert parse("fuse_flip@0.3:mesh.none").weight == 0.3 and parse("fuse_mean:mesh.none").second == ""


def test_a_gate_carries_its_angle_and_no_weight() -> None:
    one = parse("gate@30:mesh.sharp")
    assert (one.recipe, one.prefix, one.angle, one.weight, one.base, one.probes) == (
        "gate",
        "gate@30",
        30.0,
        None,
        "mesh.sharp",
        "mesh.sharp",
    )
    assert parse("gate_fuse@22.5:mesh.none").angle == 22.5 and parse("gate_learned:mesh.none").angle is None
    assert parse("gate@0:mesh.none").angle == 0.0, "a gate that is always open"


@pytest.mark.parametrize(
    ("frontalizer", "share", "degrees", "at_fifty"),
    [("tddfa@0.85", 0.85, None, 0.85), ("mesh@1", 1.0, None, 1.0), ("tddfa@20deg", None, 20.0, 0.4)],
)
def test_a_frontalizer_s_name_says_how_much_of_the_angle_stays(
    frontalizer: str, share: float | None, degrees: float | None, at_fifty: float
) -> None:
    card, turn = turn_of(frontalizer)
    assert turn is not None and (card, turn.share, turn.degrees) == (frontalizer.partition("@")[0], share, degrees)
    assert turn.stays(-50.0) == pytest.approx(at_fifty) and turn.stays(10.0) == (share or 1.0)
    assert parse(f"fuse_mean@0.3:{frontalizer}.none").turn == turn
    assert control_of(f"fuse_mean@0.3:{frontalizer}.none") == "fuse_mean@0.3:mirror.none"
    for wildcard, name in (("frontalizer", frontalizer), ("variant", f"{frontalizer}.none"), ("judged", f"gate@30:{frontalizer}.none")):
        assert re.fullmatch(WILDCARDS[wildcard], name)


def test_a_frontalizer_s_name_may_ask_for_a_way_in_steps() -> None:
    card, turn = turn_of("tddfa@15step")
    assert turn is not None and (card, turn.step, turn.share, turn.degrees, turn.stays(60.0)) == ("tddfa", 15.0, None, None, 0.0)
    assert parse("fuse_mean:tddfa@15step.sharp").turn == turn
    for wildcard, name in (("frontalizer", "tddfa@15step"), ("variant", "tddfa@7.5step.none")):
        assert re.fullmatch(WILDCARDS[wildcard], name)


def test_turned_references_keep_nothing_of_their_angle() -> None:
    with pytest.raises(BadConfig, match=r"pose_matched:tddfa@0\.5\.none.*nothing stays of their own; leave @\.\.\. out"):
        parse("pose_matched:tddfa@0.5.none")


@pytest.mark.parametrize(
    "frontalizer",
    ["tddfa@1.2", "tddfa@", "tddfa@x", "tddfa@-1", "tddfa@100deg", "tddfa@0.5@0.5", "tddfa@1e-1", "tddfa@0step", "tddfa@91step"],
)
def test_a_share_that_means_nothing_is_refused_in_one_line(frontalizer: str) -> None:
    with pytest.raises(BadConfig) as refused:
        turn_of(frontalizer)
    assert "\n" not in str(refused.value) and f"frontalizer '{frontalizer}': behind @ stands the share" in str(refused.value)


def test_the_control_of_a_variant_is_the_same_made_of_mirror_images() -> None:
    names = ("mesh.sharp", "fuse_mean@0.3:mesh.none", "gate@30:mesh.none", "mirror.none")
    assert [control_of(name) for name in names] == ["mirror.none", "fuse_mean@0.3:mirror.none", "gate@30:mirror.none", "mirror.none"]


def test_nobody_else_takes_a_variant_s_name_apart() -> None:
    by_hand = re.compile(r"""variant\w*\.(r?partition|r?split|startswith|endswith)\(|["']:["'] (not )?in (v|variant)\b""")
    found = [
        f"{path.relative_to(SRC)}:{number}"
        for path in SRC.rglob("*.py")
        if path.name != "variant.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if by_hand.search(line)
    ]
    assert not found, f"use plan/variant.py: {', '.join(found)}"


def test_the_word_original_stands_once_in_the_code() -> None:
    said = re.compile(r"""(==|!=|=|\()\s*["']original["']""")
    found = [
        f"{path.relative_to(SRC)}:{number}"
        for path in SRC.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if said.search(line) and path.name != "variant.py"
    ]
    assert found == [], "use plan/variant.py's ORIGINAL"


def test_a_new_recipe_s_name_reruns_nothing() -> None:
    used = fingerprint.closure(["frontalbench.stages.compare", "frontalbench.stages.turned", "frontalbench.stages.embed"])
    assert "frontalbench.compare.derived" in used and "frontalbench.plan.variant" not in used
