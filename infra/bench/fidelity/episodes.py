"""One episode of fixed actions in any simulator, and the same in a process of its own, which a deadline can end."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from environment.config import EnvironmentConfig
from environment.physics.contract import Physics
from environment.physics.settings import OpenSimSettings
from environment.prosthetics import ProstheticsEnv
from environment.tasks import task
from infra.bench.fidelity.policies import MOST_STEPS, Excitations, Policy

TASK = "prosthetics-round2"
DEADLINE = "deadline"
ACTIONS_OVER = "actions over"


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """T control steps from the reset."""

    excitations: NDArray[np.float32]
    """(T, M) that the muscles received."""
    mass_center_m: NDArray[np.float64]
    """(T+1, 3)"""
    rewards: NDArray[np.float64]
    """(T,)"""
    y: NDArray[np.float64]
    """(T+1, Y) continuous states in the engine's own order."""
    ended: str
    """`fall`, `time_limit`, `simulator_error: …`, `actions over`, or `deadline` (then there are no steps)."""
    seconds: float
    """Processor time of all steps."""

    @property
    def fall_step(self) -> int | None:
        """The control step after which the body had fallen; None when it did not."""
        return len(self.rewards) if self.ended == "fall" else None


def play(physics: Physics, policy: Policy, *, task_name: str = TASK, excitations: Excitations | None = None) -> Episode:
    """One episode of the policy's actions (or of `excitations`, as a reference recorded them), up to the fall."""
    most = min(MOST_STEPS, task(task_name).time_limit_steps)
    env = ProstheticsEnv(EnvironmentConfig(task=task_name, frame_skip=1, max_steps=most), physics)
    center = env.layout.where("misc/mass_center_pos")
    env.reset(seed=policy.seed)
    centers, ys, rewards, received = [env.state[center]], [physics.snapshot().y], [], []
    ended: str | None = None
    started = time.process_time()
    for excitation in policy.excitations(len(physics.muscles)) if excitations is None else excitations:
        _, reward, _, _, info = env.step(2 * excitation - 1)
        ended = info["ended"]
        if not info["timesteps"]:  # the simulator failed in this step
            break
        received.append(info["timesteps"][0].excitation)
        rewards.append(reward)
        centers.append(env.state[center])
        ys.append(physics.snapshot().y)
        if ended:
            break
    seconds = time.process_time() - started
    kept = np.array(received, np.float32).reshape(-1, len(physics.muscles))
    return Episode(kept, np.array(centers), np.array(rewards), np.array(ys), ended or ACTIONS_OVER, seconds)


class DeadlinePlayer:
    """Plays episodes by OpenSim in a child process. OpenSim can not be stopped within a control step; a child can."""

    def __init__(self, model: Path, settings: OpenSimSettings, deadline_s: float) -> None:
        self._arguments = (model, settings)
        self._deadline_s = deadline_s
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def play(self, policy: Policy) -> Episode:
        """An episode without steps, ended by `deadline`, when it takes longer. Raises: EOFError if the child died."""
        self._here.send(policy)
        if self._here.poll(self._deadline_s):
            episode = self._here.recv()
            assert isinstance(episode, Episode)
            return episode
        self.close()
        self._start()
        none = np.empty((0, 0))
        return Episode(none.astype(np.float32), none, np.empty(0), none, DEADLINE, self._deadline_s)

    def close(self) -> None:
        self._child.kill()
        self._child.join()
        self._here.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._here, there = self._context.Pipe()
        self._child = self._context.Process(target=_serve, args=(there, *self._arguments), daemon=True)
        self._child.start()
        there.close()


def _serve(there: Connection, model: Path, settings: OpenSimSettings) -> None:
    from environment.physics.opensim import OpenSimPhysics

    physics = OpenSimPhysics(model, settings)
    while True:
        try:
            policy = there.recv()
        except EOFError:
            return
        there.send(play(physics, policy))
