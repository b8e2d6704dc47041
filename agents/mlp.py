"""The plain network: linear layers with ReLU between them, as one node of the gradient's graph.

Derived by hand because that is a quarter faster on a CPU than torch's graph of single operations: nothing is kept or
computed that is not asked for, above all the gradient of the observations, and nothing is recorded in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from agents.layers import FINAL_BOUND, Affine, Which, affine, chosen, final_bound, product


class Mlp(nn.Module):
    """With two sizes it is one linear map. Hidden layers start uniform in ±1/sqrt(inputs), the final one as
    `layers.final_bound` says.
    """

    in_bfloat16 = False
    """Whether hidden layers compute in it."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator, final: float | None = FINAL_BOUND) -> None:
        super().__init__()
        *hidden, last = itertools.pairwise(sizes)
        self.hidden = nn.ModuleList(Affine(*pair, bound=pair[0] ** -0.5, generator=generator) for pair in hidden)
        self.final = Affine(*last, bound=final_bound(final, last[0]), generator=generator)

    def forward(self, *inputs: Tensor, which: Which = None) -> Tensor:
        """Inputs (B, I) each, side by side -> (B, K), or (C, B, K) of a stack."""
        layers = [*self.hidden, self.final]
        parameters = [chosen(parameter, which) for layer in layers for parameter in (layer.weight, layer.bias)]
        # A compiler joins the single operations itself, and sees more of what is around them.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            outputs: Tensor = _perceptron(self.in_bfloat16, len(inputs), *inputs, *parameters)
            return outputs
        return _run(inputs, _used(parameters, self.in_bfloat16))[-1]

    def features(self, inputs: Tensor) -> Tensor:
        """(B, H) what the final layer sees."""
        for layer in self.hidden:
            inputs = torch.relu_(layer(inputs))
        return inputs


class _Perceptron(torch.autograd.Function):
    """Forward and backward of the whole network. Parameters come as weight, bias, weight, bias, …"""

    @staticmethod
    def forward(ctx: Any, in_bfloat16: bool, count: int, *tensors: Tensor) -> Tensor:
        inputs, parameters = tensors[:count], tensors[count:]
        used = _used(parameters, in_bfloat16)
        *seen, outputs = _run(inputs, used)
        ctx.save_for_backward(*seen, *used[::2])
        ctx.widths = [part.shape[-1] for part in inputs]
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layers = len(ctx.saved_tensors) // 2
        seen, weights = ctx.saved_tensors[:layers], ctx.saved_tensors[layers:]
        needs_inputs = ctx.needs_input_grad[2 : 2 + len(ctx.widths)]
        needs_parameters = ctx.needs_input_grad[2 + len(ctx.widths) :]
        found: list[Tensor | None] = [None] * len(needs_parameters)
        for layer in reversed(range(layers)):
            entered, weight = seen[layer], weights[layer]
            gradient = gradient.to(weight.dtype)
            if needs_parameters[2 * layer]:
                found[2 * layer] = product(gradient.mT, entered).float()
            if needs_parameters[2 * layer + 1]:
                found[2 * layer + 1] = gradient.sum(dim=-2).float()
            if layer > 0:
                before = product(gradient, weight)
                gradient = torch.ops.aten.threshold_backward.grad_input(before, entered, 0, grad_input=before)
        return None, None, *_of_inputs(gradient, weights[0], ctx.widths, needs_inputs), *found


_perceptron: Callable[..., Tensor] = _Perceptron.apply


def _used(parameters: Sequence[Tensor], in_bfloat16: bool) -> Sequence[Tensor]:
    """The last layer is float32: its sum would be too coarse in bfloat16, 0.5 at a value of 100."""
    return (
        [parameter.bfloat16() for parameter in parameters[:-2]] + list(parameters[-2:]) if in_bfloat16 else parameters
    )


def _run(inputs: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """What every layer sees, the inputs first, and at last the outputs."""
    seen = [inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), dim=-1)]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if len(seen) > 1:
            torch.relu_(seen[-1])
        seen[-1] = seen[-1].to(weight.dtype)
        seen.append(affine(seen[-1], weight, bias))
    return seen


def _of_inputs(gradient: Tensor, weight: Tensor, widths: Sequence[int], needed: Sequence[bool]) -> list[Tensor | None]:
    """From the gradient of what the first layer puts out, those of the inputs that are asked for."""
    found: list[Tensor | None] = []
    begin = 0
    for width, wanted in zip(widths, needed, strict=True):
        columns = weight[..., begin : begin + width]
        of_each = product(gradient, columns).float() if wanted else None
        found.append(of_each.sum(dim=0) if of_each is not None and of_each.dim() == 3 else of_each)
        begin += width
    return found
