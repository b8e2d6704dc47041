"""The running normaliser on the device that learns: the numbers of `normalisation.RunningNormaliser`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.normalisation import CONSTANT, RunningNormaliser


class DeviceNormaliser:
    """Mean and variance of all observations given to `update`. Nothing waits for the device but what returns arrays."""

    def __init__(self, size: int, device: torch.device) -> None:
        self._size = size
        # Not a scalar: of one, torch's tracing loses the change (torch 2.13, on the CPU).
        self._count = torch.zeros(1, dtype=torch.float64, device=device)
        self._mean = torch.zeros(size, dtype=torch.float64, device=device)
        self._squares = torch.zeros(size, dtype=torch.float64, device=device)
        self.clip = RunningNormaliser(size).clip

    def update(self, rows: Tensor) -> None:
        """Takes in B more observations, (B, O); none of them if any is not finite: their loss will tell.

        As on the host, batches are joined by Chan's formula.
        """
        taken = rows.double()
        mean = taken.mean(dim=0)
        squares = (taken - mean).square().sum(dim=0)
        finite = torch.isfinite(mean).all()
        total = self._count + len(rows)
        delta = mean - self._mean
        share = len(rows) / total
        self._squares.copy_(
            torch.where(finite, self._squares + squares + delta.square() * self._count * share, self._squares)
        )
        self._mean.copy_(torch.where(finite, self._mean + delta * share, self._mean))
        self._count.copy_(torch.where(finite, total, self._count))

    def __call__(self, rows: Tensor) -> Tensor:
        """(B, O) float32, with the statistics of now; there must be some."""
        deviation = (self._squares / self._count).sqrt()
        constant = deviation <= CONSTANT * self._mean.abs().clamp(min=1.0)
        scale = torch.where(constant, 0.0, 1.0 / deviation)
        return ((rows - self._mean.float()) * scale.float()).clamp(-self.clip, self.clip)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """As that of the host: a run may go on there."""
        return {
            "count": self._count.long().cpu().numpy(),
            "mean": self._mean.cpu().numpy().copy(),
            "squares": self._squares.cpu().numpy().copy(),
            "clip": torch.tensor([self.clip], dtype=torch.float64).numpy(),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Raises: ValueError as that of the host."""
        host = RunningNormaliser(self._size)
        host.load_state_dict(state)
        found = host.state_dict()
        self._count.fill_(float(host.count))
        self._mean.copy_(torch.from_numpy(found["mean"]))
        self._squares.copy_(torch.from_numpy(found["squares"]))
        self.clip = host.clip
