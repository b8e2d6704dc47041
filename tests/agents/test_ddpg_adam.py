"""Our Adam equals torch's, and goes on where it was stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.ddpg import adam
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
        mine.step(0.01 / (1 + step), torch.zeros(()), torch.ones(()))
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
        first.step(0.01, torch.zeros(()), torch.ones(()))
    stored = first.arrays("adam")
    with torch.no_grad():
        for value, other in zip(straight, resumed, strict=True):
            other.copy_(value)
    second.load(stored, "adam")
    for values, one in ((straight, first), (resumed, second)):
        set_gradients(values, 7)
        one.step(0.01, torch.zeros(()), torch.ones(()))
    for value, other in zip(straight, resumed, strict=True):
        assert torch.equal(value, other)
    assert stored["adam/steps"].tolist() == [3.0, 3.0, 3.0], "what was stored does not follow"
    assert not np.array_equal(stored["adam/0/exp_avg"], first.arrays("adam")["adam/0/exp_avg"])


def test_moments_of_other_networks_are_refused() -> None:
    stored = Adam(parameters()).arrays("adam")
    stacked = [torch.stack([value.detach(), value.detach()]).requires_grad_() for value in parameters()]

    with pytest.raises(ValueError, match=r"adam/0/exp_avg is of shape \(4, 3\), needed \(2, 4, 3\)"):
        Adam(stacked).load(stored, "adam")


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_written_out_for_a_compiler_equal_the_fused_ones(weight_decay: float) -> None:
    ours, theirs = parameters(), parameters()
    mine, reference = (Adam(values, weight_decay=weight_decay) for values in (ours, theirs))
    mine._step = torch.compile(adam._written_out, backend="aot_eager", fullgraph=True)
    for step in range(20):
        set_gradients(ours, step)
        set_gradients(theirs, step)
        for one in (mine, reference):
            one.step(torch.tensor(0.01 / (1 + step)), torch.zeros(()), torch.ones(()))
    for value, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-5, atol=1e-7)
    for name, array in reference.arrays("adam").items():
        np.testing.assert_allclose(mine.arrays("adam")[name], array, rtol=1e-5, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("form", ["_fused", "_written_out"])
def test_a_loss_that_is_not_finite_changes_nothing_and_neither_does_what_follows(form: str) -> None:
    values = parameters()
    stepping = Adam(values)
    stepping._step = getattr(adam, form)
    finite = torch.ones(())
    set_gradients(values, 0)
    stepping.step(0.01, torch.zeros(()), finite)
    before = [value.detach().clone() for value in values], stepping.arrays("adam")
    for loss in (float("nan"), 0.0):
        for value in values:
            value.grad = torch.full_like(value, loss)
        stepping.step(0.01, torch.tensor(loss), finite)
    assert finite.item() == 0.0
    assert all(torch.equal(one, other) for one, other in zip(before[0], values, strict=True))
    for name, array in before[1].items():
        np.testing.assert_array_equal(stepping.arrays("adam")[name], array, err_msg=name)
