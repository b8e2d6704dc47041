"""Where a run's episodes start: the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from environment.arguments import is_whole

Choice = Literal["best", "recent", "any"]
CHOICES: tuple[Choice, ...] = ("best", "recent", "any")


@dataclass(frozen=True, kw_only=True)
class StartsConfig:
    """Shares of the episodes that start elsewhere than in the default pose; evaluations always start there."""

    pushed_share: float = 0.0
    """Of episodes that start in the default pose with the whole body moving forward …"""
    push_m_per_s: tuple[float, float] = (0.0, 1.25)
    """… at a speed drawn evenly from here."""
    replay_share: float = 0.0
    """Of episodes that start in a state of the run's stored episodes; in the default pose while there are none."""
    replay: Choice = "best"
    """Of which episodes: of the `replay_newest` that finished last those of highest return, or the newest of them; or
    `any` that the run has stored. States count alike, so long episodes give more starts."""
    replay_newest: int = 2000
    """Newest episodes that are looked at."""
    replay_episodes: int = 50
    """Episodes whose states a worker has at hand."""
    replay_margin_s: float = 0.5
    """States so short before a fall, an abort or a failure are left out: most of them can not be saved any more."""
    replay_refresh_s: float = 20.0
    """Seconds between two looks into the log."""
    motion_share: float = 0.0
    """Of episodes that start in a state of a motion file, any row of any of them."""
    motions: tuple[str, ...] = ()
    """Those files, .csv, .sto or .mot, by paths that hold on every machine with workers; see
    `environment/motions/read.py` for what they may say."""
    motion_slow_share: float = 0.5
    """Of those starts, the share in which all speeds are scaled by a number drawn from 0..1."""

    def __post_init__(self) -> None:
        shares = self.shares
        if any(not 0 <= share <= 1 for share in shares.values()) or sum(shares.values()) > 1 + 1e-9:
            found = ", ".join(f"{name}={share}" for name, share in shares.items())
            raise ValueError(f"{found} are shares of the episodes: each must be in 0..1, all together at most 1")
        if len(self.push_m_per_s) != 2 or not all(map(math.isfinite, self.push_m_per_s)):
            raise ValueError(f"push_m_per_s={list(self.push_m_per_s)} must be two speeds: lowest, highest")
        if not 0 <= self.motion_slow_share <= 1:
            raise ValueError(f"motion_slow_share={self.motion_slow_share} must be in 0..1")
        if bool(self.motion_share) != bool(self.motions):
            raise ValueError(
                f"motion_share={self.motion_share} and motions={list(self.motions)} do not fit: a share needs files to "
                "start from (--motion FILE names them), and files need a share"
            )
        if self.push_m_per_s[0] > self.push_m_per_s[1]:
            raise ValueError(f"push_m_per_s={list(self.push_m_per_s)} must be in order: lowest, highest")
        if self.replay not in CHOICES:
            raise ValueError(f"replay={self.replay!r} is unknown; there are {', '.join(CHOICES)}")
        for name in ("replay_newest", "replay_episodes"):
            if not is_whole(getattr(self, name)) or getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r} must be a whole number from 1")
        if self.replay_episodes > self.replay_newest:
            raise ValueError(
                f"replay_episodes={self.replay_episodes} must be at most replay_newest={self.replay_newest}: they are "
                "some of those"
            )
        if not 0 <= self.replay_margin_s < math.inf:
            raise ValueError(f"replay_margin_s={self.replay_margin_s} must be at least 0")
        if not 0 < self.replay_refresh_s < math.inf:
            raise ValueError(f"replay_refresh_s={self.replay_refresh_s} must be positive")

    @property
    def shares(self) -> dict[str, float]:
        """By the setting's name."""
        return {name: getattr(self, name) for name in ("pushed_share", "replay_share", "motion_share")}
