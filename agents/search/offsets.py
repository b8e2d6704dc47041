"""Episodes of a policy whose first decisions are led elsewhere, side by side in a batch of bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.official.rules import BatchPolicy
from environment.vector import ProstheticsVectorEnv

Array = NDArray[np.floating]
Float32 = NDArray[np.float32]
Does = Callable[[Float32, Float32], Float32]
"""What is seen (N, O) and what was to be done (N, M) -> what is done in its place (N, M)."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision of all bodies."""

    number: int
    """Counted from 0 in every episode."""
    seen: Float32
    """(N, O) not normalised."""
    action: Float32
    """(N, M) in [-1, 1]: the policy's with its offset, whatever was done in its place."""
    rewards: NDArray[np.float64]
    """(N,) of its control steps; 0 where the episode was over before."""
    playing: NDArray[np.bool_]
    """(N,) whether the episode went on until this decision."""


def play(
    environment: ProstheticsVectorEnv,
    policy: BatchPolicy,
    seeds: Sequence[int],
    offsets: Array,
    decisions: int | None = None,
    does: Does | None = None,
) -> Iterator[Decided]:
    """Plays one episode in every body, until all are over or so many decisions were made.

    Args:
        environment: In which episodes are started only when asked (`ONLY_WHEN_ASKED`).
        seeds: (N,)
        offsets: (N, K, M), or (K, M) for all alike; added to the policy's first K actions.
        does: What is done; what is told is what was to be done.
    """
    observations, _ = environment.reset(seed=list(seeds))
    playing, number = np.ones(environment.num_envs, np.bool_), 0
    while playing.any() and (decisions is None or number < decisions):
        action = policy(observations)
        if number < offsets.shape[-2]:
            action = np.clip(action + offsets[..., number, :], -1.0, 1.0).astype(np.float32)
        done = action if does is None else does(observations, action)
        seen, before = observations, playing
        observations, rewards, terminated, truncated, _ = environment.step(done)
        yield Decided(number, seen, action, np.where(before, rewards, 0.0), before)
        environment.rest(terminated | truncated)
        playing = before & ~(terminated | truncated)
        number += 1
