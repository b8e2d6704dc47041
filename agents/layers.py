"""The layers of the networks. Their weights may be stacked: those of C networks, which then compute in one product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

FINAL_BOUND = 3e-3
"""Final weights and biases start in ±this unless another bound is given, so first actions and values are near 0."""

_LARGE = 1 << 18
"""Numbers in a matrix beyond which copying it costs more than another product's call."""

Which = int | Tensor | None
"""Of stacked networks: one, some (their numbers in a tensor), or all of them (None)."""

Network = TypeVar("Network", bound=nn.Module)


class Affine(nn.Module):
    """`x W' + b`. Weights (O, I), or stacked (C, O, I); both start uniform in ±bound."""

    def __init__(self, inputs: int, outputs: int, *, bound: float, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)
        nn.init.uniform_(self.bias, -bound, bound, generator=generator)

    def forward(self, inputs: Tensor, which: Which = None) -> Tensor:
        """(B, I), or one for each of the stack (C, B, I) -> (B, O), or (C, B, O) of a stack."""
        return affine(inputs, chosen(self.weight, which), chosen(self.bias, which))


def final_bound(wanted: float | None, inputs: int) -> float:
    """Where the final layer starts; None is where the hidden ones do, ±1/sqrt(inputs)."""
    return inputs**-0.5 if wanted is None else wanted


class Norm(nn.Module):
    """Layer normalisation over the last axis, with a gain that starts at 1 and a shift that starts at 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, inputs: Tensor, which: Which = None) -> Tensor:
        """(B, W) or (C, B, W) -> the same shape."""
        gain, shift = chosen(self.weight, which), chosen(self.bias, which)
        if gain.dim() == 2:
            gain, shift = gain.unsqueeze(-2), shift.unsqueeze(-2)
        return nn.functional.layer_norm(inputs, inputs.shape[-1:]) * gain + shift


def stacked(networks: Sequence[Network]) -> Network:
    """One network whose parameters are those of all, along a new first axis."""
    first = networks[0]
    for name, parameter in list(first.named_parameters()):
        together = torch.stack([dict(network.named_parameters())[name].detach() for network in networks])
        owner, _, own_name = name.rpartition(".")
        parameter.requires_grad_(False)
        setattr(first.get_submodule(owner), own_name, nn.Parameter(together))
    return first


def chosen(parameter: Tensor, which: Which) -> Tensor:
    """Of a stack. All is the parameter itself: a view of it would cost the gradient a copy."""
    return parameter if which is None else parameter[which]


def affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x W' + b` of one network, or of each of a stack."""
    if weight.dim() == 2:
        return nn.functional.linear(inputs, weight, bias)
    if torch.compiler.is_compiling():
        # A compiler joins the addition with what follows. What all of the stack see is one product for a GPU.
        if inputs.dim() == 2:
            together = nn.functional.linear(inputs, weight.flatten(0, 1), bias.flatten())
            return together.reshape(-1, *bias.shape).movedim(-2, 0)
        return torch.bmm(inputs, weight.mT) + bias.unsqueeze(-2)
    if not torch.is_grad_enabled() and _one_by_one(inputs):
        out = inputs.new_empty(len(weight), len(inputs), weight.shape[1])
        for place, one, its_bias in zip(out, weight, bias, strict=True):
            torch.addmm(its_bias, inputs, one.mT, out=place)
        return out
    if torch.is_grad_enabled() or weight.dtype == torch.bfloat16:
        return torch.baddbmm(bias.unsqueeze(-2), _for_each(inputs, weight), weight.mT)
    # baddbmm would copy the biases over all rows first; in bfloat16 it is rounded once, where this would be twice.
    return product(inputs, weight.mT).add_(bias.unsqueeze(-2))


def product(first: Tensor, second: Tensor, out: Tensor | None = None) -> Tensor:
    """Of two matrices, or of each pair of two stacks; a matrix beside a stack serves each of it. Not differentiable.

    `out`: where to write it.
    """
    if first.dim() == second.dim() == 2:
        return torch.mm(first, second, out=out)
    if first.dim() == 3 and _one_by_one(second):
        if out is None:
            out = first.new_empty(len(first), first.shape[1], second.shape[1])
        for place, one in zip(out, first, strict=True):
            torch.mm(one, second, out=place)
        return out
    first, second = _for_each(first, second), _for_each(second, first)
    if out is None:
        # Without `out` torch clears the memory first, which the product overwrites anyway.
        out = first.new_empty(len(first), first.shape[1], second.shape[2])
    return torch.bmm(first, second, out=out)


def _one_by_one(shared: Tensor) -> bool:
    """Whether what all of a stack see is given to one after the other: for one product in bfloat16 torch copies it for
    each of them first.
    """
    return shared.dim() == 2 and shared.dtype == torch.bfloat16 and shared.numel() > _LARGE


def _for_each(matrix: Tensor, stack: Tensor) -> Tensor:
    return matrix if matrix.dim() == 3 else matrix.expand(len(stack), *matrix.shape)
