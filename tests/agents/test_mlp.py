"""The plain network's gradient, derived by hand, beside what torch derives of the same equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agents.mlp import Mlp
from agents.networks import Actor, Critics, arrays_of, load_arrays

SIZES = (7, 16, 12, 3)


def inputs(rows: int = 9) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    observation, action = torch.randn(rows, 5, generator=generator), torch.randn(rows, 2, generator=generator)
    return observation.requires_grad_(), action.requires_grad_()


def written_out(network: Mlp, critic: int | None, observation: Tensor, action: Tensor) -> Tensor:
    """torch's own graph of one network."""
    outputs = torch.cat([observation, action], dim=1)
    for layer in [*network.hidden, network.final]:
        weight, bias = (value if critic is None else value[critic] for value in (layer.weight, layer.bias))
        outputs = nn.functional.linear(outputs, weight, bias)
        outputs = outputs if layer is network.final else outputs.relu()
    return outputs


def test_gradients_of_one_network_are_those_that_torch_derives() -> None:
    network, (observation, action) = Mlp(SIZES, torch.Generator().manual_seed(1)), inputs()
    wanted = [observation, action, *network.parameters()]

    ours = torch.autograd.grad(network(observation, action).square().sum(), wanted)
    torchs = torch.autograd.grad(written_out(network, None, observation, action).square().sum(), wanted)

    for found, expected in zip(ours, torchs, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("count", [1, 3])
def test_gradients_of_stacked_critics_are_those_that_torch_derives(count: int) -> None:
    critics = Critics(5, 2, (16, 12), count=count, outputs=3, generator=torch.Generator().manual_seed(1))
    observation, action = inputs()
    wanted = [observation, action, *critics.parameters()]
    assert isinstance(critics.body, Mlp)

    ours = torch.autograd.grad(critics(observation, action).square().sum(), wanted)
    each = [written_out(critics.body, critic, observation, action) for critic in range(count)]
    torchs = torch.autograd.grad(torch.stack(each).square().sum(), wanted)

    for found, expected in zip(ours, torchs, strict=True):
        torch.testing.assert_close(found, expected)


def test_with_and_without_a_gradient_the_outputs_are_the_same() -> None:
    network, (observation, action) = Mlp(SIZES, torch.Generator().manual_seed(1)), inputs()

    with torch.no_grad():
        plain = network(observation, action)

    assert torch.equal(network(observation, action), plain)
    torch.testing.assert_close(plain, network.final(network.features(torch.cat([observation, action], dim=1))))


def test_held_parameters_get_no_gradient_but_pass_one_on() -> None:
    critics, (observation, action) = Critics(5, 2, (16,), count=2), inputs()
    critics.requires_grad_(False)

    torch.autograd.backward(critics.first(observation.detach(), action).sum())

    assert action.grad is not None
    assert action.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critics.parameters())


def test_bfloat16_gradients_are_near_and_float32() -> None:
    network, (observation, action) = Mlp((7, 64, 3), torch.Generator().manual_seed(1)), inputs(64)
    exact = torch.autograd.grad(network(observation, action).sum(), list(network.parameters()))
    network.in_bfloat16 = True
    coarse = torch.autograd.grad(network(observation, action).sum(), list(network.parameters()))

    assert all(found.dtype == torch.float32 for found in coarse)
    for found, expected in zip(coarse, exact, strict=True):
        assert float((found - expected).norm() / expected.norm()) < 0.05
    assert not all(torch.equal(found, expected) for found, expected in zip(coarse, exact, strict=True))


@pytest.mark.parametrize("network", ["mlp", "residual"])
def test_stored_critics_have_names_of_their_own_and_come_back(network: str) -> None:
    critics = Critics(5, 2, (8,), count=2, network=network, generator=torch.Generator().manual_seed(1))
    other = Critics(5, 2, (8,), count=2, network=network, generator=torch.Generator().manual_seed(2))
    arrays = arrays_of(critics, "critic")

    load_arrays(other, arrays, "critic")

    assert {name.split(".")[1] for name in arrays} == {"0", "1"}
    assert all(torch.equal(a, b) for a, b in zip(critics.parameters(), other.parameters(), strict=True))


def test_an_actor_learns_through_its_own_node() -> None:
    actor = Actor(5, 2, (16,), generator=torch.Generator().manual_seed(1))
    observation, wanted = inputs(64)[0].detach(), torch.full((64, 2), 0.5)
    optimiser = torch.optim.Adam(actor.parameters(), lr=1e-2)

    for _ in range(200):
        optimiser.zero_grad()
        torch.autograd.backward((actor(observation) - wanted).square().mean())
        optimiser.step()

    assert (actor(observation) - wanted).square().mean().item() < 1e-3
