"""Products by torch's own choice and by oneDNN: the same numbers, whatever lies where."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from agents import onednn
from agents.networks import Critics
from agents.products import affine, product


@pytest.fixture(params=["torch", "onednn"], autouse=True)
def multiplied_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whatever the processor, and however small the matrices."""
    by_onednn = request.param == "onednn"
    monkeypatch.setattr(onednn, "processor_profits", lambda: by_onednn)
    monkeypatch.setattr(onednn, "_SMALL", 0)
    return str(request.param)


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("inputs", [random(9, 5), random(3, 9, 5)])
@pytest.mark.parametrize(("weight", "bias"), [(random(7, 5), random(7)), (random(3, 7, 5), random(3, 7))])
@pytest.mark.parametrize("graph", [False, True])
def test_affine_is_what_it_says_for_one_network_and_for_stacks(
    inputs: Tensor, weight: Tensor, bias: Tensor, graph: bool
) -> None:
    with torch.set_grad_enabled(graph):
        found = affine(inputs, weight, bias)

    expected = torch.einsum("...bi,...oi->...bo", inputs, weight) + bias.unsqueeze(-2)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("graph", [False, True])
def test_one_observation_alone_is_answered_as_in_a_batch(
    dtype: torch.dtype, graph: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.products._LARGE", 0)
    weight, bias, inputs = random(7, 5).to(dtype), random(7).to(dtype), random(9, 5).to(dtype)
    with torch.set_grad_enabled(graph):
        alone, together = affine(inputs[4], weight, bias), affine(inputs, weight, bias)[4]
    assert alone.shape == (7,)
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("first", [random(9, 5), random(3, 9, 5), random(5, 9).mT, random(3, 5, 9).mT])
@pytest.mark.parametrize(
    "second", [random(5, 7), random(3, 5, 7), random(7, 5).mT, random(5, 20)[:, 4:11], random(3, 5, 20)[..., 4:11]]
)
def test_product_is_that_of_every_pair_wherever_operands_and_result_lie(first: Tensor, second: Tensor) -> None:
    expected = torch.einsum("...ik,...kj->...ij", first, second)
    slot = torch.full_like(expected, torch.nan)

    torch.testing.assert_close(product(first, second), expected)
    assert product(first, second, out=slot) is slot
    torch.testing.assert_close(slot, expected)


@pytest.mark.parametrize("network", ["mlp", "residual"])
@pytest.mark.parametrize("which", [None, 1])
def test_gradients_of_a_graph_are_those_of_the_layers_written_out(
    network: str, which: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    critics = Critics(5, 2, (16, 16), count=3, network=network, generator=torch.Generator().manual_seed(1))
    observation, action = random(9, 5).requires_grad_(), random(9, 2).requires_grad_()
    wanted = [observation, action, *critics.parameters()]

    def derived() -> tuple[Tensor, ...]:
        value = critics.body(observation, action, which=which)
        return torch.autograd.grad(value.square().sum(), wanted)

    found = derived()
    monkeypatch.setattr("agents.layers.affine", _written_out)
    for one, expected in zip(found, derived(), strict=True):
        torch.testing.assert_close(one, expected)


def _written_out(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return (inputs.unsqueeze(-2) * weight.unsqueeze(-3)).sum(dim=-1) + bias.unsqueeze(-2)


@pytest.mark.parametrize("held", range(3))
def test_only_what_is_asked_for_gets_a_gradient(held: int) -> None:
    operands = [random(9, 5), random(3, 7, 5), random(3, 7)]
    for number, operand in enumerate(operands):
        operand.requires_grad_(number != held)

    torch.autograd.backward(affine(*operands).sum())

    assert [operand.grad is None for operand in operands] == [number == held for number in range(3)]


def test_what_is_not_a_number_stays_so() -> None:
    inputs = random(9, 5)
    inputs[4, 2] = torch.nan
    found = affine(inputs, random(7, 5), random(7))
    assert torch.equal(found.isnan().all(dim=1), torch.arange(9) == 4)


@pytest.mark.parametrize("graph", [False, True])
def test_autocast_still_decides_the_precision(graph: bool) -> None:
    with torch.set_grad_enabled(graph), torch.autocast("cpu", torch.bfloat16):
        assert affine(random(9, 5), random(7, 5), random(7)).dtype == torch.bfloat16


def test_onednn_is_called_where_it_is_to_multiply_and_nowhere_else(
    multiplied_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    own = onednn.multiplied

    def multiplied(first: Tensor, second: Tensor, bias: Tensor | None = None) -> Tensor:
        calls.append(first.shape)
        return own(first, second, bias)

    monkeypatch.setattr(onednn, "multiplied", multiplied)
    inputs, weight, bias = random(16, 8), random(2, 8, 8), random(2, 8)

    affine(inputs, weight, bias)
    assert len(calls) == (2 if multiplied_by == "onednn" else 0)
    calls.clear()
    monkeypatch.setattr(onednn, "_SMALL", 16 * 8 * 8 + 1)
    product(inputs, weight.mT)
    affine(inputs.bfloat16(), weight.bfloat16(), bias.bfloat16())
    affine(inputs.double(), weight.double(), bias.double())
    assert not calls
    monkeypatch.setattr(onednn, "_SMALL", 16 * 8 * 8)
    product(inputs, weight.mT)
    assert len(calls) == (2 if multiplied_by == "onednn" else 0)


@pytest.mark.parametrize(
    ("vendor", "capability", "profits"),
    [
        ("AuthenticAMD", "AVX512", True),
        ("AuthenticAMD", "AVX2", False),
        ("GenuineIntel", "AVX512", False),
        ("", "AVX512", False),
    ],
)
def test_processors_that_profit_have_avx512_without_being_intels(
    vendor: str, capability: str, profits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(onednn, "_vendor", lambda: vendor)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch._C, "has_mkl", True)

    assert onednn.processor_profits.__wrapped__() is profits
