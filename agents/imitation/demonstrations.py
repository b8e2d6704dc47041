"""Demonstrations as a run of their own, to be learned from as a partition: a motion's states with inferred actions, or
episodes that a policy plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.actor import EpisodePlan, play
from agents.exploration.none import NoExploration
from agents.policy import ActingPolicy
from agents.replay.columns import TimestepBlock
from agents.replay.contract import EpisodeWriter
from agents.replay.runs import Episode, EpisodeStart
from agents.round_returns import earned
from environment.body_model import BodyModel
from environment.motions.excitations import ActivationDynamics
from environment.motions.motion import Motion, MotionRefused
from environment.prosthetics import ProstheticsEnv
from environment.rewards import Reward
from environment.seeds import drawn_seed
from environment.state import TARGET_VELOCITY, StateLayout
from environment.terminations import TIME_LIMIT
from environment.timestep import CONTROL_STEP_S, TimeStep

Float32 = NDArray[np.float32]

KIND = "motion"
"""Of the physics, in the episode's document: `motion/NAME`. No engine made these states one after the other."""
LEARNED, SOLVED = "inverse_dynamics", "activation_dynamics"
"""How actions were found, in the episode's document."""
Between = Callable[[Float32, Float32], Float32]
"""States (B, S) of decisions and of the next ones -> actions (B, M) in [-1, 1]."""


def solved(model: BodyModel, layout: StateLayout, held: int) -> Between:
    """Actions that lead a motion's activations where it says that they go; for motions that tell them."""
    dynamics, places = ActivationDynamics(model.muscles), layout.activations

    def between(before: Float32, after: Float32) -> Float32:
        excitation = dynamics.excitations(before[:, places], after[:, places], held)
        return (2.0 * excitation - 1.0).astype(np.float32)

    return between


def tells_muscles(motion: Motion) -> bool:
    """Whether a motion's file tells what its muscles do."""
    return not any(name.startswith("muscles/") for name in motion.completed)


def states_of(motion: Motion, layout: StateLayout) -> Float32:
    """(T+1, S) states of a motion at every control step, with its own mean velocity for a target.

    Between two rows of a file at another rate they are on the straight line.

    Args:
        layout: Target included.
    """
    duration_s = motion.times_s[-1] - motion.times_s[0]
    steps = int(np.floor(duration_s / CONTROL_STEP_S + 1e-6))
    if steps < 1:
        raise MotionRefused(f"motion {motion.name!r} lasts {duration_s:.3g} s; needed at least a control step")
    at_s = motion.times_s[0] + CONTROL_STEP_S * np.arange(steps + 1)
    states = np.zeros((steps + 1, layout.size))
    states[:, : motion.states.shape[1]] = np.column_stack(
        [np.interp(at_s, motion.times_s, column) for column in motion.states.T]
    )
    target, pelvis = layout.where(TARGET_VELOCITY), layout.where("body_pos/pelvis")
    states[:, target] = (states[-1, pelvis] - states[0, pelvis]) / (steps * CONTROL_STEP_S)
    states[:, target[1]] = 0.0
    return states.astype(np.float32)


def show_motion(
    motion: Motion,
    layout: StateLayout,
    reward: Reward,
    between: Between,
    held: int,
    writer: EpisodeWriter,
    how: str = LEARNED,
) -> Iterator[Episode]:
    """Writes a motion as `held` episodes, of which each decides at other rows; yields what was written.

    Args:
        layout: Target included.
        reward: Of the run that they are written to; it must need no phase.
        between: Finds actions that are held for `held` control steps.
        how: It finds them.
    """
    whole = states_of(motion, layout)
    for offset in range(held):
        decisions = (len(whole) - 1 - offset) // held
        if decisions < 1:
            continue
        states = whole[offset : offset + decisions * held + 1]
        actions = between(states[:-held:held], states[held::held])
        yield _write(motion, offset, states, np.repeat(actions, held, axis=0), held, reward, layout, writer, how)


def show_policy(
    policy: ActingPolicy,
    environment: ProstheticsEnv,
    writer: EpisodeWriter,
    episodes: int,
    seed: int,
    stop: Callable[[], bool],
) -> Iterator[Episode]:
    """Writes episodes that a policy plays without noise; yields what was written of each."""
    generator = np.random.default_rng(seed)
    for _ in range(episodes):
        if stop():
            return
        plan = EpisodePlan(drawn_seed(generator), NoExploration(), "demonstrate")
        yield play(environment, policy, writer, plan, environment.physics.name, stop)


def _write(
    motion: Motion,
    offset: int,
    states: Float32,
    actions: Float32,
    held: int,
    reward: Reward,
    layout: StateLayout,
    writer: EpisodeWriter,
    how: str,
) -> Episode:
    terms: dict[str, Any] = reward.evaluate(states[1:].astype(np.float64))
    steps, muscles = len(actions), actions.shape[1]
    nothing = np.zeros(muscles, np.float32)
    first = TimeStep(0, states[0], nothing, nothing, False, 0.0, False, False)
    time_s = float(motion.times_s[0] + offset * CONTROL_STEP_S)
    writer.begin(
        EpisodeStart(
            seed=0,
            policy_version=0,
            purpose="demonstrate",
            exploration={"kind": how},
            physics=f"{KIND}/{motion.name}",
            start={"kind": "motion", "motion": motion.name, "time_s": time_s, "scale": 1.0},
        ),
        first,
    )
    ends = np.arange(steps) == steps - 1
    writer.add_many(
        TimestepBlock(
            state=states[1:],
            excitation=(actions + np.float32(1.0)) / np.float32(2.0),
            policy_action=actions,
            decision=np.arange(steps) % held == 0,
            reward=np.sum(list(terms.values()), axis=0),
            terminated=np.zeros(steps, np.bool_),
            truncated=ends,
        )
    )
    totals, rounds = (
        {name: float(values.sum()) for name, values in told.items()} for told in (terms, earned(layout, states[1:]))
    )
    # The motion goes on, or would: what comes after is worth something.
    return writer.end(ended=TIME_LIMIT, reward_terms=totals, round_returns=rounds, step_ms_mean=0.0)
