"""Returns as quantiles (QR-DQN: Dabney et al., arXiv 1710.10044), pooled and truncated (TQC: 2005.04269)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from agents.ddpg.heads import mean_gradient
from agents.ddpg.losses import value_target


def fractions(count: int, device: torch.device | None = None) -> Tensor:
    """(K,) the fractions that the quantiles stand for: the middles `(2k - 1) / (2K)` of K equal parts of [0, 1]."""
    return (torch.arange(count, device=device) + 0.5) / count


def truncated(quantiles: Tensor, dropped: int) -> Tensor:
    """All critics' quantiles of a row as one sample, without its `dropped` largest per critic: (C, B, K) ->
    (B, C (K - dropped)), ascending."""
    critics, rows, count = quantiles.shape
    pool = quantiles.transpose(0, 1).reshape(rows, critics * count).sort(dim=1).values
    return pool[:, : critics * (count - dropped)]


def quantile_huber(quantiles: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean over batch, quantiles and targets of `weight |f_k - [u < 0]| L(u)`, summed over the critics.

    `u = target_j - quantile_k`, and L is Huber's loss: `u**2 / 2` up to 1, `|u| - 1/2` beyond (1710.10044, equations 9
    and 10 with kappa 1). (C, B, K), (B, J), (B,) -> ().
    """
    count, (rows, size) = quantiles.shape[-1], target.shape
    shape = (len(quantiles), rows, count, size)
    wanted, told = target[:, None, :].expand(shape), quantiles[..., None].expand(shape)
    side = (fractions(count, quantiles.device)[:, None] - (wanted < told).float()).abs()
    loss = (side * functional.huber_loss(told, wanted, reduction="none")).mean(dim=(2, 3))
    return (weight * loss).mean(dim=1).sum()


class QuantileHead:
    """Quantiles of the return, in no particular order but that of their fractions."""

    def __init__(self, quantiles: int, dropped: int) -> None:
        self.outputs, self._dropped = quantiles, dropped
        self.identity: Mapping[str, Any] = {"quantiles": quantiles}

    def value(self, raw: Tensor) -> Tensor:
        return raw.mean(dim=-1)

    def target(self, reward: Tensor, discount: Tensor, raw: Tensor) -> Tensor:
        return value_target(reward[:, None], discount[:, None], truncated(raw, self._dropped))

    def expected(self, target: Tensor) -> Tensor:
        return target.mean(dim=1)

    def loss(self, raw: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return quantile_huber(raw, target, weight)

    def loss_gradient(self, raw: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        told = raw.detach().requires_grad_()
        with torch.enable_grad():
            loss = quantile_huber(told, target, weight)
        return loss.detach(), torch.autograd.grad(loss, told)[0]

    def value_gradient(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return mean_gradient(raw)

    def metrics(self, target: Tensor) -> dict[str, Tensor]:
        return {}
