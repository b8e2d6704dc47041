"""What a critic puts out, what it means, and what it should have been: a value, here; distributions elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from agents.ddpg.losses import critic_loss, value_target


class Head(Protocol):
    """How the raw outputs of C critics are read. With K outputs each they are (C, B, K), with one (C, B)."""

    @property
    def outputs(self) -> int:
        """K"""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a stored critic must agree in to mean the same, beside its sizes; as JSON gives it back."""

    def value(self, raw: Tensor) -> Tensor:
        """Expected returns: (..., B) or (..., B, K) -> (..., B)."""

    def target(self, reward: Tensor, discount: Tensor, raw: Tensor) -> Tensor:
        """What the critics should have said: (B,), (B,) and the target critics' outputs after the covered steps ->
        (B,) or one distribution per row (B, J). Where critics disagree, the lower ones count."""

    def expected(self, target: Tensor) -> Tensor:
        """(B,) expected return of such a target."""

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Weighted by row, mean over the batch, sum over the critics: () of outputs, targets and (B,) weights."""

    def loss_gradient(self, raw: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and its gradient by the outputs."""

    def value_gradient(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """The mean () of all expected returns, and its gradient by the outputs."""

    def metrics(self, target: Tensor) -> dict[str, Tensor]:
        """Whatever else is worth watching."""


def mean_gradient(raw: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of all numbers, and its gradient."""
    return raw.mean(), torch.full_like(raw, 1 / raw.numel())


class ValueHead:
    """One number: the expected return."""

    outputs = 1

    def __init__(self) -> None:
        self.identity: Mapping[str, Any] = {}

    def value(self, raw: Tensor) -> Tensor:
        return raw

    def target(self, reward: Tensor, discount: Tensor, raw: Tensor) -> Tensor:
        return value_target(reward, discount, raw.amin(dim=0))

    def expected(self, target: Tensor) -> Tensor:
        return target

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return critic_loss(raw, target, weight)

    def loss_gradient(self, raw: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        return critic_loss(raw, target, weight), (2 / len(weight)) * weight * (raw - target)

    def value_gradient(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return mean_gradient(raw)

    def metrics(self, target: Tensor) -> dict[str, Tensor]:
        return {}
