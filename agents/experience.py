"""What the learner learns from: a batch of per-decision, n-step transitions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions, each from one decision to the n-th next (or the episode's end).

    The value target of row b is `reward[b] + discount[b] * Q(next_observation[b], ·)`.
    """

    observation: Float32
    """(B, O)"""
    action: Float32
    """(B, M) in [-1, 1]: the *executed* action, `2 * excitation - 1`, after binning. The critic judges what the
    muscles received."""
    reward: Float32
    """(B,) rewards of the covered control steps, each discounted by gamma per 10 ms step."""
    discount: Float32
    """(B,) gamma**(control steps covered); 0 after a fall; a time limit keeps it."""
    next_observation: Float32
    """(B, O)"""
    policy_version: NDArray[np.int64]
    """(B,) version of the policy that acted."""
    weight: Float32
    """(B,) importance weight, 1 when sampling is uniform."""
    number: NDArray[np.int64] | None = None
    """(B,) by which the mirror knows them: new priorities are told by it. None for a batch from elsewhere."""

    def __post_init__(self) -> None:
        size = len(self.reward)
        for name in ("observation", "action", "reward", "discount", "next_observation", "policy_version", "weight"):
            column = getattr(self, name)
            if len(column) != size:
                raise ValueError(f"batch column {name} has {len(column)} rows, reward has {size}")
        for name in ("reward", "discount", "weight"):
            if getattr(self, name).ndim != 1:
                raise ValueError(f"batch column {name} must be (B,); (B, 1) would broadcast to (B, B) in a loss")
