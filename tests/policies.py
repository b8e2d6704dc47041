"""Policies of random small networks, for tests of what acts through a network."""

from __future__ import annotations

import numpy as np
import torch

from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.policy import Policy, PolicyContract

OBSERVATIONS, ACTIONS = 6, 4


def small_policy(seed: int = 0, *, network: str = "mlp", actions: int = ACTIONS) -> Policy:
    """Of 6 numbers, by two hidden layers of 32, with a final layer that says something."""
    generator = torch.Generator().manual_seed(seed)
    actor = Actor(OBSERVATIONS, actions, (32, 32), network=network, generator=generator)
    with torch.no_grad():
        actor.body.final.weight.normal_(0, 0.1, generator=generator)
    shift = np.linspace(-1, 1, OBSERVATIONS, dtype=np.float32)
    normaliser = Normaliser(shift, np.full(OBSERVATIONS, 0.5, np.float32), 10.0)
    contract = PolicyContract(
        layout_sha256="0",
        observation="compact/1",
        observation_size=OBSERVATIONS,
        action_size=actions,
        frame_skip=4,
        bins=None,
        action_names=tuple(f"muscle {index}" for index in range(actions)),
        task="prosthetics-round1",
    )
    return Policy(actor, normaliser, contract, version=3)
