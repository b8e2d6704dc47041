"""What an environment's configuration makes of a motion: clock, reward and endings."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from environment.config import EnvironmentConfig
from environment.imitation.reference import Clock, FixedClock, Reference
from environment.imitation.reward import Imitation, imitating
from environment.physics.models import file_sha256, model_path
from environment.rewards import Reward, build_reward
from environment.state import StateLayout
from environment.tasks import task
from environment.terminations import Termination


def reference_of(config: EnvironmentConfig) -> Reference | None:
    """The motion that is imitated, or whose phase is seen.

    Raises: MotionRefused; ValueError when something is to be imitated and no motion is named.
    """
    if config.motion is None:
        if config.imitates:
            raise ValueError(
                f"imitation={config.imitation:g} and aborts={list(config.aborts)} need a motion to imitate; name its "
                "file with environment.motion"
            )
        return None
    return _read(config.motion, task(config.task).model)[0]


def clock_of(config: EnvironmentConfig) -> Clock | None:
    """What tells the phase that the policy sees; None when it sees none. Raises: as `reference_of`."""
    return reference_of(config) or (None if config.clock is None else FixedClock(*config.clock))


def fixed_clock_of(config: EnvironmentConfig) -> tuple[float, float] | None:
    """The same for episodes that start in the default pose, without the motion, as `EnvironmentConfig.clock`."""
    if config.motion is None:
        return config.clock
    reference, phase = _read(config.motion, task(config.task).model)
    return reference.period_s, phase


def reward_of(config: EnvironmentConfig, layout: StateLayout) -> Reward:
    """What is learned for, over states of `layout` (target included). Raises: as `reference_of`."""
    base, reference = build_reward(config.reward_name, layout, config.shaping), reference_of(config)
    if reference is None or not config.imitation:
        return base
    return imitating(base, Imitation(reference, layout), config.imitation)


def termination_of(config: EnvironmentConfig, layout: StateLayout, time_limit_steps: int) -> Termination:
    """When episodes end. Raises: as `reference_of`."""
    reference = reference_of(config)
    strayed = None if reference is None else Imitation(reference, layout).strayed
    return Termination(layout, time_limit_steps, config.aborts, strayed)


def _read(path: str, model: str) -> tuple[Reference, float]:
    file = Path(path)
    return _read_once(path, model, file.stat().st_mtime_ns if file.is_file() else 0)


@lru_cache(maxsize=4)
def _read_once(path: str, model: str, changed_ns: int) -> tuple[Reference, float]:
    """The reference, and its phase at a start in the default pose."""
    # Imported here: the compiled engine takes a second to load.
    from environment.motions.read import read_motion
    from environment.physics.native.physics import NativePhysics

    motion = read_motion(Path(path), model_path(model))
    body = NativePhysics(model_path(model))
    try:
        reference = Reference.of(motion, body.layout, file_sha256(Path(path)))
        # In the log's precision, as every episode's first state is.
        return reference, reference.start_phase(body.reset().astype(np.float32))
    finally:
        body.close()
