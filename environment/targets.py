"""Target-velocity schedules: what the walker is asked to do at every control step of an episode.

osim-rl draws round 2's targets from the global generators of `numpy` and `random`. Here the same numbers come from
generators of the episode's own, so environments do not disturb each other and seed 0 is a seed like any other.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from environment.seeds import LATE_TARGETS, stream
from environment.timestep import CONTROL_STEP_S

Targets = NDArray[np.float64]
"""(T+1, 3) m/s in ground axes (forward x, up y, right z), one row per control step and one for the reset."""
Schedule = Callable[[int, int], Targets]
"""(seed, steps) -> targets."""

ROUND1_TARGET_M_PER_S = (3.0, 0.0, 0.0)
START_SPEED_M_PER_S = 1.25
_CHANGES = 10
_MAX_SPEED_CHANGE_M_PER_S = 0.5
_MAX_HEADING_CHANGE_RAD = math.pi / 8

# Kept, because to make one takes a hundred times as long as to seed it; every schedule seeds it anew.
_counts = np.random.RandomState(0)
_counts_in_use = threading.Lock()


def fixed(seed: int, steps: int) -> Targets:
    """Round 1: 3 m/s straight ahead, always."""
    return np.tile(ROUND1_TARGET_M_PER_S, (steps + 1, 1))


def poisson_changes(seed: int, steps: int, *, mean_steps_between_changes: float = 300) -> Targets:
    """Round 2: 1.25 m/s straight ahead, then at Poisson-spaced steps a sudden new speed and heading.

    Equal to osim-rl 2.1.5's `ProstheticsEnv.reset(seed=seed)` for every seed but 0, which osim-rl ignores.

    Args:
        seed: 0..2**32-1.
        steps: Control steps of the episode.
        mean_steps_between_changes: Of the Poisson distribution; the challenge's is 300 (3 s).
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"target seed {seed} is outside 0..{2**32 - 1}, which is all that osim-rl's generators take")
    with _counts_in_use:
        _counts.seed(seed)
        counts = _counts.poisson(mean_steps_between_changes, _CHANGES)
    draws = random.Random(seed)
    changes = set(np.cumsum(counts).tolist())
    speed_m_per_s, heading_rad = START_SPEED_M_PER_S, 0.0
    targets = np.zeros((steps + 1, 3))
    targets[:, 0] = speed_m_per_s
    for step in sorted(change for change in changes if 0 < change <= steps):
        speed_m_per_s += _draw_change(draws, _MAX_SPEED_CHANGE_M_PER_S)
        heading_rad += _draw_change(draws, _MAX_HEADING_CHANGE_RAD)
        targets[step:, 0] = speed_m_per_s * math.cos(heading_rad)
        targets[step:, 2] = speed_m_per_s * math.sin(heading_rad)
    return targets


def entered_late(schedule: Schedule, share: float, latest_step: int) -> Schedule:
    """The same targets, but a share of the episodes begins in the middle of them.

    An episode of round 2 has few changes, and speeds and headings far from the first ones are asked for only near its
    end: a learner hardly meets them. Which episodes begin late, and where, follows from their seeds.

    Args:
        share: Of the episodes, 0..1.
        latest_step: Step of the targets that an episode may begin at, at most; drawn evenly from 1 on.
    """

    def asked(seed: int, steps: int) -> Targets:
        draws = stream(seed, LATE_TARGETS)
        if draws.random() >= share:
            return schedule(seed, steps)
        first = int(draws.integers(1, latest_step, endpoint=True))
        return schedule(seed, steps + first)[first:]

    return asked


def _draw_change(draws: random.Random, largest: float) -> float:
    # The sign is drawn although the range is symmetric: osim-rl does, and each draw moves the generator.
    return draws.choice([-1, 1]) * draws.uniform(-largest, largest)


def age_s(targets: NDArray[np.floating], first: NDArray[np.integer] | None = None) -> NDArray[np.float32]:
    """Seconds since the target last changed, for each row of an episode's (T+1, 3) targets.

    The reset counts as a change: (T+1,) float32, 0 at row 0 and at every row whose target differs from the row before.

    Args:
        first: (E,) rows where episodes begin, when `targets` are those of several, one after the other.
    """
    changed = 1 + np.flatnonzero(targets[1:] != targets[:-1]) // targets.shape[1]
    last_change = np.zeros(len(targets), np.int64)
    last_change[changed] = changed
    if first is not None:
        last_change[first] = first
    np.maximum.accumulate(last_change, out=last_change)
    return ((np.arange(len(targets)) - last_change) * CONTROL_STEP_S).astype(np.float32)
