"""When an episode ends: falls and early-abort rules terminate it, time limits truncate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.shaping import ABORT_RULES
from environment.state import StateLayout

FALL_PELVIS_HEIGHT_M = 0.6
"""Below it the walker has fallen (osim-rl 2.1.5)."""

FALL = "fall"
TIME_LIMIT = "time_limit"
SIMULATOR_ERROR = "simulator_error"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an episode is over."""

    reason: str
    """`fall`, `abort: <rule>`, `time_limit` or `simulator_error: <what happened>`."""
    terminated: bool
    """There is no future to bootstrap from."""

    @property
    def truncated(self) -> bool:
        """The episode was cut; its future would have had a value."""
        return not self.terminated


class Termination:
    """Looks at each state and says whether the episode ends there.

    A fall on the very last step counts as a fall. An early-abort rule terminates like a fall does: a policy that gets
    there has failed, and keeping the bootstrap would teach it that the rest had been well.
    """

    def __init__(self, layout: StateLayout, time_limit_steps: int, aborts: Sequence[str] = ()) -> None:
        unknown = [name for name in aborts if name not in ABORT_RULES]
        if unknown:
            raise KeyError(f"no early-abort rule {unknown[0]!r}; there are {', '.join(ABORT_RULES)}")
        if time_limit_steps < 1:
            raise ValueError(f"time limit is {time_limit_steps} control steps, it must be at least 1")
        self._height = layout.index["body_pos/pelvis/y"]
        self._limit = time_limit_steps
        self._rules = {name: ABORT_RULES[name](layout) for name in aborts}

    def __call__(self, state: NDArray[Any], step: int) -> Ending | None:
        """The ending at a state (S,) reached after `step` control steps; None while the episode goes on."""
        if state[self._height] < FALL_PELVIS_HEIGHT_M:
            return Ending(FALL, terminated=True)
        for name, rule in self._rules.items():
            if np.asarray(rule(state)).item():
                return Ending(f"abort: {name}", terminated=True)
        if step >= self._limit:
            return Ending(TIME_LIMIT, terminated=False)
        return None
