"""How closely one episode is integrated, and settings of that which are drawn anew for each.

A policy can live on the errors of the one integrator that it learned with; it can not on errors that it never knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from environment.arguments import is_number
from environment.seeds import INTEGRATION, stream


@dataclass(frozen=True, slots=True)
class Integration:
    """Of one episode."""

    accuracy: float
    """Error that an integrator step may make, as the physics counts it."""
    stale_controls: bool = False
    """Whether a step's first integrator stage uses the previous excitation."""

    def facts(self) -> dict[str, Any]:
        """For the episode's document."""
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Integration | None:
        """From an episode's document; None where nothing was drawn."""
        return cls(facts["accuracy"], facts["stale_controls"]) if "accuracy" in facts else None


@dataclass(frozen=True, slots=True)
class Draws:
    """What is drawn of an episode's integration, by the episode's own seed."""

    accuracies: tuple[float, float] | None = None
    """Smallest and largest; the logarithm is drawn evenly between them. None is always the settings' own."""
    stale_share: float | None = None
    """Share in 0..1 of the episodes with late controls; None is the settings' own."""

    def __post_init__(self) -> None:
        if self.accuracies is None and self.stale_share is None:
            raise ValueError("neither accuracies nor stale_share are given; then nothing is drawn")
        found = self.accuracies
        if found is not None and not (len(found) == 2 and all(map(is_number, found)) and 0 < found[0] < found[1]):
            raise ValueError(
                f"accuracies={list(found)} must be two positive numbers, the smaller first; for one accuracy there is "
                "the setting accuracy"
            )
        share = self.stale_share
        if share is not None and not (is_number(share) and math.isfinite(share) and 0 <= share <= 1):
            raise ValueError(f"stale_share={share!r} must be in 0..1, the share of episodes with late controls")

    @property
    def bounds(self) -> tuple[float, ...]:
        """The accuracies between which it is drawn; none where it is not."""
        return self.accuracies or ()

    def check(self, otherwise: Integration) -> None:
        """Raises: ValueError where `otherwise` settles what is to be drawn."""
        if self.stale_share is not None and otherwise.stale_controls:
            raise ValueError(
                f"stale_controls gives late controls to every episode and stale_share={self.stale_share:g} to some: "
                "leave one out"
            )

    def of(self, seed: int, otherwise: Integration) -> Integration:
        """That of the episode with this seed; `otherwise` says what is not drawn."""
        level, late = stream(seed, INTEGRATION).random(2).tolist()
        accuracy, stale_controls = otherwise.accuracy, otherwise.stale_controls
        if self.accuracies is not None:
            smallest, largest = self.accuracies
            accuracy = min(largest, smallest * (largest / smallest) ** level)
        if self.stale_share is not None:
            stale_controls = late < self.stale_share
        return Integration(accuracy, stale_controls)

    def name(self, accuracy: float) -> str:
        """In a physics' name, instead of its accuracy, e.g. `1e-06..0.001`."""
        return f"{accuracy:g}" if self.accuracies is None else "..".join(f"{bound:g}" for bound in self.accuracies)


class _Settings(Protocol):
    @property
    def own(self) -> Integration: ...

    @property
    def draws(self) -> Draws | None: ...


class EpisodeIntegration:
    """Tells a simulator how each episode is integrated, if they are not all alike."""

    def __init__(self, settings: _Settings) -> None:
        """`settings`: the simulator's."""
        self._draws, self._own = settings.draws, settings.own

    @property
    def varies(self) -> bool:
        """Whether anything is drawn."""
        return self._draws is not None

    def __call__(self, seed: int, integrate_as: Callable[[Integration | None], None]) -> dict[str, Any]:
        """Before the start of the episode with this seed; returns what to tell of it, nothing where all are alike."""
        if self._draws is None:
            return {}
        integration = self._draws.of(seed, self._own)
        integrate_as(integration)
        return integration.facts()
