"""The gradients derived by hand are those that torch derives of the same losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.ddpg import CONFIGS, build_algorithm
from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.by_hand import ByHand
from agents.ddpg.categorical import CategoricalHead, Support, projected
from agents.ddpg.heads import Head, ValueHead
from agents.ddpg.quantiles import QuantileHead
from tests.learning import random_batch

CPU = torch.device("cpu")
ROWS = 6
HEADS: dict[str, Head] = {
    "value": ValueHead(),
    "categorical": CategoricalHead(Support(v_min=-2.0, v_max=3.0, atoms=11), CPU),
    "quantiles": QuantileHead(5, 1),
}


def outputs(head: Head) -> Tensor:
    shape = (2, ROWS) if head.outputs == 1 else (2, ROWS, head.outputs)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()


def targets(name: str, head: Head) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    reward = torch.randn(ROWS, generator=generator)
    if name == "categorical":
        probability = torch.softmax(torch.randn(ROWS, head.outputs, generator=generator), dim=-1)
        return projected(reward, torch.full((ROWS,), 0.9), probability, v_min=-2.0, v_max=3.0, atoms=11)
    return reward if name == "value" else torch.randn(ROWS, 8, generator=generator)


@pytest.mark.parametrize("name", list(HEADS))
def test_a_loss_knows_its_gradient(name: str) -> None:
    head = HEADS[name]
    raw, target, weight = outputs(head), targets(name, head), torch.linspace(0.2, 1.7, ROWS)
    wanted = head.loss(raw, target, weight)
    loss, gradient = head.loss_gradient(raw.detach(), target, weight)
    torch.testing.assert_close(loss, wanted.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, raw)[0])


@pytest.mark.parametrize("name", list(HEADS))
def test_an_expected_return_knows_its_gradient(name: str) -> None:
    head = HEADS[name]
    raw = outputs(head)
    wanted = head.value(raw).mean()
    value, gradient = head.value_gradient(raw.detach())
    torch.testing.assert_close(value, wanted.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, raw)[0])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("bins", [None, 5])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "simba"])
def test_updates_are_those_by_torchs_graph(name: str, norm: bool, bins: int | None, precision: str) -> None:
    settings: dict[str, Any] = {"hidden": (16, 12), "bins": bins, "precision": precision, "final_bound": 0.1}
    settings |= {"critic_norm": norm}
    settings |= {"gradient_clip": 0.5, "action_penalty": 0.3}
    hand, graph = (build_algorithm(name, 5, 3, settings=settings, seed=1) for _ in range(2))
    assert isinstance(hand, ActorCritic)
    assert isinstance(graph, ActorCritic)
    assert hand._by_hand is not None
    graph._by_hand = None
    start = hand.state().tensors
    for number in range(20):
        told, wanted = hand.update(random_batch(number, 32)), graph.update(random_batch(number, 32))
        assert told == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    after = graph.state().tensors
    # A norm divides by what may be small, and Adam takes a step of one size for a gradient that is all rounding.
    atol = 5e-4 if norm and precision == "bfloat16" else 2e-5
    for key, array in hand.state().tensors.items():
        np.testing.assert_allclose(array, after[key], rtol=2e-3, atol=atol, err_msg=key)
    moved = [key for key in start if "network" in key and not np.array_equal(start[key], after[key])]
    assert any(key.startswith("actor") for key in moved)
    assert any(key.startswith("critic") for key in moved)


def test_networks_that_are_not_plain_are_left_to_torchs_graph() -> None:
    algorithm = build_algorithm("simba", 5, 3, settings={"hidden": (8,)}, seed=1)
    assert isinstance(algorithm, ActorCritic)
    assert algorithm._by_hand is None
    with pytest.raises(TypeError, match="the actor is a ResidualMlp, needed a plain network on a processor"):
        ByHand(algorithm._actor, algorithm._critics, algorithm._head)
