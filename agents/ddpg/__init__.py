"""DDPG and its variants: losses and `update(batch) -> metrics`, no loop, no storage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch

from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.contract import Algorithm, AlgorithmConfig
from agents.ddpg.d4pg import D4PG, D4PGConfig
from agents.ddpg.ddpg import DDPG, DDPGConfig
from agents.ddpg.redq import REDQ, REDQConfig
from agents.ddpg.simba import Simba, SimbaConfig
from agents.ddpg.td3 import TD3, TD3Config
from agents.ddpg.tqc import TQC, TQCConfig
from agents.plain import from_plain

__all__ = ["CONFIGS", "Algorithm", "AlgorithmConfig", "build_algorithm", "build_config"]

_VARIANTS: Mapping[str, tuple[type[AlgorithmConfig], Callable[..., ActorCritic]]] = {
    "ddpg": (DDPGConfig, DDPG),
    "td3": (TD3Config, TD3),
    "d4pg": (D4PGConfig, D4PG),
    "tqc": (TQCConfig, TQC),
    "redq": (REDQConfig, REDQ),
    "simba": (SimbaConfig, Simba),
}
CONFIGS: Mapping[str, type[AlgorithmConfig]] = {name: config for name, (config, _) in _VARIANTS.items()}


def build_config(name: str, settings: Mapping[str, Any] | None = None) -> AlgorithmConfig:
    """The configuration of algorithm `name` with some settings changed.

    Raises: ValueError for an unknown algorithm, an unknown setting or a value that makes no sense.
    """
    if name not in CONFIGS:
        raise ValueError(f"algorithm is {name!r}, needed one of {', '.join(CONFIGS)}")
    known = [field.name for field in dataclasses.fields(CONFIGS[name])]
    unknown = sorted(set(settings or {}) - set(known))
    if unknown:
        raise ValueError(f"{name} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
    return from_plain(CONFIGS[name], settings or {})


def build_algorithm(
    name: str,
    observation_size: int,
    action_size: int,
    *,
    settings: Mapping[str, Any] | AlgorithmConfig | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> ActorCritic:
    """A fresh algorithm; the same seed gives the same initial networks and target noise.

    Args:
        name: one of `CONFIGS`.
        settings: a configuration, or the settings that differ from the default one.

    Raises: ValueError as `build_config`.
    """
    config = settings if isinstance(settings, AlgorithmConfig) else build_config(name, settings)
    if name not in _VARIANTS or type(config) is not _VARIANTS[name][0]:
        raise ValueError(f"algorithm is {name!r}, its settings are a {type(config).__name__}; needed a matching pair")
    return _VARIANTS[name][1](observation_size, action_size, config, device=device, seed=seed)
