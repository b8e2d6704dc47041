from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.layers import FINAL_BOUND, Affine
from agents.mlp import Mlp
from agents.networks import Actor, Critics, arrays_of, load_arrays
from agents.residual_mlp import ResidualBlock, ResidualMlp


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_actor_answers_within_the_action_range_even_for_huge_observations() -> None:
    actor = Actor(6, 19, (32, 16), generator=generator())
    with torch.no_grad():
        actor.body.final.weight.mul_(1e5)
        action = actor(torch.full((4, 6), 1e3))

    assert action.shape == (4, 19)
    assert action.abs().max() == 1.0


def test_first_actions_and_values_are_near_zero() -> None:
    observation, action = torch.randn(64, 189, generator=generator()), torch.zeros(64, 19)
    actor, critics = Actor(189, 19, generator=generator()), Critics(189, 19, count=2, generator=generator())

    assert 0 < actor(observation).abs().max() < 0.05
    assert 0 < critics(observation, action).abs().max() < 0.05


@pytest.mark.parametrize(("final", "bound"), [(FINAL_BOUND, 3e-3), (None, 300**-0.5), (0.1, 0.1)])
def test_initial_weights_fill_the_stated_bounds(final: float | None, bound: float) -> None:
    actor = Actor(100, 19, final=final, generator=generator())
    bounds = [100**-0.5, 400**-0.5, bound]
    assert isinstance(actor.body, Mlp)
    layers = [*actor.body.hidden, actor.body.final]

    for layer, bound in zip(layers, bounds, strict=True):
        assert isinstance(layer, Affine)
        assert 0.98 * bound < layer.weight.abs().max() <= bound
        assert 0.9 * bound < layer.bias.abs().max() <= bound


def test_default_hidden_layers_are_400_and_300() -> None:
    shapes = {name: array.shape for name, array in arrays_of(Actor(189, 19), "actor").items()}

    assert shapes["actor/body.hidden.0.weight"] == (400, 189)
    assert shapes["actor/body.hidden.1.weight"] == (300, 400)
    assert shapes["actor/body.final.weight"] == (19, 300)


def test_hidden_layers_are_rectified() -> None:
    actor = Actor(1, 1, (1,), generator=generator())
    with torch.no_grad():
        for parameter in actor.parameters():
            parameter.copy_(torch.ones_like(parameter) if parameter.ndim == 2 else torch.zeros_like(parameter))

    assert torch.allclose(actor(torch.tensor([[-5.0], [0.5]])), torch.tanh(torch.tensor([[0.0], [0.5]])))


def test_same_seed_gives_same_weights_whatever_the_global_random_state() -> None:
    torch.manual_seed(1)
    first = arrays_of(Critics(5, 2, (8,), count=2, generator=generator(3)), "critic")
    torch.manual_seed(2)
    second = arrays_of(Critics(5, 2, (8,), count=2, generator=generator(3)), "critic")
    other = arrays_of(Critics(5, 2, (8,), count=2, generator=generator(4)), "critic")

    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_critics_are_independent_and_the_first_is_the_first() -> None:
    critics = Critics(5, 2, (8,), count=2, generator=generator())
    observation, action = torch.randn(7, 5, generator=generator()), torch.randn(7, 2, generator=generator())
    values = critics(observation, action)

    assert values.shape == (2, 7)
    assert not torch.allclose(values[0], values[1])
    torch.testing.assert_close(critics.first(observation, action), values[0])


def test_critic_sees_observation_and_action() -> None:
    critics = Critics(3, 2, (8,), generator=generator())
    observation, action = torch.zeros(1, 3), torch.zeros(1, 2)
    value = critics(observation, action)

    assert not torch.equal(critics(observation + 1, action), value)
    assert not torch.equal(critics(observation, action + 1), value)


def test_arrays_do_not_change_with_the_module() -> None:
    actor = Actor(3, 2, (4,), generator=generator())
    arrays = arrays_of(actor, "actor")
    with torch.no_grad():
        actor.body.final.weight.zero_()

    assert arrays["actor/body.final.weight"].any()
    load_arrays(actor, arrays, "actor")
    assert np.array_equal(actor.body.final.weight.detach().numpy(), arrays["actor/body.final.weight"])


@pytest.mark.parametrize("damage", ["missing", "shape"])
def test_arrays_that_do_not_fit_are_refused_before_anything_changes(damage: str) -> None:
    arrays = arrays_of(Actor(3, 2, (4,), generator=generator(1)), "actor")
    if damage == "missing":
        del arrays["actor/body.final.bias"]
    else:
        arrays["actor/body.final.bias"] = np.zeros(5, np.float32)
    actor = Actor(3, 2, (4,), generator=generator(2))
    before = arrays_of(actor, "actor")

    with pytest.raises(ValueError, match=r"actor/body\.final\.bias is .*needed \(2,\)"):
        load_arrays(actor, arrays, "actor")
    after = arrays_of(actor, "actor")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_residual_block_adds_to_what_it_gets() -> None:
    block = ResidualBlock(2, generator())
    with torch.no_grad():
        block.up.weight.copy_(torch.eye(8)[:, :2])  # the first two of eight numbers inside are the normalised ones
        block.up.bias.zero_()
        block.down.weight.copy_(10 * torch.eye(8)[:2])
        block.down.bias.copy_(torch.tensor([0.0, 1.0]))

    # (1, 5) has mean 3 and deviation 2, so it is normalised to (-1, 1); the ReLU takes the first away.
    assert torch.allclose(block(torch.tensor([[1.0, 5.0]])), torch.tensor([[1.0, 5.0 + 10 + 1]]), atol=1e-4)


def test_last_layer_of_a_residual_network_sees_one_size_however_large_the_observation() -> None:
    actor = Actor(6, 3, (16, 16), network="residual", generator=generator())
    observation = torch.randn(32, 6, generator=generator())

    for scale in (1.0, 1e4):
        size = actor.body.features(scale * observation).square().mean(dim=1)
        assert torch.allclose(size, torch.ones(32), atol=1e-2)


def test_first_actions_of_a_residual_actor_are_near_zero_and_within_range() -> None:
    actor = Actor(6, 3, (16, 16), network="residual", generator=generator())

    assert 0 < actor(torch.randn(64, 6, generator=generator())).abs().max() < 0.1
    assert isinstance(actor.body, ResidualMlp)
    assert len(actor.body.blocks) == 2


@pytest.mark.parametrize("hidden", [(8, 9), ()])
def test_residual_network_of_different_widths_is_refused(hidden: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="needed the same width for every residual block"):
        Actor(3, 2, hidden, network="residual")


def test_unknown_network_is_refused() -> None:
    with pytest.raises(ValueError, match="the network is 'transformer', needed one of mlp, residual"):
        Actor(3, 2, (4,), network="transformer")


@pytest.mark.parametrize("network", ["mlp", "residual"])
def test_critics_with_several_outputs_give_all_of_them(network: str) -> None:
    critics = Critics(5, 2, (8,), count=3, outputs=4, network=network, generator=generator())
    observation, action = torch.randn(7, 5, generator=generator()), torch.randn(7, 2, generator=generator())
    outputs = critics(observation, action)

    assert outputs.shape == (3, 7, 4)
    torch.testing.assert_close(critics.first(observation, action), outputs[0])
    torch.testing.assert_close(critics.some(torch.tensor([2, 0]), observation, action), outputs[[2, 0]])
