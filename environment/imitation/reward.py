"""DeepMimic's imitation reward (Peng et al., arXiv 1804.02717, section 5), and when a body is hopelessly far off.

    r = w_I (0.65 r_pose + 0.1 r_velocity + 0.15 r_end_effector + 0.1 r_center_of_mass) + (1 - w_I) r_task
    r_x = exp(-scale_x sum |reference - body|^2), scales 2, 0.1, 40, 10; the paper's w_I is 0.7

What differs from the paper, and why, stands in `features.py` and in decision 0022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.imitation.features import CENTER_OF_MASS, END_EFFECTOR, POSE, VELOCITY
from environment.imitation.reference import Reference
from environment.rewards import Reward, Term
from environment.state import StateLayout

Array = NDArray[Any]
Float64 = NDArray[np.float64]

WEIGHTS: Mapping[str, float] = {POSE: 0.65, VELOCITY: 0.1, END_EFFECTOR: 0.15, CENTER_OF_MASS: 0.1}
"""The paper's, 1 together."""
PUBLISHED_SHARE = 0.7
"""w_I of the paper's tasks."""
HOPELESS_M = 0.6
"""Mean distance of feet and head from the motion's, beyond which the early-abort rule `imitation` ends an episode. A
body that stands is at most 0.35 to 0.6 m from any phase of a gait; one that falls is there half-way down."""
_PREFIX = "imitate_"
NAMES = tuple(f"{_PREFIX}{group}" for group in WEIGHTS)
"""Of the terms."""


class Imitation:
    """How like the motion a body is. One state and a batch give the same, to the last bit."""

    def __init__(self, reference: Reference, layout: StateLayout) -> None:
        """`layout` is of the states that are compared, with a target."""
        self.reference = reference
        self._features = type(reference.features)(layout)

    def terms(self, states: Array, phase: Array) -> dict[str, Float64]:
        """Weighted terms (...,), 1 together at best, of states (..., S) at phases (...,) of the motion."""
        squares, shape = self._squares(states, phase), states.shape[:-1]
        return {
            f"{_PREFIX}{group}": (weight * np.exp(-_total(squares, self._features.groups[group]))).reshape(shape)
            for group, weight in WEIGHTS.items()
        }

    def strayed(self, states: Array, phase: Array) -> NDArray[np.bool_]:
        """(...,) whether a body is hopelessly far from the motion."""
        astray: NDArray[np.bool_] = self.distance_m(states, phase) > HOPELESS_M
        return astray

    def distance_m(self, states: Array, phase: Array) -> Float64:
        """(...,) mean distance of the end effectors from the motion's."""
        rows = _rows(states)
        off = self._off(rows, np.reshape(phase, -1))[:, self._features.groups[END_EFFECTOR]]
        each = np.sqrt(np.square(off).reshape(len(rows), -1, 3).sum(axis=2))
        found: Float64 = np.ascontiguousarray(each).mean(axis=1).reshape(states.shape[:-1])
        return found

    def _squares(self, states: Array, phase: Array) -> Float64:
        found: Float64 = self._features.scales * np.square(self._off(_rows(states), np.reshape(phase, -1)))
        return found

    def _off(self, states: Float64, phase: Array) -> Float64:
        off = self._features(states, self._features.heading_rad(states)) - self.reference.at(phase)
        yaw = off[:, self._features.yaw]
        off[:, self._features.yaw] = yaw - 2.0 * np.pi * np.rint(yaw / (2.0 * np.pi))
        return off


@dataclass(frozen=True)
class ImitationReward(Reward):
    """A task's reward and the imitation's terms, in their shares."""

    imitation: Imitation = field(repr=False)
    share: float

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.terms, *NAMES)

    def evaluate(self, states: Array, phase: Array | None = None) -> dict[str, Array]:
        if phase is None:
            raise ValueError(f"reward {self.name} needs the phase of the motion, and got none")
        alike = self.imitation.terms(states, phase)
        return super().evaluate(states) | {name: self.share * value for name, value in alike.items()}


def imitating(base: Reward, imitation: Imitation, share: float) -> Reward:
    """`base` in 1 - `share` of the reward, the imitation in `share` of it; each term under its own name."""
    reference = imitation.reference
    return ImitationReward(
        name=f"{1.0 - share:g}*{base.name}+{share:g}*imitate/1:{reference.name}@{reference.sha256[:8]}",
        terms={name: _scaled(term, 1.0 - share) for name, term in base.terms.items()},
        imitation=imitation,
        share=share,
    )


def _scaled(term: Term, share: float) -> Term:
    return lambda states: share * term(states)


def _rows(states: Array) -> Float64:
    return np.ascontiguousarray(states, np.float64).reshape(-1, states.shape[-1])


def _total(squares: Float64, group: slice) -> Float64:
    # Of a copy whose rows lie side by side: sums over a strided view may be in another order.
    total: Float64 = np.ascontiguousarray(squares[:, group]).sum(axis=1)
    return total
