"""How workers explore: the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agents.exploration.contract import require
from agents.exploration.pink import LARGEST_BETA

Kind = Literal["none", "gaussian", "ornstein_uhlenbeck", "pink", "parameter", "state_dependent", "lattice", "uniform"]
KINDS: tuple[Kind, ...] = (
    "none",
    "gaussian",
    "ornstein_uhlenbeck",
    "pink",
    "parameter",
    "state_dependent",
    "lattice",
    "uniform",
)


@dataclass(frozen=True, kw_only=True)
class ExplorationConfig:
    """How workers explore."""

    kind: Kind = "ornstein_uhlenbeck"
    """One of `KINDS`; each has a file here."""
    sigma_min: float = 0.05
    sigma_max: float = 0.4
    """Noise levels of noisy episodes, spread evenly on a log scale between the two. Of every kind, the deviation of the
    action from the policy's own."""
    noise_free_share: float = 0.2
    """Share of episodes that follow the policy exactly: they show where it really leads."""
    mean_share: float = 0.0
    """Share of episodes, noisy ones and others, that follow the running mean of the actor (`mean_updates`) in place of
    the actor, where there is one."""
    theta_per_s: float = 4.0
    """Ornstein-Uhlenbeck only. 4 with decisions every 0.04 s gives the DDPG paper's 0.15 per decision."""
    beta: float = 1.0
    """Pink only: power falls as `1 / f**beta`. 0 is white, 1 pink, 2 Brownian noise."""
    resample_decisions: int = 16
    """State-dependent and lattice only: decisions for which one random matrix is kept."""
    correlated_share: float = 0.5
    """Lattice only: share of the noise's variance that moves muscles together, as the policy's last layer does."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"exploration kind is {self.kind!r}, needed one of {', '.join(KINDS)}")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise ValueError(f"needed 0 < sigma_min <= sigma_max, found {self.sigma_min} and {self.sigma_max}")
        require("noise_free_share", self.noise_free_share, 0 <= self.noise_free_share <= 1, "0..1")
        require("mean_share", self.mean_share, 0 <= self.mean_share <= 1, "0..1")
        require("theta_per_s", self.theta_per_s, self.theta_per_s > 0)
        require("beta", self.beta, 0 <= self.beta <= LARGEST_BETA, f"0..{LARGEST_BETA:g}")
        require("resample_decisions", self.resample_decisions, self.resample_decisions >= 1, "at least 1")
        require("correlated_share", self.correlated_share, 0 <= self.correlated_share <= 1, "0..1")
