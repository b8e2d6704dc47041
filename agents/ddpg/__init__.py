"""DDPG and its variants: losses and `update(batch) -> metrics`, no loop, no storage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from agents.ddpg.contract import Algorithm, AlgorithmConfig
from agents.ddpg.ddpg import DDPG, DDPGConfig
from agents.ddpg.td3 import TD3, TD3Config

__all__ = ["DDPG", "TD3", "Algorithm", "AlgorithmConfig", "DDPGConfig", "TD3Config", "build_algorithm"]

CONFIGS: Mapping[str, type[AlgorithmConfig]] = {"ddpg": DDPGConfig, "td3": TD3Config}


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
    return CONFIGS[name](**(settings or {}))


def build_algorithm(
    name: str,
    observation_size: int,
    action_size: int,
    *,
    settings: Mapping[str, Any] | AlgorithmConfig | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> Algorithm:
    """A fresh algorithm; the same seed gives the same initial networks and target noise.

    Args:
        name: `ddpg` or `td3`.
        settings: a configuration, or the settings that differ from the default one.

    Raises: ValueError as `build_config`.
    """
    config = settings if isinstance(settings, AlgorithmConfig) else build_config(name, settings)
    if isinstance(config, DDPGConfig) and name == "ddpg":
        return DDPG(observation_size, action_size, config, device=device, seed=seed)
    if isinstance(config, TD3Config) and name == "td3":
        return TD3(observation_size, action_size, config, device=device, seed=seed)
    raise ValueError(f"algorithm is {name!r}, its settings are a {type(config).__name__}; needed a matching pair")
