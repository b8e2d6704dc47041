"""Settings of the native engine. Apart from the engine, so that a configuration is checked without compiling it."""

from __future__ import annotations

from dataclasses import dataclass

from environment.arguments import is_number
from environment.physics.integration import Draws, Integration

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
    draws: Draws | None = None
    """What episodes have of their own instead; `accuracy` is then that of a body before its first episode."""

    def __post_init__(self) -> None:
        if self.integrator not in METHODS:
            raise ValueError(f"integrator {self.integrator!r} is unknown to native; there are {', '.join(METHODS)}")
        for accuracy in (self.accuracy, *(self.draws.bounds if self.draws else ())):
            _check_accuracy(accuracy)
        if self.draws is not None:
            self.draws.check(self.own)
        if self.as_simbody and self.integrator != "RungeKuttaMerson":
            setting = "stale_controls" if self.stale_controls else "stale_share"
            raise ValueError(f"{setting} is osim-rl's fault of RungeKuttaMerson; {self.integrator} has no such form")

    @property
    def own(self) -> Integration:
        """Of every episode for which nothing is drawn."""
        return Integration(self.accuracy, self.stale_controls)

    @property
    def as_simbody(self) -> bool:
        """Whether errors and step sizes are judged as Simbody's integrators do; else a body can have no late controls.
        With a share of late controls the other episodes differ in nothing else."""
        return self.stale_controls or (self.draws is not None and self.draws.stale_share is not None)

    def check(self, integration: Integration) -> None:
        """Raises: ValueError when an episode can not be integrated so."""
        _check_accuracy(integration.accuracy)
        if integration.stale_controls and not self.as_simbody:
            raise ValueError(f"{self.name} has no late controls, and an episode asks for them")

    @property
    def name(self) -> str:
        """E.g. `native/BogackiShampine32/1e-05`, or `native/RungeKuttaMerson/1e-06..0.001/stale-controls:0.5`."""
        accuracy = f"{self.accuracy:g}" if self.draws is None else self.draws.name(self.accuracy)
        stale = "/stale-controls" if self.stale_controls else ""
        if self.draws is not None and self.draws.stale_share is not None:
            stale = f"/stale-controls:{self.draws.stale_share:g}"
        return f"native/{self.integrator}/{accuracy}{stale}{'' if self.skip_contacts else '/every-contact'}"

    @property
    def first_step_s(self) -> float:
        """What the integrator tries first after a reset."""
        return 0.01 if self.as_simbody else 1e-4


def _check_accuracy(accuracy: float) -> None:
    if not is_number(accuracy):
        raise ValueError(f"native integrator accuracy {accuracy!r} must be a number")
    if not 1e-12 <= accuracy <= 1e-3:
        raise ValueError(f"native integrator accuracy {accuracy:g} is outside 1e-12..1e-3")
