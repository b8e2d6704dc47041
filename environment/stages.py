"""Other targets than the task's: easier ones for a learner that cannot walk yet, later ones for one that can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from environment.targets import START_SPEED_M_PER_S, Schedule, Targets, entered_late


@dataclass(frozen=True, slots=True)
class Stage:
    """How hard targets are. The defaults change nothing of the challenge's round 2."""

    speed_m_per_s: float = START_SPEED_M_PER_S
    """Asked for at first, straight ahead, in an episode that does not begin late."""
    changes: float = 1.0
    """How much of every change of the task's targets is asked for: 0 is none."""
    late_targets: float = 0.0
    """Share of the episodes that begin in the middle of the targets: see `environment.targets.entered_late`."""

    def __call__(self, schedule: Schedule, seed: int, steps: int) -> Targets:
        """The task's (T+1, 3) targets at this stage: they change at the same steps, or at those of a later part."""
        late = entered_late(schedule, self.late_targets, steps) if self.late_targets else schedule
        targets = late(seed, steps)
        if (self.speed_m_per_s, self.changes) == (START_SPEED_M_PER_S, 1.0):
            return targets
        first = schedule(seed, 1)[0]
        eased: Targets = np.array([self.speed_m_per_s, 0.0, 0.0]) + self.changes * (targets - first)
        return eased


class Stages(Protocol):
    """Which stage episodes begin at. One may serve many environments."""

    def now(self) -> tuple[int, Stage]:
        """Its number, for the episode's document, and what it asks for."""
