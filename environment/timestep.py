"""One control step as everything downstream sees it: the simulator's, the task's and the replay's common record."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CONTROL_STEP_S = 0.01
"""Simulated seconds between two decisions of the challenge's clock (osim-rl `stepsize`)."""


@dataclass(frozen=True, slots=True, eq=False)
class TimeStep:
    """The state reached after `step` control steps, and what led to it.

    An episode of T control steps is T+1 of these: number 0 is the reset state (no action, no
    reward), number T is the final one. The transition from step i to i+1 is therefore
    `steps[i].state`, `steps[i+1].excitation`, `steps[i+1].reward`, `steps[i+1].state`.
    """

    step: int
    """Control steps since the reset, 0..T."""
    state: Float32
    """(S,) the whole simulator state in the order of the run's `StateLayout`, target included."""
    excitation: Float32
    """(M,) in [0, 1]: what the muscles received on the way here; zeros at step 0."""
    policy_action: Float32
    """(M,) in [-1, 1]: what the policy (with its exploration) asked for, before binning; zeros at step 0."""
    decision: bool
    """True when the action was chosen for this step; False while a held action repeats, and at step 0."""
    reward: float
    """Of arriving here; 0 at step 0."""
    terminated: bool
    """A fall or an early-abort rule: there is no future, the bootstrap goes."""
    truncated: bool
    """A time limit, a simulator failure or a stop from outside: the bootstrap stays."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TimeStep):
            return NotImplemented
        return all(np.array_equal(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    __hash__ = None  # type: ignore[assignment]  # arrays can not be hashed
