"""Parameters that lie side by side are the same parameters."""

from __future__ import annotations

import copy

import torch

from agents.ddpg.adam import Adam
from agents.flat import Flat
from agents.mlp import Mlp
from agents.networks import Actor, arrays_of, load_arrays


def actor(seed: int = 1) -> Actor:
    return Actor(5, 2, (7, 3), generator=torch.Generator().manual_seed(seed))


def in_half(network: Actor) -> list[torch.Tensor]:
    return [parameter.detach().bfloat16() for parameter in network.parameters()]


def same(flat: Flat, network: Actor) -> bool:
    return all(torch.equal(a, b) for a, b in zip(flat.halves(), in_half(network), strict=True))


def test_a_network_keeps_its_names_and_values_and_what_it_does() -> None:
    network, other, seen = actor(), actor(), torch.ones(3, 5)
    names = list(dict(network.named_parameters()))
    flat = Flat(network)
    assert list(dict(network.named_parameters())) == names
    assert torch.equal(network(seen), other(seen))
    with torch.no_grad():
        flat.values.mul_(2.0)
    for one, before in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, 2 * before)


def test_what_asks_for_no_gradient_goes_on_asking_for_none() -> None:
    held = actor().requires_grad_(False)
    Flat(held)
    assert not any(parameter.requires_grad for parameter in held.parameters())
    free = actor()
    Flat(free)
    assert all(parameter.requires_grad for parameter in free.parameters())


def test_copies_in_bfloat16_follow_whatever_changes_the_parameters() -> None:
    network = actor()
    flat = Flat(network)
    assert same(flat, network)
    load_arrays(network, arrays_of(actor(2), "actor"), "actor")
    assert same(flat, network)
    assert flat.values.grad is not None
    flat.values.grad.fill_(1.0)
    before = flat.halves()[0].clone()
    Adam([flat.values]).step(0.1, torch.zeros(()), torch.ones(()))
    assert same(flat, network)
    assert not torch.equal(flat.halves()[0], before)
    torch._foreach_lerp_([flat.values], [torch.ones_like(flat.values)], 0.5)
    assert same(flat, network)


def test_gradients_that_torch_makes_come_to_their_places() -> None:
    network, other, seen = actor(), actor(), torch.ones(3, 5)
    flat = Flat(network)
    torch.autograd.backward(network(seen).sum())
    torch.autograd.backward(other(seen).sum())
    flat.gather()
    for slot, parameter in zip(flat.slots, other.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(slot, parameter.grad)
    assert flat.values.grad is not None
    assert flat.values.grad.count_nonzero() == sum(int(slot.count_nonzero()) for slot in flat.slots)


def test_a_copy_of_a_network_has_memory_of_its_own() -> None:
    network = actor()
    assert isinstance(network.body, Mlp)
    network.body.flat = flat = Flat(network)
    other = copy.deepcopy(network)
    assert isinstance(other.body, Mlp)
    with torch.no_grad():
        flat.values.zero_()
    assert other.body.flat is None
    assert all(parameter.abs().sum() > 0 for parameter in other.parameters())
