"""The real prosthetic body's layout, and a small policy of random weights for it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.policy import Policy, PolicyContract
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.state import StateLayout


@cache
def body_layout() -> StateLayout:
    """Of the states that the environment gives, target included."""
    environment = ProstheticsEnv(EnvironmentConfig())
    environment.close()
    return environment.layout


@cache
def body_contract(task: str = "prosthetics-round2") -> PolicyContract:
    """What a policy of the default environment sees and moves."""
    environment = ProstheticsEnv(EnvironmentConfig(task=task))
    try:
        return PolicyContract(
            layout_sha256=environment.layout.sha256,
            observation=environment.observe.name,
            observation_size=len(environment.observe.names),
            action_size=len(environment.physics.muscles),
            frame_skip=environment.config.frame_skip,
            bins=environment.config.bins,
            action_names=tuple(environment.physics.muscles),
            task=task,
        )
    finally:
        environment.close()


def body_policy(seed: int = 0, *, version: int = 7) -> Policy:
    """Of random weights; it falls within a second or two."""
    contract = body_contract()
    generator = torch.Generator().manual_seed(seed)
    actor = Actor(contract.observation_size, contract.action_size, (16, 16), generator=generator)
    with torch.no_grad():
        actor.body.final.weight.normal_(0, 0.3, generator=generator)
    shift = np.zeros(contract.observation_size, np.float32)
    return Policy(actor, Normaliser(shift, np.ones_like(shift), 5.0), contract, version=version)
