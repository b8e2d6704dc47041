"""When an episode ends: falls and early-abort rules terminate it, time limits truncate it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
IMITATION = "imitation"
"""The early-abort rule of a body that is hopelessly far from the motion that it imitates."""


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

    def __init__(
        self,
        layout: StateLayout,
        time_limit_steps: int,
        aborts: Sequence[str] = (),
        strayed: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]] | None = None,
    ) -> None:
        """`strayed` tells the rule `imitation`: whether states (..., S) are too far from a motion's phases (...,)."""
        known = [*ABORT_RULES, *([IMITATION] if strayed else [])]
        unknown = [name for name in aborts if name not in known]
        if unknown:
            raise KeyError(f"no early-abort rule {unknown[0]!r}; there are {', '.join(known)}")
        if time_limit_steps < 1:
            raise ValueError(f"time limit is {time_limit_steps} control steps, it must be at least 1")
        self._height = layout.index["body_pos/pelvis/y"]
        self._limit = time_limit_steps
        self._rules = {name: None if name == IMITATION else ABORT_RULES[name](layout) for name in aborts}
        self._strayed = strayed
        self.endings: tuple[Ending | None, ...] = (
            None,
            Ending(FALL, terminated=True),
            *(Ending(f"abort: {name}", terminated=True) for name in self._rules),
            Ending(TIME_LIMIT, terminated=False),
        )
        """All that an episode can come to, as `batch` numbers them; the first: it goes on."""

    def __call__(self, state: NDArray[Any], step: int, phase: NDArray[Any] | None = None) -> Ending | None:
        """The ending at a state (S,) reached after `step` control steps; None while the episode goes on."""
        return self.endings[int(self.batch(state, np.asarray(step), phase))]

    def batch(
        self, states: NDArray[Any], steps: NDArray[np.integer[Any]], phase: NDArray[Any] | None = None
    ) -> NDArray[np.intp]:
        """(...,) positions in `endings` for states (..., S) reached after `steps` (...,) control steps, at a motion's
        phases (...,) if one is imitated."""
        # From the last word to the first: a fall counts before everything else.
        found = (steps >= self._limit) * (len(self.endings) - 1)
        for number, rule in reversed([*enumerate(self._rules.values(), start=2)]):
            found = np.where(rule(states) if rule else self._is_astray(states, phase), number, found)
        return np.where(states[..., self._height] < FALL_PELVIS_HEIGHT_M, 1, found)

    def _is_astray(self, states: NDArray[Any], phase: NDArray[Any] | None) -> NDArray[Any]:
        if self._strayed is None or phase is None:
            raise ValueError(f"the early-abort rule {IMITATION!r} needs the phase of the motion, and got none")
        return self._strayed(states, phase)
