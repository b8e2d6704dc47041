"""Our Adam equals torch's, and goes on where it was stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.ddpg.adam import Adam


def parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in ((4, 3), (4,), (1, 4))]


def set_gradients(values: list[torch.Tensor], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in values:
        value.grad = torch.randn(value.shape, generator=generator)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_equal_torchs_bit_for_bit_while_the_rate_changes(weight_decay: float) -> None:
    ours, theirs = parameters(), parameters()
    mine = Adam(ours, weight_decay=weight_decay)
    reference = torch.optim.AdamW(theirs, weight_decay=weight_decay, fused=True)
    for step in range(20):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        mine.step(0.01 / (1 + step))
        reference.param_groups[0]["lr"] = 0.01 / (1 + step)
        reference.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(ours[0], parameters()[0])


def test_restored_adam_goes_on_bit_for_bit() -> None:
    straight, resumed = parameters(), parameters()
    first, second = Adam(straight), Adam(resumed)
    for step in range(3):
        set_gradients(straight, step)
        first.step(0.01)
    stored = first.arrays("adam")
    with torch.no_grad():
        for one, other in zip(straight, resumed, strict=True):
            other.copy_(one)
    second.load(stored, "adam")
    for values, adam in ((straight, first), (resumed, second)):
        set_gradients(values, 7)
        adam.step(0.01)
    for one, other in zip(straight, resumed, strict=True):
        assert torch.equal(one, other)
    assert stored["adam/steps"].tolist() == [3.0, 3.0, 3.0], "what was stored does not follow"
    assert not np.array_equal(stored["adam/0/exp_avg"], first.arrays("adam")["adam/0/exp_avg"])


def test_moments_of_other_networks_are_refused() -> None:
    stored = Adam(parameters()).arrays("adam")
    stacked = [torch.stack([value.detach(), value.detach()]).requires_grad_() for value in parameters()]

    with pytest.raises(ValueError, match=r"adam/0/exp_avg is of shape \(4, 3\), needed \(2, 4, 3\)"):
        Adam(stacked).load(stored, "adam")
