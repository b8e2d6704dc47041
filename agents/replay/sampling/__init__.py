"""Ways to sample the mirror, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.plain import from_plain
from agents.replay.ring import Ring
from agents.replay.sampling.contract import Drawn, Sampler
from agents.replay.sampling.policy_age import PolicyAge, PolicyAgeConfig
from agents.replay.sampling.prioritised import Prioritised, PrioritisedConfig
from agents.replay.sampling.recency import Recency, RecencyConfig
from agents.replay.sampling.uniform import Uniform, UniformConfig

__all__ = ["SAMPLERS", "Drawn", "Sampler", "build_sampler"]

SAMPLERS: Mapping[str, tuple[Any, Any]] = {
    "uniform": (Uniform, UniformConfig),
    "prioritised": (Prioritised, PrioritisedConfig),
    "recency": (Recency, RecencyConfig),
    "policy_age": (PolicyAge, PolicyAgeConfig),
}
"""Name -> the sampler and its settings."""


def build_sampler(name: str, settings: Mapping[str, Any], ring: Ring) -> Sampler:
    """A sampler of `ring`.

    Raises: KeyError with the names that exist; ConfigError for a setting it does not have or refuses.
    """
    if name not in SAMPLERS:
        raise KeyError(f"no way to sample is named {name!r}; there are {', '.join(SAMPLERS)}")
    kind, config = SAMPLERS[name]
    sampler: Sampler = kind(ring, from_plain(config, settings, "settings"))
    return sampler
