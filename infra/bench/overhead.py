"""What the environment around the engine costs: both play the same bodies in turn, and only their own work is timed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from environment.config import EnvironmentConfig
from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.physics.native.engine import Engine
from environment.physics.native.settings import NativeSettings
from environment.timestep import CONTROL_STEP_S
from environment.vector import ProstheticsVectorEnv


def environment_overhead(
    number: int = 64, steps: int = 200, seed: int = 1, *, observation: str = "compact", frame_skip: int = 1
) -> dict[str, Any]:
    """Microseconds of one core per control step of one body: the engine alone, and the whole vector environment.

    The environment's figure is of its whole `step` (physics, state, observation, reward, end of the episode, reset and
    Gymnasium's call), the engine's of the same bodies' motion with the whole state. A slow moment of the machine meets
    both alike.

    Args:
        number: Environments in the batch.
        steps: Decisions, each of uniformly random actions.

    Raises: RuntimeError when the two did not move the same bodies in the same way.
    """
    config = EnvironmentConfig(observation=observation, frame_skip=frame_skip)
    env = ProstheticsVectorEnv(config, number)
    settings = config.physics_settings
    if not isinstance(settings, NativeSettings):
        raise TypeError(f"only the native engine has a batch form, not {config.physics}")
    engine = Engine(read_model(model_path(env.task.model)), settings, number)
    bodies, start = engine.bodies, engine.start()
    generator = np.random.default_rng(seed)
    _, infos = env.reset(seed=seed)
    env_s = engine_s = 0.0
    moved = 0
    for _ in range(steps):
        starting = ~infos["timesteps"]["decision"]
        bodies.y[starting], bodies.step_size_s[starting] = start, settings.first_step_s
        actions = generator.uniform(-1.0, 1.0, (number, len(env.physics.muscles))).astype(np.float32)
        started = time.thread_time()
        _, _, _, _, infos = env.step(actions)
        env_s += time.thread_time() - started
        timesteps = infos["timesteps"]
        bodies.excitation[:] = timesteps["excitation"]
        taken = timesteps["taken"] * timesteps["decision"]
        moved += int(taken.sum())
        for step in range(int(taken.max())):
            rows = np.flatnonzero(taken > step)
            started = time.thread_time()
            engine.advance(CONTROL_STEP_S, None if len(rows) == number else rows)
            engine_s += time.thread_time() - started
        last = taken == taken.max()
        if not np.array_equal(bodies.state[last], env.physics.states[last]):
            raise RuntimeError("the engine alone went another way than in the environment: their times do not compare")
    env.close()
    engine.close()
    env_us, engine_us = 1e6 * env_s / moved, 1e6 * engine_s / moved
    return {
        "bodies": number,
        "observation": observation,
        "frame_skip": frame_skip,
        "engine_us": engine_us,
        "environment_us": env_us,
        "overhead_us": env_us - engine_us,
        "overhead_percent": 100.0 * (env_us / engine_us - 1.0),
        "steps": moved,
    }
