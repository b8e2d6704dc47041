"""Targets that become harder as the walker succeeds: the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from environment.arguments import is_whole
from environment.stages import Stage


@dataclass(frozen=True, kw_only=True)
class CurriculumConfig:
    """Stages of the targets in training, one after the other; the last one stays. Scores always meet the task's own."""

    speeds_m_per_s: tuple[float, ...] = ()
    """What each stage asks for at first, e.g. `[1.75, 1.25, 1.25]`; empty: the task's own targets, always …"""
    changes: tuple[float, ...] = ()
    """… and how much of the task's changes of speed and heading it asks for, e.g. `[0.0, 0.0, 1.0]`."""
    late_targets: tuple[float, ...] = ()
    """Share of each stage's episodes that begin in the middle of its targets, e.g. `[0.0, 0.0, 0.5]`; empty: none."""
    success_share: float = 0.5
    """Of the newest `episodes` of a stage, those that must reach the time limit before the next stage begins."""
    episodes: int = 50
    """Only those without exploration noise count; without any such (`exploration.noise_free_share = 0`), all do."""
    refresh_s: float = 5.0
    """Seconds between two looks into the log."""

    def __post_init__(self) -> None:
        if len(self.speeds_m_per_s) != len(self.changes):
            raise ValueError(
                f"speeds_m_per_s={list(self.speeds_m_per_s)} and changes={list(self.changes)} must be as many: both "
                "describe the same stages"
            )
        if not all(0 <= speed < math.inf for speed in self.speeds_m_per_s):
            raise ValueError(f"speeds_m_per_s={list(self.speeds_m_per_s)} must be 0 or more")
        if not all(0 <= change < math.inf for change in self.changes):
            raise ValueError(f"changes={list(self.changes)} must be 0 (none) or more; 1 is the task's own")
        if self.late_targets and len(self.late_targets) != len(self.changes):
            raise ValueError(
                f"late_targets={list(self.late_targets)} must be one for each of {len(self.changes)} stages, or none"
            )
        if not all(0 <= share <= 1 for share in self.late_targets):
            raise ValueError(f"late_targets={list(self.late_targets)} must be in 0..1, shares of the episodes")
        if not 0 < self.success_share <= 1:
            raise ValueError(f"success_share={self.success_share} must be in 0..1, above 0")
        if not is_whole(self.episodes) or self.episodes < 1:
            raise ValueError(f"episodes={self.episodes!r} must be a whole number from 1")
        if not 0 < self.refresh_s < math.inf:
            raise ValueError(f"refresh_s={self.refresh_s} must be positive")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """In order; empty without a curriculum."""
        late = self.late_targets or (0.0,) * len(self.changes)
        return tuple(Stage(*one) for one in zip(self.speeds_m_per_s, self.changes, late, strict=True))
