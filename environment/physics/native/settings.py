"""Settings of the native engine. Apart from the engine, so that a configuration is checked without compiling anything."""

from __future__ import annotations

from dataclasses import dataclass

METHODS = ("BogackiShampine32", "DormandPrince54")


@dataclass(frozen=True, slots=True)
class NativeSettings:
    """How the native engine integrates."""

    integrator: str = "BogackiShampine32"
    accuracy: float = 1e-5
    """Error that a step may make in coordinates (rad, m) and activations; ten times it in speeds, a tenth of it in fibre
    lengths (m)."""
    skip_contacts: bool = True
    """Keep Simbody's rule that a foot's later contact spheres get no force while an earlier one lifts off fast."""

    def __post_init__(self) -> None:
        if self.integrator not in METHODS:
            raise ValueError(f"integrator {self.integrator!r} is unknown to native; there are {', '.join(METHODS)}")
        if not 1e-12 <= self.accuracy <= 1e-3:
            raise ValueError(f"native integrator accuracy {self.accuracy:g} is outside 1e-12..1e-3")

    @property
    def name(self) -> str:
        """E.g. `native/BogackiShampine32/1e-05`."""
        return f"native/{self.integrator}/{self.accuracy:g}" + ("" if self.skip_contacts else "/every-contact")
