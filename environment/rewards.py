"""Rewards: pure functions of the state arrived at, term by term. One state and a batch give the same, to the last bit.

Since states are stored, any reward can be computed again for a stored run, for another target too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.shaping import SHAPED_TERMS
from environment.state import TARGET_VELOCITY, StateLayout
from environment.targets import ROUND1_TARGET_M_PER_S, START_SPEED_M_PER_S

# Squares are `np.square`: of a single number, `** 2` is a power, whose last digit may differ from an array's.
Array = NDArray[Any]
Term = Callable[[Array], Array]
"""States (..., S) -> values (...)."""

_ROUND1_ALIVE, _ROUND2_ALIVE, _EFFORT_WEIGHT = 9.0, 10.0, 0.001
_WALK_ALIVE, _WALK_LEAST_VELOCITY, _WALK_SPEED_SQUARED = 0.2, -0.18, START_SPEED_M_PER_S**2


@dataclass(frozen=True)
class Reward:
    """A named sum of named terms."""

    name: str
    """Name and version, e.g. `round2/1`; it changes whenever the numbers do."""
    terms: Mapping[str, Term] = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all terms."""
        return tuple(self.terms)

    def evaluate(self, states: Array, phase: Array | None = None) -> dict[str, Array]:
        """Each term's value (...) at the states (..., S) arrived at; the reward is their sum.

        Args:
            phase: (...,) of the motion that is imitated, if one is.
        """
        return {name: term(states) for name, term in self.terms.items()}


def round1(layout: StateLayout) -> Reward:
    """osim-rl's round 1: 9 - (vx - 3)^2, with the pelvis's forward velocity."""
    velocity = layout.index["body_vel/pelvis/x"]
    return Reward(
        "round1/1",
        {
            "alive": lambda states: np.full(states.shape[:-1], _ROUND1_ALIVE),
            "velocity": lambda states: -np.square(states[..., velocity] - ROUND1_TARGET_M_PER_S[0]),
        },
    )


def round2(layout: StateLayout) -> Reward:
    """osim-rl's round 2: 10 - (vx - tx)^2 - (vz - tz)^2 - 0.001 sum(activation^2), with the pelvis's velocity."""
    vx, vz = layout.index["body_vel/pelvis/x"], layout.index["body_vel/pelvis/z"]
    tx, tz = layout.index[f"{TARGET_VELOCITY}/x"], layout.index[f"{TARGET_VELOCITY}/z"]
    activations = layout.ending("muscles", "activation")
    return Reward(
        "round2/1",
        {
            "alive": lambda states: np.full(states.shape[:-1], _ROUND2_ALIVE),
            "velocity_forward": lambda states: -np.square(states[..., vx] - states[..., tx]),
            "velocity_lateral": lambda states: -np.square(states[..., vz] - states[..., tz]),
            "effort": lambda states: -_EFFORT_WEIGHT * _sum_of_squares(states, activations),
        },
    )


def walk(layout: StateLayout) -> Reward:
    """For learning to walk: round 2 without what standing still earns. 1.2 a step at best, 0.2 for a body at rest.

    alive 0.2 + velocity max(-0.18, 1 - |v - v*|^2 / 1.25^2) + effort -0.001 sum(activation^2) / 1.25^2

    In round 2 a body at rest earns 8.4 of 10 (1.25 m/s asked for) and nothing says that it should move; here a sixth of
    the best. The velocity term has round 2's own slope, per 1.25^2, so what is best there is best here. It is bounded
    below so that no step costs anything: if some did, a fast fall would be worth more than to go on.
    """
    ahead, aside = layout.index["body_vel/pelvis/x"], layout.index["body_vel/pelvis/z"]
    tx, tz = layout.index[f"{TARGET_VELOCITY}/x"], layout.index[f"{TARGET_VELOCITY}/z"]
    activations = layout.ending("muscles", "activation")

    def velocity(states: Array) -> Array:
        error = np.square(states[..., ahead] - states[..., tx]) + np.square(states[..., aside] - states[..., tz])
        bounded: Array = np.maximum(_WALK_LEAST_VELOCITY, 1.0 - error / _WALK_SPEED_SQUARED)
        return bounded

    return Reward(
        "walk/1",
        {
            "alive": lambda states: np.full(states.shape[:-1], _WALK_ALIVE),
            "velocity": velocity,
            "effort": lambda states: -_EFFORT_WEIGHT / _WALK_SPEED_SQUARED * _sum_of_squares(states, activations),
        },
    )


TASK_REWARDS: Mapping[str, Callable[[StateLayout], Reward]] = {"round1": round1, "round2": round2, "walk": walk}


def build_reward(name: str, layout: StateLayout, shaping: Mapping[str, float]) -> Reward:
    """The reward of that name over states of `layout` (target included), with shaped terms of these weights on top.

    Raises: KeyError with the names that exist.
    """
    if name not in TASK_REWARDS:
        raise KeyError(f"no reward {name!r}; there are {', '.join(TASK_REWARDS)}")
    return shaped(TASK_REWARDS[name](layout), layout, shaping)


def shaped(base: Reward, layout: StateLayout, weights: Mapping[str, float]) -> Reward:
    """The task's reward with shaped terms added, each under its own name; the task's own terms stay untouched.

    Raises: KeyError for an unknown term, with the list of those that exist.
    """
    if not weights:
        return base
    terms = dict(base.terms)
    for name, weight in sorted(weights.items()):
        if name not in SHAPED_TERMS:
            raise KeyError(f"no shaped reward {name!r}; there are {', '.join(SHAPED_TERMS)}")
        terms[f"shaped_{name}"] = _weighted(SHAPED_TERMS[name](layout), weight)
    recipe = ",".join(f"{name}={weight:g}" for name, weight in sorted(weights.items()))
    return Reward(f"{base.name}+{recipe}", terms)


def _sum_of_squares(states: Array, where: NDArray[np.intp]) -> Array:
    # Not `states[..., where]`: numpy lays that out as it likes, and sums in another order then: other last digits.
    total: Array = np.square(states.take(where, axis=-1)).sum(axis=-1)
    return total


def _weighted(term: Term, weight: float) -> Term:
    return lambda states: weight * term(states)
