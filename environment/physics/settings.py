"""OpenSim's integrator settings. Apart from `opensim.py`, so that a configuration is checked where OpenSim is not."""

from __future__ import annotations

from dataclasses import dataclass

from environment.arguments import is_number
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

    def __post_init__(self) -> None:
        if self.integrator not in INTEGRATORS:
            raise ValueError(f"integrator {self.integrator!r} is unknown; there are {', '.join(INTEGRATORS)}")
        if not is_number(self.accuracy):
            raise ValueError(f"integrator accuracy {self.accuracy!r} must be a number")
        if not 1e-10 <= self.accuracy <= 3e-2:
            raise ValueError(f"integrator accuracy {self.accuracy:g} is outside 1e-10..3e-2")
        if not 1e-5 <= self.longest_step_s <= CONTROL_STEP_S:
            raise ValueError(f"longest integrator step {self.longest_step_s:g} s is outside 1e-5..{CONTROL_STEP_S:g}")

    @property
    def welded(self) -> bool:
        """Whether locked coordinates are taken out of the model."""
        return self.weld_locked and not self.stale_controls

    @property
    def name(self) -> str:
        """E.g. `opensim/SemiExplicitEuler2/0.01/1ms`."""
        parts = ["opensim", self.integrator, f"{self.accuracy:g}"]
        if self.stale_controls:
            return "/".join((*parts, "stale-controls"))
        if self.longest_step_s < CONTROL_STEP_S:
            parts.append(f"{1e3 * self.longest_step_s:.3g}ms")
        return "/".join(parts if self.welded else (*parts, "constrained"))
