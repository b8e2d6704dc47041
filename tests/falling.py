"""A real episode to look at: the prosthetic body falling under random actions on the native engine."""

from __future__ import annotations

import functools

import numpy as np

from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.rendering.motion import Motion
from environment.timestep import TimeStep

MUSCLES = 19


@functools.cache
def falling(seed: int = 3) -> Motion:
    """About a second of it."""
    environment = ProstheticsEnv(EnvironmentConfig())
    generator = np.random.default_rng(seed)
    _, info = environment.reset(seed=seed)
    steps: list[TimeStep] = list(info["timesteps"])
    while info["ended"] is None:
        *_, info = environment.step(generator.uniform(-1.0, 1.0, MUSCLES).astype(np.float32))
        steps += info["timesteps"]
    layout = environment.layout
    environment.close()
    states = np.stack([step.state for step in steps])
    reward = np.array([step.reward for step in steps])
    terms = {"half": reward / 2, "other half": reward / 2}
    return Motion(
        title="a fall", model="3D_pros", layout=layout, states=states, reward=reward, terms=terms, ended=info["ended"]
    )
