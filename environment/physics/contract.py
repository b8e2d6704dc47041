"""What the environment needs of a simulator. Implementations: `opensim.py`, the reference, and `native/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.physics.integration import Integration
from environment.state import StateLayout


class SimulationError(RuntimeError):
    """A control step could not be finished: the integrator gave up or a number left the finite range.

    The episode is over, the simulator can be reset and used again.
    """

    def __init__(
        self,
        message: str,
        *,
        state: NDArray[np.float64] | None = None,
        excitation: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(message)
        self.state = state
        """(S,) the last good one; None when there was none."""
        self.excitation = excitation
        """(M,) held in the step that failed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything `restore` needs to continue from a moment of a simulation."""

    time_s: float
    step: int
    y: NDArray[np.float64]
    """All continuous states in the simulator's own order: coordinates, speeds, activations, fibre lengths."""
    excitation: NDArray[np.float64]
    """(M,) of the step that led here."""
    step_size_s: float | None = None
    """What the integrator would try next, where the simulator lets one know; without it the future differs a little."""
    integration: Integration | None = None
    """How the episode is integrated, if not as the simulator's settings say."""


class Physics(Protocol):
    """One simulated body. Instances in one process do not disturb each other; none is for several threads.

    A simulator holds no random numbers: the same excitations after a reset give the same states, bit for bit.
    """

    @property
    def name(self) -> str:
        """Engine, integrator and accuracy, e.g. `opensim/SemiExplicitEuler2/0.001`."""

    @property
    def layout(self) -> StateLayout:
        """Of the vectors that `reset` and `step` return (no target in it)."""

    @property
    def muscles(self) -> tuple[str, ...]:
        """(M,) muscle names in the order of the excitations."""

    @property
    def model_sha256(self) -> str:
        """Checksum of the model file."""

    def integrate_as(self, integration: Integration | None) -> None:
        """How the episodes that begin from now on are integrated; None is as the settings say. Not for the middle of an
        episode.

        Raises: ValueError for an accuracy out of range, or late controls in a simulator that was made without.
        """

    def reset(self) -> NDArray[np.float64]:
        """Puts the body into its start pose, muscles in equilibrium, and returns the state (S,).

        Raises: SimulationError.
        """

    def start_at(self, state: NDArray[Any]) -> NDArray[np.float64]:
        """As `reset`, but at the coordinates, speeds, activations and fibre lengths of `state`; returns the state (S,).

        Time and step are 0 there. A state that was stored as float32 in the middle of an episode continues as it did
        there, but for that rounding and for what an integrator remembers of the past.

        Args:
            state: (S,) in the order of `layout`. What follows from those numbers is worked out anew.

        Raises:
            ValueError: No state of this body, see `start_state.check_start`; nothing has moved then.
            SimulationError: It leads to numbers that are not finite.
        """

    def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
        """Holds the excitations for one control step (10 ms) and returns the state (S,) reached.

        Args:
            excitation: (M,) in [0, 1].

        Raises:
            ValueError: Another shape, not finite or out of [0, 1]; nothing is clipped in silence.
            SimulationError: The step could not be finished.
            RuntimeError: There was no reset yet.
        """

    def snapshot(self) -> Snapshot:
        """The present moment, for `restore`."""

    def restore(self, snapshot: Snapshot) -> NDArray[np.float64]:
        """Continues from `snapshot` and returns its state (S,)."""

    def close(self) -> None:
        """Frees the simulator; it can not be used again."""


def check_excitation(excitation: NDArray[Any], muscles: int) -> NDArray[np.float64]:
    """The excitations as (M,) float64, or a ValueError that says what is wrong with them."""
    values = np.asarray(excitation, dtype=np.float64)
    if values.shape != (muscles,):
        raise ValueError(
            f"excitation has shape {values.shape}, the body needs ({muscles},); was the policy made for another model?"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"excitation of muscle {int(np.flatnonzero(~np.isfinite(values))[0])} is not finite")
    if values.min() < 0.0 or values.max() > 1.0:
        worst = int(np.argmax(np.abs(values - 0.5)))
        raise ValueError(
            f"excitation of muscle {worst} is {values[worst]:g}, it must be in [0, 1]; was a policy output in [-1, 1] "
            "passed without `ActionMap`?"
        )
    return values
