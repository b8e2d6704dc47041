"""What goes to the device that learns, and what comes back from it."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.experience import Batch


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch's columns as tensors on the device."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor
    weight: Tensor

    @staticmethod
    def of(batch: Batch, device: torch.device, observed: torch.dtype = torch.float32) -> Rows:
        """In float32, the observations as `observed`."""

        def tensor(name: str) -> Tensor:
            # A copy: tensors of torch's own memory have one alignment, so the same numbers give the same sums.
            wanted = observed if name.endswith("observation") else torch.float32
            return torch.tensor(getattr(batch, name), dtype=wanted, device=device)

        return Rows(*(tensor(field.name) for field in dataclasses.fields(Rows)))


def as_floats(metrics: dict[str, Tensor]) -> dict[str, float]:
    """Brings all metrics over at once: one wait for the device, not one each."""
    return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))


def restore_generator(generator: torch.Generator, state: NDArray[np.uint8]) -> None:
    """Goes on where a state was taken; where that was on another kind of device, with other numbers that follow from
    it, since their states mean different things.
    """
    if len(state) == len(generator.get_state()):
        generator.set_state(torch.tensor(state))
    else:
        generator.manual_seed(int.from_bytes(hashlib.sha256(state.tobytes()).digest()[:7], "big"))
