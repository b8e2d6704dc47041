"""The running mean of the actor: what a run publishes as its policy, where it is asked for.

From one second to the next a learner's policy moves by more than it improves, for the critic is never right everywhere.
What it moves by averages out, what it has learned stays (Polyak and Juditsky, Acceleration of Stochastic Approximation
by Averaging, 1992; for policies Nikishin et al., Improving Stability in Deep Reinforcement Learning with Weight
Averaging, 2018). With θ the actor after k updates and N the furthest that the mean reaches back,

    m += (θ - m) / min(N, k / 20)

so what a young run's mean is of is a twentieth of the run old, on average, and what it was before it could walk is soon
forgotten: networks that are far apart have no meaningful mean.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.networks import Actor, arrays_of, load_arrays

_EVERY = 10
"""Updates between two steps of the mean: so it costs nothing, and neighbours are alike anyway."""
_AGE = 0.05
"""Of the whole run, until the mean reaches back as far as it may: at 0.1 its longer tail still held a run back that had
just learned to walk (decision 0027)."""
_PREFIX, _COUNT = "actor/mean", "actor/mean_count"


class MeanActor:
    """Follows an actor while that learns, and is an actor itself."""

    def __init__(self, actor: Actor, reach_updates: int) -> None:
        """Starts where `actor` is. `reach_updates`: N of the equation."""
        self._reach_updates, self._updates = reach_updates, 0
        self._followed: list[Tensor] = list(actor.parameters())
        self.network = copy.deepcopy(actor).requires_grad_(False)
        self._mean: list[Tensor] = list(self.network.parameters())

    @torch.no_grad()
    def follow(self) -> None:
        """To be called after every update. It counts them itself: a run that branches off goes on with a mean."""
        self._updates += 1
        if self._updates % _EVERY == 0:
            torch._foreach_lerp_(self._mean, self._followed, share(self._updates, self._reach_updates))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Copies, to go on from."""
        return arrays_of(self.network, _PREFIX) | {_COUNT: np.array([self._updates])}

    @torch.no_grad()
    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes over what `arrays` gave; of a state without a mean it starts at the actor, which is loaded already.

        Raises: ValueError when sizes differ.
        """
        if _COUNT in arrays:
            load_arrays(self.network, arrays, _PREFIX)
            self._updates = int(arrays[_COUNT][0])
        else:
            torch._foreach_copy_(self._mean, self._followed)
            self._updates = 0


def share(updates: int, reach_updates: int) -> float:
    """How far one step of the mean goes towards the actor."""
    return min(1.0, _EVERY / min(reach_updates, _AGE * updates))


def without_mean(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A state whose actor was changed: whoever loads it begins a mean anew, at that actor."""
    return {name: array for name, array in tensors.items() if name != _COUNT and not name.startswith(f"{_PREFIX}/")}


def led_by_mean(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """A state for a learner that keeps no mean: its actor, and the target, are what the mean was, if there was one."""
    means = {name.removeprefix(_PREFIX): array for name, array in tensors.items() if name.startswith(f"{_PREFIX}/")}
    actors = {f"actor/{which}{name}": array.copy() for which in ("network", "target") for name, array in means.items()}
    return without_mean(tensors) | actors
