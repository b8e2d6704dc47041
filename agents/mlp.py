"""The plain network: linear layers with ReLU between them, and its gradient, derived by hand.

By hand because that is faster on a processor than torch's graph: nothing is kept or computed that is not asked for, and
gradients are written where they are used (decision 0028).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from agents.flat import Flat
from agents.layers import FINAL_BOUND, Affine, Which, chosen, final_bound
from agents.products import affine, product

_EPSILON = 1e-5
"""Added to the variance of what is normalised."""


class Mlp(nn.Module):
    """With two sizes it is one linear map. Hidden layers start uniform in ±1/sqrt(inputs), the final one as
    `layers.final_bound` says.
    """

    normed = False
    """Whether what a hidden layer puts out is normalised before its ReLU."""
    in_bfloat16 = False
    """Whether hidden layers compute in it."""
    flat: Flat | None = None
    """Where its parameters lie, if they do so side by side."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator, final: float | None = FINAL_BOUND) -> None:
        super().__init__()
        *hidden, last = itertools.pairwise(sizes)
        self.hidden = nn.ModuleList(Affine(*pair, bound=pair[0] ** -0.5, generator=generator) for pair in hidden)
        self.final = Affine(*last, bound=final_bound(final, last[0]), generator=generator)

    def forward(self, *inputs: Tensor, which: Which = None) -> Tensor:
        """Inputs (B, I) each, side by side -> (B, K), or (C, B, K) of a stack."""
        return _layers(inputs, self._used(which), _normalised if self.normed else None)[-1]

    @torch.no_grad()
    def run(self, *inputs: Tensor, which: Which = None) -> Run:
        """The same, to go back through by hand."""
        return Run(inputs, self._used(which), normed=self.normed)

    def features(self, inputs: Tensor) -> Tensor:
        """(B, H) what the final layer sees."""
        for layer in self.hidden:
            outputs = layer(inputs)
            inputs = torch.relu_(_normalised(outputs) if self.normed else outputs)
        return inputs

    def _used(self, which: Which) -> Sequence[Tensor]:
        """What the layers compute with: weight, bias, weight, bias, …

        The last layer is float32: its sum would be too coarse in bfloat16, 0.5 at a value of 100.
        """
        last = [chosen(parameter, which) for parameter in (self.final.weight, self.final.bias)]
        recorded = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if self.in_bfloat16 and self.flat is not None and not recorded:
            return [chosen(half, which) for half in self.flat.halves()[:-2]] + last
        layers = cast(list[Affine], list(self.hidden))
        hidden = [chosen(parameter, which) for layer in layers for parameter in (layer.weight, layer.bias)]
        return [parameter.bfloat16() for parameter in hidden] + last if self.in_bfloat16 else hidden + last


class NormedMlp(Mlp):
    """With layer normalisation (Ba et al., arXiv 1607.06450) in every hidden layer: relu(norm(x W' + b)).

    It has no gain and no shift: what follows is linear but for the ReLU, and the biases come before it.
    """

    normed = True


class Run:
    """What one run of a network leaves behind for its gradient."""

    def __init__(self, inputs: Sequence[Tensor], parameters: Sequence[Tensor], *, normed: bool = False) -> None:
        self._norms: list[tuple[Tensor, Tensor, Tensor]] = []
        """Of each hidden layer, where they are normalised: what was, its mean, and one over its deviation."""
        *self._seen, self.outputs = _layers(inputs, parameters, self._normalised if normed else None)
        self._weights, self._widths = parameters[::2], [part.shape[-1] for part in inputs]

    @torch.no_grad()
    def back(self, gradient: Tensor, *, into: Sequence[Tensor] | None = None, of: int | None = None) -> Tensor | None:
        """From the gradient of what came out to those of what went in.

        Args:
            gradient: like `outputs`.
            into: where those of the parameters are written, in their order; None: they are not asked for.
            of: number of the input whose gradient is returned, summed over a stack; None: of none.
        """
        for layer in reversed(range(len(self._seen))):
            entered, weight = self._seen[layer], self._weights[layer]
            gradient = gradient.to(weight.dtype)
            if into is not None:
                _write(into[2 * layer], product, gradient.mT, entered)
                _write(into[2 * layer + 1], _summed, gradient)
            if layer > 0:
                before = product(gradient, weight)
                gradient = torch.ops.aten.threshold_backward.grad_input(before, entered, 0, grad_input=before)
                gradient = self._of_norm(gradient, layer - 1)
        return None if of is None else self._of_input(gradient, of)

    def _normalised(self, outputs: Tensor) -> Tensor:
        found, mean, per_deviation = torch.native_layer_norm(outputs, outputs.shape[-1:], None, None, _EPSILON)
        self._norms.append((outputs, mean, per_deviation))
        return found

    def _of_norm(self, gradient: Tensor, layer: int) -> Tensor:
        """From the gradient of what was normalised to that of what the layer put out."""
        if not self._norms:
            return gradient
        before, mean, per_deviation = self._norms[layer]
        found, _, _ = torch.ops.aten.native_layer_norm_backward(
            gradient.to(before.dtype), before, before.shape[-1:], mean, per_deviation, None, None, [True, False, False]
        )
        return cast(Tensor, found)

    def _of_input(self, gradient: Tensor, of: int) -> Tensor:
        """From the gradient of what the first layer puts out, before its ReLU."""
        begin = sum(self._widths[:of])
        found = product(gradient, self._weights[0][..., begin : begin + self._widths[of]]).float()
        return found.sum(dim=0) if found.dim() == 3 else found


def _layers(
    inputs: Sequence[Tensor], parameters: Sequence[Tensor], norm: Callable[[Tensor], Tensor] | None
) -> list[Tensor]:
    """What every layer sees, the inputs first, and at last the outputs."""
    parts = [part.to(parameters[0].dtype) for part in inputs]
    seen = [parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)]
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        if len(seen) > 1:
            seen[-1] = torch.relu_(seen[-1] if norm is None else norm(seen[-1]))
        seen[-1] = seen[-1].to(weight.dtype)
        seen.append(affine(seen[-1], weight, bias))
    return seen


def _normalised(outputs: Tensor) -> Tensor:
    return nn.functional.layer_norm(outputs, outputs.shape[-1:], eps=_EPSILON)


def _summed(gradient: Tensor, out: Tensor | None = None) -> Tensor:
    """Over the rows."""
    return torch.sum(gradient, dim=-2, out=out)


def _write(slot: Tensor, compute: Callable[..., Tensor], *operands: Tensor) -> None:
    """Computes right into the slot, or beside it where that is of another precision."""
    if operands[0].dtype == slot.dtype:
        compute(*operands, out=slot)
    else:
        slot.copy_(compute(*operands))
