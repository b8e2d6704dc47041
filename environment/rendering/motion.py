"""One episode to look at: its states, what they earned, and what to say about each moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.state import TARGET_VELOCITY, StateLayout
from environment.timestep import CONTROL_STEP_S

Array = NDArray[np.float64]

_CAMERA_WINDOW_S = 0.8
"""The camera follows the mean of the pelvis's places over so long: it must not nod with every step."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """The T+1 states of an episode of T control steps, the reset state first."""

    title: str
    """What it is, in a few words."""
    model: str
    """Key of `environment.physics.models.MODELS`."""
    layout: StateLayout
    """Target included."""
    states: NDArray[np.floating[Any]]
    """(T+1, S)"""
    reward: Array
    """(T+1,) of arriving at each state; 0 at the reset."""
    terms: Mapping[str, Array]
    """Named (T+1,) parts of a reward, for plots; not necessarily of `reward`."""
    ended: str
    """Why it was over, e.g. `fall`."""

    def __post_init__(self) -> None:
        if self.states.ndim != 2 or self.states.shape[1] != self.layout.size or not len(self.states):
            raise ValueError(
                f"states have shape {self.states.shape}, needed (T+1, {self.layout.size}): a row for each control step "
                "and one for the reset"
            )
        for name, values in {"reward": self.reward, **self.terms}.items():
            if values.shape != (len(self.states),):
                raise ValueError(f"{name} has shape {values.shape}, needed ({len(self.states)},): a number a state")
        bad = np.flatnonzero(~np.isfinite(self.states).all(axis=1))
        if len(bad):
            raise ValueError(f"the state of control step {bad[0]} is not finite, it can not be shown; damaged data?")

    @property
    def steps(self) -> int:
        """Control steps T."""
        return len(self.states) - 1

    @property
    def duration_s(self) -> float:
        return self.steps * CONTROL_STEP_S

    @property
    def pelvis_m(self) -> Array:
        """(T+1, 3) its origin in ground: forward x, up y, right z."""
        return self._columns("body_pos/pelvis")

    @property
    def velocity_m_per_s(self) -> Array:
        """(T+1, 3) of the pelvis."""
        return self._columns("body_vel/pelvis")

    @property
    def target_m_per_s(self) -> Array:
        """(T+1, 3) the velocity that is asked for."""
        return self._columns(TARGET_VELOCITY)

    def camera_m(self) -> Array:
        """(T+1, 2) x and z of what a camera should follow: the pelvis without its sway."""
        reach = min(self.steps, round(_CAMERA_WINDOW_S / CONTROL_STEP_S / 2))
        places = self.pelvis_m[:, ::2]
        padded = np.pad(places, ((reach, reach), (0, 0)), mode="edge")
        sums = np.cumsum(np.vstack((np.zeros((1, 2)), padded)), axis=0)
        window = 2 * reach + 1
        found: Array = (sums[window:] - sums[:-window]) / window
        return found

    def facts(self, step: int) -> dict[str, str]:
        """What to say about a moment, in words and units."""
        speed = float(np.hypot(*self.velocity_m_per_s[step, ::2]))
        target = self.target_m_per_s[step, ::2]
        heading_deg = float(np.degrees(np.arctan2(target[1], target[0])))
        turned = (
            "ahead" if abs(heading_deg) < 0.5 else f"{abs(heading_deg):.0f}° {'right' if heading_deg > 0 else 'left'}"
        )
        distance = float(np.hypot(*(self.pelvis_m[step] - self.pelvis_m[0])[::2]))
        return {
            "time": f"{step * CONTROL_STEP_S:.2f} of {self.duration_s:.2f} s",
            "speed": f"{speed:.2f} m/s",
            "target": f"{np.hypot(*target):.2f} m/s {turned}",
            "distance": f"{distance:.1f} m",
            "reward": f"{self.reward[step]:.2f}, so far {self.reward[: step + 1].sum():,.0f}",
        }

    def _columns(self, branch: str) -> Array:
        found: Array = self.states[:, self.layout.where(branch)].astype(np.float64)
        return found
