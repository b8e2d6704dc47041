"""The layers of the networks. Their weights may be stacked: those of C networks, which then compute together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from agents.products import affine

FINAL_BOUND = 3e-3
"""Final weights and biases start in ±this unless another bound is given, so first actions and values are near 0."""

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
