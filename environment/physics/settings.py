"""OpenSim's integrator settings. Apart from `opensim.py`, so that a configuration is checked where OpenSim is not."""

from __future__ import annotations

from dataclasses import dataclass

from environment.arguments import is_number
from environment.physics.integration import Draws, Integration
from environment.timestep import CONTROL_STEP_S

INTEGRATORS = (
    "RungeKuttaMerson",
    "SemiExplicitEuler2",
    "RungeKutta2",
    "RungeKutta3",
    "RungeKuttaFeldberg",
    "Verlet",
    "ExplicitEuler",
)


@dataclass(frozen=True, slots=True)
class OpenSimSettings:
    """How OpenSim integrates."""

    integrator: str = "SemiExplicitEuler2"
    accuracy: float = 1e-2
    """Relative error the integrator keeps per step; smaller is slower."""
    stale_controls: bool = False
    """Run as osim-rl does, to the last digits: with its fault that a step's first integrator stage uses the previous
    excitation, locked coordinates held by constraints, and integrator steps of any length."""
    weld_locked: bool = True
    """Take locked coordinates out of the model: the same motion, 1.3 times as fast."""
    longest_step_s: float = 1e-3
    """Of the integrator. Stability limits it to about that in most steps, which a loose error control finds out by
    failing; told, it fails less and overlooks less. 0.01 is no limit."""
    draws: Draws | None = None
    """What episodes have of their own instead."""

    def __post_init__(self) -> None:
        if self.integrator not in INTEGRATORS:
            raise ValueError(f"integrator {self.integrator!r} is unknown; there are {', '.join(INTEGRATORS)}")
        for accuracy in (self.accuracy, *(self.draws.bounds if self.draws else ())):
            _check_accuracy(accuracy)
        if self.draws is not None:
            self.draws.check(self.own)
        if self._stale_share is not None and self.integrator != "RungeKuttaMerson":
            raise ValueError(f"stale_share is of osim-rl's integrator RungeKuttaMerson, not of {self.integrator}")
        if not 1e-5 <= self.longest_step_s <= CONTROL_STEP_S:
            raise ValueError(f"longest integrator step {self.longest_step_s:g} s is outside 1e-5..{CONTROL_STEP_S:g}")

    @property
    def own(self) -> Integration:
        """Of every episode for which nothing is drawn."""
        return Integration(self.accuracy, self.stale_controls)

    @property
    def as_osim_rl(self) -> bool:
        """Whether model and step lengths are osim-rl's; else an episode can have no late controls."""
        return self.stale_controls or self._stale_share is not None

    @property
    def welded(self) -> bool:
        """Whether locked coordinates are taken out of the model."""
        return self.weld_locked and not self.as_osim_rl

    def check(self, integration: Integration) -> None:
        """Raises: ValueError when an episode can not be integrated so."""
        _check_accuracy(integration.accuracy)
        if integration.stale_controls and not self.as_osim_rl:
            raise ValueError(f"{self.name} has no late controls, and an episode asks for them")

    @property
    def name(self) -> str:
        """E.g. `opensim/SemiExplicitEuler2/0.01/1ms`, or `opensim/RungeKuttaMerson/1e-06..0.001/stale-controls:0.5`."""
        accuracy = f"{self.accuracy:g}" if self.draws is None else self.draws.name(self.accuracy)
        parts = ["opensim", self.integrator, accuracy]
        if self._stale_share is not None:
            return "/".join((*parts, f"stale-controls:{self._stale_share:g}"))
        if self.stale_controls:
            return "/".join((*parts, "stale-controls"))
        if self.longest_step_s < CONTROL_STEP_S:
            parts.append(f"{1e3 * self.longest_step_s:.3g}ms")
        return "/".join(parts if self.welded else (*parts, "constrained"))

    @property
    def _stale_share(self) -> float | None:
        return None if self.draws is None else self.draws.stale_share


def _check_accuracy(accuracy: float) -> None:
    if not is_number(accuracy):
        raise ValueError(f"integrator accuracy {accuracy!r} must be a number")
    if not 1e-10 <= accuracy <= 3e-2:
        raise ValueError(f"integrator accuracy {accuracy:g} is outside 1e-10..3e-2")
