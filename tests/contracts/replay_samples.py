"""Small runs and episodes for the tests of the replay."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.replay.contract import EpisodeWriter
from agents.replay.runs import Episode, EpisodeStart, Run
from environment.timestep import TimeStep

STATE_SIZE = 5
ACTION_SIZE = 3


def sample_run(name: str = "run", **changes: Any) -> Run:
    values: dict[str, Any] = {
        "name": name,
        "config": {"gamma": 0.99, "layers": [64, 64]},
        "task": "round2",
        "physics": "fake/point",
        "model_sha256": "0" * 64,
        "state_names": tuple(f"joint_pos/j{i}/0" for i in range(STATE_SIZE)),
        "state_units": ("rad",) * STATE_SIZE,
        "action_names": tuple(f"muscle_{i}" for i in range(ACTION_SIZE)),
        "observation": "compact/1",
        "reward": "round2/1",
        "code_version": "test",
        "layout_sha256": "1" * 64,
    }
    return Run(**(values | changes))


def reset_step(rng: np.random.Generator, *, state_size: int = STATE_SIZE, action_size: int = ACTION_SIZE) -> TimeStep:
    none = np.zeros(action_size, np.float32)
    state = rng.normal(size=state_size).astype(np.float32)
    return TimeStep(0, state, none, none, False, 0.0, False, False)


def later_step(
    rng: np.random.Generator,
    step: int,
    *,
    decision: bool = True,
    terminated: bool = False,
    truncated: bool = False,
    state_size: int = STATE_SIZE,
    action_size: int = ACTION_SIZE,
) -> TimeStep:
    return TimeStep(
        step=step,
        state=rng.normal(size=state_size).astype(np.float32),
        excitation=rng.random(action_size).astype(np.float32),
        policy_action=(2 * rng.random(action_size) - 1).astype(np.float32),
        decision=decision,
        reward=float(rng.normal()),
        terminated=terminated,
        truncated=truncated,
    )


def sample_episode(seed: int, length: int, *, fall: bool = True, frame_skip: int = 1, **sizes: int) -> list[TimeStep]:
    """T+1 timesteps that end in a fall or a time limit."""
    rng = np.random.default_rng(seed)
    steps = [reset_step(rng, **sizes)]
    for step in range(1, length + 1):
        last = step == length
        decision = (step - 1) % frame_skip == 0
        steps.append(
            later_step(rng, step, decision=decision, terminated=last and fall, truncated=last and not fall, **sizes)
        )
    return steps


def write_episode(writer: EpisodeWriter, steps: list[TimeStep], start: EpisodeStart | None = None) -> Episode:
    writer.begin(start or EpisodeStart(seed=7, policy_version=3), steps[0])
    for step in steps[1:]:
        writer.add(step)
    total = sum(step.reward for step in steps)
    ended = "fall" if steps[-1].terminated else "time_limit"
    return writer.end(
        ended=ended,
        reward_terms={"speed": total - 1.0, "alive": 1.0},
        round_returns={"round1": -total, "round2": total / 3},
        step_ms_mean=2.0,
    )
