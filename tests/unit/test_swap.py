"""The self-test of completion and blending: what it asks of a swap, with stand-ins for the networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.fsgan import swap  # noqa: E402
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE  # noqa: E402

Tensors = Sequence[torch.Tensor]
POINTS = (ARCFACE_TEMPLATE * 1.5 + 30.0).astype(np.float32)
FACE = Face(np.array([40.0, 40.0, 190.0, 200.0], np.float32), 0.9, POINTS, 1)


def person(seed: int, base: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(-30, 30, (12, 12, 3))
    return np.clip(np.kron(small, np.ones((20, 20, 1))) + base, 0, 255).astype(np.uint8)


def pair() -> swap.Pair:
    return swap.pair_of((person(0, 170), FACE), (person(1, 90), FACE))


def keeps(levels: Tensors) -> torch.Tensor:
    """Completion that has nothing to complete; blending that leaves what was pasted."""
    return levels[0][:, :3]


def test_the_face_is_laid_onto_the_other_and_the_mask_is_where_it_belongs() -> None:
    one = pair()
    assert one.turned.shape == one.target.shape == (256, 256, 3)
    y, x = np.nonzero(one.mask)
    assert 0.15 < one.mask.mean() < 0.6 and abs(x.mean() - 128) < 25 and abs(y.mean() - 128) < 40


def test_networks_that_only_keep_give_a_swap_that_passes_what_needs_no_training() -> None:
    found = swap.checks(pair(), keeps, keeps, trained=False)
    assert [check.name for check in found] == ["finite", "repeatable (levels)", "outside (levels)", "inside (levels)", "seam"]
    assert all(check.passed for check in found), "\n".join(map(str, found))


def test_a_blend_into_the_takers_light_is_told_from_a_paste_and_a_hard_border_from_a_soft_one() -> None:
    one = pair()

    def levelled(levels: Tensors) -> torch.Tensor:
        """A blend: the pasted face in the target's tone."""
        pasted, target, mask = levels[0][:, :3], levels[0][:, 3:6], levels[0][:, 6:7]
        mean = [(image * mask).sum(dim=(2, 3), keepdim=True) / mask.sum() for image in (pasted, target)]
        return pasted + mean[1] - mean[0]

    plain = {check.name: check for check in swap.checks(one, keeps, keeps, trained=True)}
    better = {check.name: check for check in swap.checks(one, keeps, levelled, trained=True)}
    assert better["tone"].passed and not plain["tone"].passed and plain["giver"].value > 0.9
    hard = np.where(one.mask[..., None], one.turned, one.target).astype(np.float64)
    assert swap.seam(hard, one.mask) > 40 > swap.seam(one.target.astype(np.float64), one.mask)


def noise(levels: Tensors) -> torch.Tensor:
    """As a network without training: everywhere something else, always the same."""
    return torch.rand(levels[0][:, :3].shape, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0


def test_networks_without_training_leave_the_taker_alone_beyond_the_soft_border(monkeypatch: pytest.MonkeyPatch) -> None:
    """The soft border reaches 10 pixels beyond the mask; what a network draws farther out must never be seen."""
    outside = {check.name: check for check in swap.checks(pair(), noise, noise, trained=False)}["outside (levels)"]
    assert outside.passed and outside.value < 1e-3
    monkeypatch.setattr(swap, "blended", lambda complete, blend, turned, face, target, mask: blend([target]))
    assert not {check.name: check for check in swap.checks(pair(), noise, noise, trained=False)}["outside (levels)"].passed


@pytest.mark.parametrize(
    ("fault", "name"), [("nan", "finite"), ("same", "inside (levels)"), ("noise", "repeatable (levels)"), ("other", "giver")]
)
def test_each_fault_fails_its_check(fault: str, name: str) -> None:
    def blend(levels: Tensors) -> torch.Tensor:
        target = levels[0][:, 3:6]
        if fault == "nan":
            return torch.full_like(target, float("nan"))
        if fault == "noise":
            return torch.rand_like(target)
        return target if fault == "same" else -levels[0][:, :3]

    failed = [check.name for check in swap.checks(pair(), keeps, blend, trained=True) if not check.passed]
    assert name in failed


def test_half_of_the_weights_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from frontalbench.commands import selftest_swap
    from frontalbench.errors import BadInput

    monkeypatch.setattr("sys.argv", ["selftest_swap.py", "--completion", "a.pth"])
    with pytest.raises(BadInput, match="give both --completion and --blending, or neither"):
        selftest_swap.main()
