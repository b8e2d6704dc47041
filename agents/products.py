"""Products of matrices, and of stacks of them: what layers and their gradients consist of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from agents import onednn

_LARGE = 1 << 18
"""Numbers in a matrix beyond which copying it costs more than another product's call."""


def affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x W' + b` of one network, or of each of a stack."""
    if torch.compiler.is_compiling():
        return _compiled_affine(inputs, weight, bias)
    recorded = torch.is_grad_enabled()
    if recorded and onednn.multiplies_faster(inputs, weight.mT):
        return _recorded(inputs, weight, bias)
    if not recorded and _one_by_one(inputs, weight.mT):
        return _products(inputs, weight.mT, bias)
    if weight.dim() == 2:
        return nn.functional.linear(inputs, weight, bias)
    if recorded or weight.dtype == torch.bfloat16:
        return torch.baddbmm(bias.unsqueeze(-2), _for_each(inputs, weight), weight.mT)
    # baddbmm would copy the biases over all rows first; in bfloat16 it is rounded once, where this would be twice.
    return product(inputs, weight.mT).add_(bias.unsqueeze(-2))


def _compiled_affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A compiler joins the addition with what follows. What all of a stack see is one product for a GPU."""
    if weight.dim() == 2:
        return nn.functional.linear(inputs, weight, bias)
    if inputs.dim() == 2:
        together = nn.functional.linear(inputs, weight.flatten(0, 1), bias.flatten())
        return together.reshape(-1, *bias.shape).movedim(-2, 0)
    return torch.bmm(inputs, weight.mT) + bias.unsqueeze(-2)


class _Affine(torch.autograd.Function):
    """The same for torch's graph."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight, bias)
        return affine(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, bias = ctx.saved_tensors
        for_inputs, for_weight, for_bias = ctx.needs_input_grad
        return (
            _shared(product(gradient, weight), inputs) if for_inputs else None,
            _shared(product(gradient.mT, inputs), weight) if for_weight else None,
            _shared(gradient.sum(dim=-2), bias) if for_bias else None,
        )


_recorded: Callable[..., Tensor] = _Affine.apply


def _shared(gradient: Tensor, of: Tensor) -> Tensor:
    """What served a whole stack has the sum of all its gradients."""
    return gradient.sum(dim=0) if gradient.dim() > of.dim() else gradient


def product(first: Tensor, second: Tensor, out: Tensor | None = None) -> Tensor:
    """Of two matrices, or of each pair of two stacks; a matrix beside a stack serves each of it. Not differentiable.

    `out`: where to write it.
    """
    if _one_by_one(first, second):
        return _products(first, second, out=out)
    if first.dim() == second.dim() == 2:
        return torch.mm(first, second, out=out)
    first, second = _for_each(first, second), _for_each(second, first)
    if out is None:
        # Without `out` torch clears the memory first, which the product overwrites anyway.
        out = first.new_empty(len(first), first.shape[1], second.shape[2])
    return torch.bmm(first, second, out=out)


def _one_by_one(first: Tensor, second: Tensor) -> bool:
    """Whether each of a stack is multiplied for itself: by oneDNN, or because a large matrix serves all of them, which
    torch copies for each first where one product in bfloat16 is to be made of all.
    """
    if first.dtype != torch.bfloat16:
        return onednn.multiplies_faster(first, second)
    if {first.dim(), second.dim()} != {2, 3}:
        return False
    return (first if first.dim() == 2 else second).numel() > _LARGE


def _products(first: Tensor, second: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Those of `_one_by_one`, plus a bias (N,) or (C, N)."""
    if first.dim() == second.dim() == 2:
        found = onednn.multiplied(first, second, bias)
        return found if out is None else out.copy_(found)
    stack = first if first.dim() == 3 else second
    if out is None:
        out = stack.new_empty(len(stack), first.shape[-2], second.shape[-1])
    biases = [bias] * len(out) if bias is None or bias.dim() == 1 else list(bias)
    for place, one, other, its_bias in zip(out, _each(first, out), _each(second, out), biases, strict=True):
        if place.dtype == torch.float32:
            place.copy_(onednn.multiplied(one, other, its_bias))
        elif its_bias is None:
            torch.mm(one, other, out=place)
        else:
            torch.addmm(its_bias, one, other, out=place)
    return out


def _each(matrix: Tensor, stack: Tensor) -> Sequence[Tensor]:
    return list(matrix) if matrix.dim() == 3 else [matrix] * len(stack)


def _for_each(matrix: Tensor, stack: Tensor) -> Tensor:
    return matrix if matrix.dim() == 3 else matrix.expand(len(stack), *matrix.shape)
