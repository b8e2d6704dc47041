"""Who explores how much: the noise levels over workers and episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from agents.exploration.build import build_exploration
from agents.exploration.config import ExplorationConfig
from agents.exploration.contract import Exploration, require
from agents.exploration.none import NoExploration
from agents.exploration.parameter import Seen

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One worker's noise levels, episode by episode.

    At every episode number the workers stand evenly spaced on the ladder, and each worker climbs on by the golden
    ratio: so at any time all levels are in use, and one worker alone also goes through all of them. The stated
    share of rungs is free of noise.
    """

    config: ExplorationConfig
    worker_index: int
    workers: int
    dt_s: float
    """Simulated seconds between two decisions."""
    decisions: int
    """Of a whole episode."""
    seed: int
    """Use another one for every life of a worker, or it repeats the noise of its former life."""
    seen: Seen = field(default_factory=Seen, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.worker_index < self.workers:
            raise ValueError(f"worker_index is {self.worker_index}, needed 0 <= it < workers={self.workers}")
        require("dt_s", self.dt_s, self.dt_s > 0)
        require("decisions", self.decisions, self.decisions >= 1, "at least 1")

    def rung(self, episode: int) -> float:
        """Height in [0, 1) of the worker's `episode`-th episode; below `noise_free_share` there is no noise."""
        return (self.worker_index / self.workers + episode * GOLDEN_RATIO) % 1.0

    def for_episode(self, episode: int) -> Exploration:
        """The exploration of the worker's `episode`-th episode, with its own random numbers."""
        share, rung = self.config.noise_free_share, self.rung(episode)
        if rung < share:
            return NoExploration()
        height = (rung - share) / (1 - share)
        sigma = self.config.sigma_min * (self.config.sigma_max / self.config.sigma_min) ** height
        return build_exploration(
            self.config,
            np.random.default_rng((self.seed, self.worker_index, episode)),
            sigma=sigma,
            dt_s=self.dt_s,
            decisions=self.decisions,
            seen=self.seen,
        )
