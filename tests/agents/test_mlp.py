"""The plain network's gradient, derived by hand, beside what torch derives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from agents import onednn, products
from agents.mlp import Mlp, NormedMlp
from agents.networks import Critics, arrays_of, load_arrays

SIZES = (7, 16, 12, 3)
plain_and_normed = pytest.mark.parametrize("network", ["mlp", "normed"])


@pytest.fixture(params=["torch", "onednn"], autouse=True)
def multiplied_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the processor, and however small the matrices."""
    monkeypatch.setattr(onednn, "processor_profits", lambda: request.param == "onednn")
    monkeypatch.setattr(onednn, "_SMALL", 0)


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
        outputs = outputs if layer is network.final else hidden(outputs, network).relu()
    return outputs


def hidden(outputs: Tensor, network: Mlp) -> Tensor:
    """What a hidden layer puts out, before its ReLU."""
    if not isinstance(network, NormedMlp):
        return outputs
    centred = outputs - outputs.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()


def by_hand(body: Mlp, observation: Tensor, action: Tensor, which: int | None = None) -> list[Tensor]:
    """Of the sum of squares: the gradients of both inputs, and of the parameters unless one critic is asked."""
    run = body.run(observation.detach(), action.detach(), which=which)
    into = None if which is not None else [torch.full_like(parameter, torch.nan) for parameter in body.parameters()]
    found = [run.back(2 * run.outputs, into=into, of=0), run.back(2 * run.outputs, of=1)]
    return [one for one in found if one is not None] + (into or [])


def assert_gradients(found: list[Tensor], loss: Tensor, wanted: list[Tensor]) -> None:
    for one, expected in zip(found, torch.autograd.grad(loss, wanted), strict=True):
        torch.testing.assert_close(one, expected)


@pytest.mark.parametrize("kind", [Mlp, NormedMlp])
def test_gradients_of_one_network_are_those_that_torch_derives(kind: type[Mlp]) -> None:
    network, (observation, action) = kind(SIZES, torch.Generator().manual_seed(1)), inputs()
    wanted = [observation, action, *network.parameters()]
    found = by_hand(network, observation, action)
    assert_gradients(found, written_out(network, None, observation, action).square().sum(), wanted)
    assert_gradients(found, network(observation, action).square().sum(), wanted)


@plain_and_normed
@pytest.mark.parametrize("count", [1, 3])
def test_gradients_of_stacked_critics_are_those_that_torch_derives(count: int, network: str) -> None:
    start = torch.Generator().manual_seed(1)
    critics = Critics(5, 2, (16, 12), count=count, outputs=3, network=network, generator=start)
    observation, action = inputs()
    assert isinstance(critics.body, Mlp)
    wanted = [observation, action, *critics.parameters()]
    each = [written_out(critics.body, critic, observation, action) for critic in range(count)]
    found = by_hand(critics.body, observation, action)
    assert_gradients(found, torch.stack(each).square().sum(), wanted)
    assert_gradients(found, critics(observation, action).square().sum(), wanted)


@plain_and_normed
def test_what_one_critic_of_a_stack_is_told_by_its_inputs_is_its_own(network: str) -> None:
    critics = Critics(5, 2, (16,), count=2, outputs=3, network=network, generator=torch.Generator().manual_seed(1))
    observation, action = inputs()
    assert isinstance(critics.body, Mlp)
    found = by_hand(critics.body, observation, action, which=1)
    assert_gradients(found, written_out(critics.body, 1, observation, action).square().sum(), [observation, action])


@pytest.mark.parametrize("kind", [Mlp, NormedMlp])
def test_a_run_puts_out_what_the_network_does(kind: type[Mlp]) -> None:
    network, (observation, action) = kind(SIZES, torch.Generator().manual_seed(1)), inputs()
    outputs = network(observation, action).detach()
    assert torch.equal(network.run(observation, action).outputs, outputs)
    torch.testing.assert_close(outputs, network.final(network.features(torch.cat([observation, action], dim=1))))


@pytest.mark.parametrize("kind", [Mlp, NormedMlp])
def test_bfloat16_gradients_are_near_and_float32(kind: type[Mlp]) -> None:
    network, (observation, action) = kind((7, 64, 3), torch.Generator().manual_seed(1)), inputs(64)
    exact = by_hand(network, observation, action)
    network.in_bfloat16 = True
    coarse = by_hand(network, observation, action)

    assert all(found.dtype == torch.float32 for found in coarse)
    for found, expected in zip(coarse, exact, strict=True):
        assert float((found - expected).norm() / expected.norm()) < 0.05
    assert not all(torch.equal(found, expected) for found, expected in zip(coarse, exact, strict=True))


@plain_and_normed
@pytest.mark.parametrize("large", [0, products._LARGE])
def test_bfloat16_gradients_of_a_stack_are_near_however_large_its_inputs(
    large: int, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    critics, (observation, action) = Critics(5, 2, (64,), count=3, outputs=2, network=network), inputs(64)
    assert isinstance(critics.body, Mlp)
    exact = by_hand(critics.body, observation, action)
    critics.body.in_bfloat16 = True
    monkeypatch.setattr(products, "_LARGE", large)

    for found, expected in zip(by_hand(critics.body, observation, action), exact, strict=True):
        assert found.dtype == torch.float32
        # A norm divides by what may be small, and enlarges what its inputs were rounded by.
        assert float((found - expected).norm() / expected.norm()) < (0.1 if network == "normed" else 0.05)


def test_held_parameters_get_no_gradient_but_pass_one_on() -> None:
    critics, (observation, action) = Critics(5, 2, (16,), count=2), inputs()
    critics.requires_grad_(False)

    torch.autograd.backward(critics.first(observation.detach(), action).sum())

    assert action.grad is not None
    assert action.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critics.parameters())


def test_a_normed_layer_is_what_it_was_when_its_weights_grow_a_thousandfold() -> None:
    network, (observation, action) = NormedMlp(SIZES, torch.Generator().manual_seed(1)), inputs()
    before = network(observation, action)
    with torch.no_grad():
        for parameter in network.hidden.parameters():
            parameter.mul_(1000.0)
    torch.testing.assert_close(network(observation, action), before, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("network", ["mlp", "normed", "residual"])
def test_stored_critics_have_names_of_their_own_and_come_back(network: str) -> None:
    critics = Critics(5, 2, (8,), count=2, network=network, generator=torch.Generator().manual_seed(1))
    other = Critics(5, 2, (8,), count=2, network=network, generator=torch.Generator().manual_seed(2))
    arrays = arrays_of(critics, "critic")

    load_arrays(other, arrays, "critic")

    assert {name.split(".")[1] for name in arrays} == {"0", "1"}
    assert all(torch.equal(a, b) for a, b in zip(critics.parameters(), other.parameters(), strict=True))
