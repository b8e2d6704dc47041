"""A motion to imitate: one cycle of it, repeated for ever, and which moment of it a body is at.

A body is at the phase of the cycle's row that is most like the first state of its episode, and from there the phase
goes on with time. So it follows from the stored states alone, whoever played the episode and wherever it began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.imitation.cycle import NoCycle, find_cycle
from environment.imitation.features import CENTER_OF_MASS, Features
from environment.motions.motion import Motion, MotionRefused
from environment.state import StateLayout
from environment.timestep import CONTROL_STEP_S

Array = NDArray[Any]
Float64 = NDArray[np.float64]

_LEAST_ADVANCE_M = 0.1
"""Of a cycle that goes somewhere; one that does not is headed for where the pelvis faces."""


class Clock(Protocol):
    """Tells the phase, in [0, 1), at which an imitated motion is."""

    @property
    def period_s(self) -> float:
        """Of a cycle."""

    def start_phase(self, state: Array) -> float:
        """Of an episode whose first state, in the log's precision, is (S,)."""


@dataclass(frozen=True, slots=True)
class FixedClock:
    """Of episodes that all start alike: where a policy is scored, without the motion that it learned from."""

    period_s: float
    phase: float
    """At the start."""

    def start_phase(self, state: Array) -> float:
        return self.phase


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One cycle of a motion, as features of its states. Implements `Clock`."""

    name: str
    """Of the file, without its ending."""
    period_s: float
    table: Float64
    """(N + 1, F) at even phases; the last row is the first."""
    features: Features = field(repr=False)
    speed_m_per_s: float
    """By which it advances along its heading."""
    sha256: str = ""
    """Of the file."""

    @classmethod
    def of(cls, motion: Motion, layout: StateLayout, sha256: str = "") -> Reference:
        """Finds the cycle of a motion of the body with this layout.

        Raises: MotionRefused when it can not be repeated.
        """
        features = Features(layout)
        pelvis = layout.where("body_pos/pelvis")[[0, 2]]
        along = motion.states[:, pelvis]
        steady = features(motion.states, np.full(len(along), _heading_rad(features, motion.states, along)))
        weights = features.scales.copy()
        weights[features.groups[CENTER_OF_MASS]] = 0.0
        try:
            cycle = find_cycle(steady, weights, features.names, motion.rate_hz)
        except NoCycle as reason:
            raise MotionRefused(f"motion {motion.name!r} can not be repeated: {reason}") from reason
        states = motion.states[cycle.first : cycle.first + cycle.rows + 1]
        way = along[cycle.first + cycle.rows] - along[cycle.first]
        table = features(states, np.full(len(states), _heading_rad(features, states, states[:, pelvis])))
        # What a cycle does not come back to is spread over it, half to each side.
        table -= (table[-1] - table[0]) * (np.arange(len(table))[:, None] / cycle.rows - 0.5)
        table[-1] = table[0]
        period_s = cycle.rows / motion.rate_hz
        return cls(motion.name, period_s, table, features, float(np.hypot(*way)) / period_s, sha256)

    def start_phase(self, state: Array) -> float:
        scales = self.features.scales.copy()
        # What is asked for does not matter, nor how fast it goes: a stored episode may be seen with another target.
        scales[self.features.yaw] = 0.0
        scales[self.features.groups[CENTER_OF_MASS]] = 0.0
        one = np.asarray(state, np.float64)[None]
        found = self.features(one, self.features.yaw_rad(one))
        apart = (scales * np.square(self.table[:-1] - found)).sum(axis=1)
        return int(apart.argmin()) / len(apart)

    def at(self, phase: Float64) -> Float64:
        """(B, F) features at phases (B,) in [0, 1)."""
        place = phase * (len(self.table) - 1)
        # A product may round up to the next cycle.
        row = np.minimum(place.astype(np.intp), len(self.table) - 2)
        part = (place - row)[:, None]
        found: Float64 = self.table.take(row, axis=0) * (1.0 - part) + self.table.take(row + 1, axis=0) * part
        return found


def phase_after(start: Array | float, steps: Array | int, period_s: float) -> Float64:
    """Phases (...,) in [0, 1) after so many control steps (...,) since starts (...,)."""
    found: Float64 = np.mod(start + np.asarray(steps) * (CONTROL_STEP_S / period_s), 1.0)
    return found


def phases_of(clock: Clock, states: Array, first: NDArray[np.integer[Any]]) -> Float64:
    """(R,) phases of the stored states (R, S) of episodes, one after the other, that begin at rows (E,)."""
    lengths = np.diff(np.append(first, len(states)))
    starts = np.array([clock.start_phase(states[row]) for row in first.tolist()], np.float64)
    steps = np.arange(len(states)) - np.repeat(first, lengths)
    return phase_after(np.repeat(starts, lengths), steps, clock.period_s)


def _heading_rad(features: Features, states: Float64, along: Float64) -> float:
    """In which direction a motion goes, whose pelvis goes along (T, 2), in m."""
    way = along[-1] - along[0]
    if np.hypot(*way) >= _LEAST_ADVANCE_M:
        return float(np.arctan2(-way[1], way[0]))
    yaw = features.yaw_rad(states)
    return float(np.arctan2(np.sin(yaw).mean(), np.cos(yaw).mean()))
