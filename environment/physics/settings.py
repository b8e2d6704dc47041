"""OpenSim's integrator settings. Apart from `opensim.py`, so that a configuration is checked where OpenSim is not."""

from __future__ import annotations

from dataclasses import dataclass

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
    accuracy: float = 1e-3
    """Relative error the integrator keeps per step; smaller is slower. Above 1e-2 OpenSim loses stability."""
    stale_controls: bool = False
    """Keep osim-rl's fault that a step's first integrator stage uses the previous excitation."""

    def __post_init__(self) -> None:
        if self.integrator not in INTEGRATORS:
            raise ValueError(f"integrator {self.integrator!r} is unknown; there are {', '.join(INTEGRATORS)}")
        if not 1e-10 <= self.accuracy <= 3e-2:
            raise ValueError(f"integrator accuracy {self.accuracy:g} is outside 1e-10..3e-2")
