"""One exploration by name."""

from __future__ import annotations

import numpy as np

from agents.exploration.config import KINDS, ExplorationConfig
from agents.exploration.contract import Exploration
from agents.exploration.fallback import WithFallback
from agents.exploration.gaussian import GaussianNoise
from agents.exploration.lattice import LatticeNoise
from agents.exploration.none import NoExploration
from agents.exploration.ornstein_uhlenbeck import OrnsteinUhlenbeckNoise
from agents.exploration.parameter import ParameterNoise, Seen
from agents.exploration.pink import PinkNoise
from agents.exploration.state_dependent import StateDependentNoise
from agents.exploration.uniform import UniformActions


def build_exploration(
    config: ExplorationConfig,
    generator: np.random.Generator,
    *,
    sigma: float,
    dt_s: float,
    decisions: int,
    seen: Seen,
) -> Exploration:
    """The configured kind at one level, for one episode; settings that a kind does not have are ignored.

    Args:
        dt_s: Simulated seconds between two decisions.
        decisions: Of a whole episode.
        seen: What the worker met in its episodes so far.
    """
    # A policy without a network gets independent noise of the same level instead.
    plain = GaussianNoise(sigma, generator)
    match config.kind:
        case "none":
            return NoExploration()
        case "gaussian":
            return plain
        case "ornstein_uhlenbeck":
            return OrnsteinUhlenbeckNoise(sigma, config.theta_per_s, dt_s, generator)
        case "pink":
            return PinkNoise(sigma, config.beta, decisions, generator)
        case "parameter":
            return WithFallback(ParameterNoise(sigma, seen, generator), plain)
        case "state_dependent":
            return WithFallback(StateDependentNoise(sigma, config.resample_decisions, generator), plain)
        case "lattice":
            share = config.correlated_share
            return WithFallback(LatticeNoise(sigma, config.resample_decisions, share, generator), plain)
        case "uniform":
            return UniformActions(generator)
    raise ValueError(f"exploration kind is {config.kind!r}, needed one of {', '.join(KINDS)}")
