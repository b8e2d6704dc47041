"""A network's parameters side by side in one piece of memory, and their gradients in another.

So a step of Adam, a step of a target and a copy in bfloat16 are one operation for all layers, not one for each, and
gradients can be written where they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

_ALIGNED = 32
"""Every parameter begins at a multiple of so many numbers: 64 bytes of bfloat16."""


class Flat:
    """Holds all parameters of a network, which keeps their names, shapes and values."""

    def __init__(self, network: nn.Module) -> None:
        old = dict(network.named_parameters())
        self._shapes = [parameter.shape for parameter in old.values()]
        sizes = [-(-shape.numel() // _ALIGNED) * _ALIGNED for shape in self._shapes]
        self._begins = list(accumulate(sizes, initial=0))
        # What lies between the parameters is 0 and stays so: its gradient is.
        self.values = torch.zeros(self._begins[-1])
        self.values.grad = torch.zeros_like(self.values)
        self.slots = self.views(self.values.grad)
        """Where the gradient of each parameter belongs."""
        self._half = torch.empty_like(self.values, dtype=torch.bfloat16)
        self._half_views = self.views(self._half)
        self._half_version = -1
        for (name, parameter), view in zip(old.items(), self.views(self.values), strict=True):
            view.copy_(parameter.detach())
            owner, _, own_name = name.rpartition(".")
            setattr(network.get_submodule(owner), own_name, nn.Parameter(view, parameter.requires_grad))
        self._parameters: list[Tensor] = list(network.parameters())

    def __deepcopy__(self, memo: Any) -> None:
        """None: a copy of a network has memory of its own."""

    def views(self, flat: Tensor) -> list[Tensor]:
        """The parts of a tensor like `values` (N,) that belong to the parameters, in their order and shapes."""
        return [
            flat[begin : begin + shape.numel()].view(shape)
            for begin, shape in zip(self._begins[:-1], self._shapes, strict=True)
        ]

    def halves(self) -> Sequence[Tensor]:
        """All parameters as they are now, in bfloat16."""
        if self._half_version != self.values._version:
            with torch.no_grad():
                self._half.copy_(self.values)
            self._half_version = self.values._version
        return self._half_views

    def gather(self) -> None:
        """Brings the gradients that torch has made of each parameter to their slots."""
        for parameter, slot in zip(self._parameters, self.slots, strict=True):
            assert parameter.grad is not None, "a parameter takes no part in the loss"
            slot.copy_(parameter.grad)
