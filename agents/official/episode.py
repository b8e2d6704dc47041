"""What one scored episode was: its return, how it ended, how far it went and how well it kept the asked velocity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.state import TARGET_VELOCITY, StateLayout
from environment.terminations import TIME_LIMIT
from environment.timestep import CONTROL_STEP_S

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeScore:
    """One noise-free episode."""

    seed: int
    task: str
    physics: str
    """Name of the engine with its settings, e.g. `native/BogackiShampine32/1e-06`."""
    episode_return: float
    """Undiscounted, by the task's own reward."""
    length: int
    """Control steps of 10 ms."""
    ended: str
    """`time_limit`, `fall`, or `simulator_error: …`."""
    distance_m: float
    """From where the pelvis started to where it ended, seen from above; detours do not count."""
    speed_error_m_per_s: float
    """Root mean square of the distance between the pelvis's horizontal velocity and the target."""
    speed_m_per_s: float
    """Distance over time."""

    @property
    def fell(self) -> bool:
        """It did not last. An episode that the simulator could not go on with counts too: nobody walked on in it."""
        return self.ended != TIME_LIMIT


@dataclass(frozen=True, slots=True)
class Played:
    """A scored episode with the states it went through."""

    score: EpisodeScore
    states: Float32
    """(T+1, S) in the order of the layout, target included; the reset state first."""


class Motion:
    """Distance and velocities, read off states."""

    def __init__(self, layout: StateLayout) -> None:
        self.columns = layout.where(
            *(f"{name}/{axis}" for name in ("body_pos/pelvis", "body_vel/pelvis", TARGET_VELOCITY) for axis in "xz")
        )
        """(6,) of the states: what is needed of them."""

    @staticmethod
    def of(columns: NDArray[Any]) -> dict[str, float]:
        """The fields of `EpisodeScore` that the motion gives, of the columns (T+1, 6) of an episode's states."""
        values = np.asarray(columns, np.float64)
        steps = len(values) - 1
        distance = float(np.hypot(*(values[-1, :2] - values[0, :2])))
        # Of the states arrived at, as the reward sees it; an episode that failed at once has none.
        off = np.square(values[1:, 2:4] - values[1:, 4:6]).sum(axis=1)
        return {
            "distance_m": distance,
            "speed_error_m_per_s": float(np.sqrt(off.mean())) if steps else 0.0,
            "speed_m_per_s": distance / (steps * CONTROL_STEP_S) if steps else 0.0,
        }
