"""Settings of the native engine. Apart from the engine, so that a configuration is checked without compiling it."""

from __future__ import annotations

from dataclasses import dataclass

from environment.arguments import is_number

METHODS = ("BogackiShampine32", "DormandPrince54", "RungeKuttaMerson")


@dataclass(frozen=True, slots=True)
class NativeSettings:
    """How the native engine integrates."""

    integrator: str = "BogackiShampine32"
    accuracy: float = 1e-5
    """Error that a step may make in coordinates (rad, m) and activations; ten times it in speeds, a tenth of it in
    fibre lengths (m)."""
    stale_controls: bool = False
    """Keep osim-rl's fault that a step's first integrator stage uses the previous excitation; only with
    `RungeKuttaMerson`, which is osim-rl's integrator."""
    skip_contacts: bool = True
    """Keep Simbody's rule that a foot's later contact spheres get no force while an earlier one lifts off fast."""

    def __post_init__(self) -> None:
        if self.integrator not in METHODS:
            raise ValueError(f"integrator {self.integrator!r} is unknown to native; there are {', '.join(METHODS)}")
        if not is_number(self.accuracy):
            raise ValueError(f"native integrator accuracy {self.accuracy!r} must be a number")
        if not 1e-12 <= self.accuracy <= 1e-3:
            raise ValueError(f"native integrator accuracy {self.accuracy:g} is outside 1e-12..1e-3")
        if self.stale_controls and self.integrator != "RungeKuttaMerson":
            raise ValueError(
                f"stale_controls is osim-rl's fault of RungeKuttaMerson; {self.integrator} has no such form"
            )

    @property
    def name(self) -> str:
        """E.g. `native/BogackiShampine32/1e-05`."""
        stale = "/stale-controls" if self.stale_controls else ""
        return f"native/{self.integrator}/{self.accuracy:g}{stale}{'' if self.skip_contacts else '/every-contact'}"

    @property
    def first_step_s(self) -> float:
        """What the integrator tries first after a reset."""
        return 0.01 if self.stale_controls else 1e-4
