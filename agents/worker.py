"""The rollout process: an actor with its simulator, its place on the noise ladder and its log writer."""

from __future__ import annotations

import logging
import math
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from agents.actor import EpisodePlan, Stop, act
from agents.build import build_environment, contract_of
from agents.checkpoints.contract import CheckpointStore
from agents.config import RunConfig, data_dir
from agents.exploration.ladder import Ladder
from agents.exploration.uniform import UniformActions
from agents.policies import FixedPolicy, PublishedPolicies
from agents.policy import ActingPolicy, RandomPolicy
from agents.replay.contract import EpisodeWriter, Replay
from agents.replay.runs import Episode, Run
from agents.replay.spool_places import spool_path
from agents.telemetry import Telemetry
from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from environment.tasks import task
from environment.timestep import CONTROL_STEP_S

log = logging.getLogger(__name__)

_LONGEST_REBUILD_PAUSE_S = 30.0
_LAST_WORDS_S = 5.0
"""For the store to take what a stopping worker has written; what is left then, the next start sends."""
_LOOK_EVERY_S = 0.5
"""For what the learner has published, while a worker waits for it."""
_SETTLE_S = 30.0
"""For the store to take an explorer's episode, before it is asked whether the run has enough."""
EnvironmentFactory = Callable[[EnvironmentConfig, Run], ProstheticsEnv]


class Plans:
    """Seed and exploration of one life's episodes, never those of another life."""

    def __init__(self, run: Run, config: RunConfig, writer: EpisodeWriter, worker: int, workers: int) -> None:
        self._entropy = [zlib.crc32(run.name.encode()), writer.writer]
        self._number = 0
        environment = config.environment
        skip = environment.frame_skip
        held = skip if isinstance(skip, int) else sum(skip) / 2
        steps = environment.max_steps or task(environment.task).time_limit_steps
        self._ladder = Ladder(
            config=config.exploration,
            worker_index=worker,
            workers=workers,
            dt_s=held * CONTROL_STEP_S,
            decisions=math.ceil(steps / held),
            seed=writer.writer,
        )

    def __call__(self, policy: ActingPolicy) -> EpisodePlan:
        number, self._number = self._number, self._number + 1
        generator = np.random.default_rng([*self._entropy, number])
        seed = int(generator.integers(2**32))
        if policy.version == 0:
            return EpisodePlan(seed, UniformActions(generator), "explore")
        return EpisodePlan(seed, self._ladder.for_episode(number), "train")


def spool_folder(run: str, worker: str) -> Path:
    """Where on this machine a worker's timesteps wait for the store."""
    return spool_path(data_dir(), run, worker)


def _sleep(seconds: float, stop: Stop) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and not stop():
        time.sleep(0.05)


class Collected:
    """Control steps in the log that the learner will learn from: of finished episodes, without evaluations."""

    def __init__(self, replay: Replay, run: str) -> None:
        self._replay, self._run = replay, run
        self._marks: dict[int, int] = {}
        self._steps = 0

    def __call__(self) -> int:
        """The count of now; reads only what is new."""
        for episode in self._replay.episodes_after(self._run, self._marks):
            self._marks[episode.writer] = episode.id
            self._steps += episode.length if episode.start.purpose != "evaluate" else 0
        return self._steps


class Rollouts:
    """What a worker does between its start and its stop."""

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        replay: Replay,
        store: CheckpointStore | None,
        telemetry: Telemetry,
        build: EnvironmentFactory = build_environment,
    ) -> None:
        """Without a `store` the actions stay random. `build` makes the simulator, and makes it anew when it fails."""
        self._run, self._config, self._replay = run, config, replay
        self._store, self._telemetry, self._build = store, telemetry, build
        self.episodes = 0
        self._timesteps = 0
        self._collected = Collected(replay, run.name)
        self._waited_for_learner_s = 0.0
        self._started_s = time.monotonic()

    def work(self, worker: int, workers: int, stop: Stop, enough: Callable[[], bool] = lambda: False) -> None:
        """Plays episodes until `stop`, or until `enough` says so between two of them.

        A simulator that can not be reset is rebuilt, with growing pauses; the worker stays alive.
        """
        torch.set_num_threads(1)  # a policy this small only loses by sharing; the other cores are other workers'
        run, name = self._run, self._telemetry.process
        contract = contract_of(run, self._config)
        spool = spool_folder(run.name, name)
        settings = self._config.replay
        room = settings.spool_megabytes << 20
        writer = self._replay.writer(run.name, name, batch=settings.write_batch, spool=spool, spool_bytes=room)
        first = RandomPolicy(contract, np.random.default_rng([writer.writer]))
        published = self._store and PublishedPolicies(self._store, run.name, contract, first, writer.note)
        policies = published or FixedPolicy(first)
        plans = Plans(run, self._config, writer, worker, workers)

        def stop_and_beat() -> bool:
            self._telemetry.beat()  # an episode takes minutes on a busy machine; silence would look like a hang
            return stop()

        pause_s = 1.0
        while not stop() and not enough():
            environment = self._build(self._config.environment, run)
            try:
                for episode in act(environment, policies, writer, plans, environment.physics.name, stop_and_beat):
                    self._tell(episode, writer.waited_s)
                    pause_s = 1.0
                    if self._store is None:
                        writer.drain(_SETTLE_S)
                    if enough():
                        break
                    if published and settings.lead_timesteps is not None:
                        self._let_the_learner_follow(published, stop_and_beat)
            except SimulationError as error:
                log.error("the simulator is rebuilt: %s", error)
                writer.note("simulator_rebuilt", reason=str(error))
                _sleep(pause_s, stop)
                pause_s = min(2 * pause_s, _LONGEST_REBUILD_PAUSE_S)
            finally:
                environment.close()
        writer.note("worker_stopped", timesteps=self._timesteps, episodes=self.episodes)
        writer.close(_LAST_WORDS_S)

    def _let_the_learner_follow(self, published: PublishedPolicies, stop: Stop) -> None:
        """Waits while the workers are further ahead than `replay.lead_timesteps`."""
        limiter, started_s = self._config.limiter(), time.monotonic()
        while not limiter.may_collect(published.updates, self._collected()):
            _sleep(_LOOK_EVERY_S, stop)
            if stop():
                break
            published.latest()
        self._waited_for_learner_s += time.monotonic() - started_s

    def _tell(self, episode: Episode, waited_s: float) -> None:
        self.episodes += 1
        self._timesteps += episode.length
        rate = self._timesteps / (time.monotonic() - self._started_s)
        self._telemetry.status(
            episodes=self.episodes,
            timesteps=self._timesteps,
            timesteps_per_s=rate,
            policy_version=episode.start.policy_version,
            last_return=episode.episode_return,
            last_length=episode.length,
            last_ended=episode.ended,
            exploration=dict(episode.start.exploration),
            step_ms=episode.step_ms_mean,
            waited_s=waited_s,
            waited_for_learner_s=self._waited_for_learner_s,
        )
        scalars = {
            "actor/return": episode.episode_return,
            "actor/length": episode.length,
            "actor/step_ms": episode.step_ms_mean,
            "actor/policy_version": episode.start.policy_version,
        }
        scalars |= {f"reward/{name}": value for name, value in episode.reward_terms.items()}
        self._telemetry.scalars(scalars, self._timesteps)
