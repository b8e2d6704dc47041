"""The rollout process: an actor with its simulator, its place on the noise ladder and its log writer."""

from __future__ import annotations

import logging
import math
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from agents.actor import EpisodePlan, PolicySource, Stop, act
from agents.batch_actor import act_together
from agents.build import build_environment, build_environments, contract_of
from agents.checkpoints.contract import CheckpointStore
from agents.config import RunConfig
from agents.curriculum import STAGE
from agents.exploration.ladder import Ladder
from agents.exploration.uniform import UniformActions
from agents.lives import Lives
from agents.policies import FixedPolicy, PublishedPolicies
from agents.policy import ActingPolicy, Policy, RandomPolicy
from agents.replay.contract import EpisodeWriter, Replay
from agents.replay.runs import Episode, Run
from agents.round_returns import RECENT, means_of
from agents.starts import stages, start_source
from agents.telemetry import Telemetry
from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from environment.seeds import drawn_seed
from environment.tasks import task
from environment.timestep import CONTROL_STEP_S
from environment.vector import ProstheticsVectorEnv

log = logging.getLogger(__name__)

_LONGEST_REBUILD_PAUSE_S = 30.0
_LAST_WORDS_S = 5.0
"""For the store to take what a stopping worker has written; what is left then, the next start sends."""
_LOOK_EVERY_S = 0.5
"""For what the learner has published, while a worker waits for it."""
_SETTLE_S = 30.0
"""For the store to take an explorer's episode, before it is asked whether the run has enough."""
_REST_S = 0.25
"""Between looks at the stores, and between words about how it goes, of many bodies, which begin and end hundreds of
episodes a second."""
EnvironmentFactory = Callable[[EnvironmentConfig, Run], ProstheticsEnv]
EnvironmentsFactory = Callable[[EnvironmentConfig, Run, int], ProstheticsVectorEnv]


class Plans:
    """Seed and exploration of one life's episodes, never those of another life."""

    def __init__(self, run: Run, config: RunConfig, writer: EpisodeWriter, worker: int, workers: int) -> None:
        self._entropy = [zlib.crc32(run.name.encode()), writer.writer]
        self._number, self._mean_share = 0, config.exploration.mean_share
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
        seed = drawn_seed(generator)
        if policy.version == 0:
            return EpisodePlan(seed, UniformActions(generator), "explore")
        # Drawn last: runs without a mean have the seeds and the noise that they always had.
        mean = policy.mean if isinstance(policy, Policy) and generator.random() < self._mean_share else None
        return EpisodePlan(seed, self._ladder.for_episode(number), "train", mean)


def _sleep(seconds: float, stop: Stop) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s and not stop():
        time.sleep(0.05)


class Collected:
    """Control steps in the log that the learner will learn from: of finished episodes, without evaluations."""

    def __init__(self, replay: Replay, run: str, look_every_s: float = 0.0) -> None:
        """The log is looked at no more often than `look_every_s`."""
        self._replay, self._run = replay, run
        self._look_every_s, self._looked_s = look_every_s, -math.inf
        self._marks: dict[int, int] = {}
        self._steps = 0

    def __call__(self) -> int:
        """The count of now, or of the last look; reads only what is new."""
        if time.monotonic() - self._looked_s < self._look_every_s:
            return self._steps
        self._looked_s = time.monotonic()
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
        build_many: EnvironmentsFactory = build_environments,
    ) -> None:
        """Without a `store` the actions stay random. `build` makes the simulator, and makes it anew when it fails;
        `build_many` does where a worker moves more than one body.
        """
        self._run, self._config, self._replay = run, config, replay
        self._store, self._telemetry, self._build, self._build_many = store, telemetry, build, build_many
        self._rests_s = _REST_S if config.bodies > 1 else 0.0
        self.episodes = 0
        self._timesteps = 0
        self._untold: Episode | None = None
        self._recent: deque[Episode] = deque(maxlen=RECENT)
        self._told_s = -math.inf
        self._starts, self._stages = start_source(run, config, replay), stages(run, config, replay)
        self._collected = Collected(replay, run.name, self._rests_s)
        self._waited_for_learner_s = 0.0
        self._started_s = time.monotonic()

    def work(self, worker: int, workers: int, stop: Stop, enough: Callable[[], bool] = lambda: False) -> None:
        """Plays episodes until `stop`, or until `enough` says so between two of them; what other bodies are in the
        middle of is then marked aborted.

        A simulator that can not be reset is rebuilt, with growing pauses; the worker stays alive.
        """
        torch.set_num_threads(1)  # a policy this small only loses by sharing; the other cores are other workers'
        run, config = self._run, self._config
        lives = Lives(run, config, self._replay, self._telemetry.process)
        contract = contract_of(run, config)
        first = RandomPolicy(contract, np.random.default_rng([lives.writers[0].writer]))
        published = self._store and PublishedPolicies(
            self._store, run.name, contract, first, lives.note, look_every_s=self._rests_s
        )
        bodies = len(lives.writers)
        plans = [
            Plans(run, config, writer, worker * bodies + body, workers * bodies)
            for body, writer in enumerate(lives.writers)
        ]
        done = False

        def done_or_stop() -> bool:
            self._telemetry.beat()  # an episode takes minutes on a busy machine; silence would look like a hang
            return done or stop()

        pause_s = 1.0
        while not done and not stop() and not enough():
            simulator = self._simulator()
            try:
                for episode in _episodes(simulator, published or FixedPolicy(first), lives, plans, done_or_stop):
                    self._take(episode, lives)
                    pause_s = 1.0
                    if self._store is None and bodies == 1:
                        lives.drain(_SETTLE_S)
                    done = done or enough()
                    if published and config.replay.lead_timesteps is not None:
                        self._let_the_learner_follow(published, done_or_stop)
            except SimulationError as error:
                log.error("the simulator is rebuilt: %s", error)
                lives.note("simulator_rebuilt", reason=str(error))
                _sleep(pause_s, stop)
                pause_s = min(2 * pause_s, _LONGEST_REBUILD_PAUSE_S)
            finally:
                simulator.close()
        self._tell(lives)
        lives.note("worker_stopped", timesteps=self._timesteps, episodes=self.episodes)
        lives.close(_LAST_WORDS_S)

    def _simulator(self) -> ProstheticsEnv | ProstheticsVectorEnv:
        environment, bodies = self._config.environment, self._config.bodies
        many = bodies > 1
        built = self._build_many(environment, self._run, bodies) if many else self._build(environment, self._run)
        built.starts, built.stages = self._starts, self._stages
        return built

    def _let_the_learner_follow(self, published: PublishedPolicies, stop: Stop) -> None:
        """Waits while the workers are further ahead than `replay.lead_timesteps`."""
        limiter, started_s = self._config.limiter(), time.monotonic()
        while not stop() and not limiter.may_collect(published.updates, self._collected()):
            _sleep(_LOOK_EVERY_S, stop)
            published.latest()
        self._waited_for_learner_s += time.monotonic() - started_s

    def _take(self, episode: Episode, lives: Lives) -> None:
        """Counts an episode, and tells of it unless one has just been told of."""
        self.episodes += 1
        self._timesteps += episode.length
        self._untold = episode
        self._recent.append(episode)
        if time.monotonic() - self._told_s >= self._rests_s:
            self._tell(lives)

    def _tell(self, lives: Lives) -> None:
        """Tells how it goes, and of the newest episode."""
        episode, self._untold, self._told_s = self._untold, None, time.monotonic()
        if episode is None:
            return
        recent = means_of(self._recent)
        rate = self._timesteps / (time.monotonic() - self._started_s)
        self._telemetry.status(
            bodies=len(lives.writers),
            episodes=self.episodes,
            timesteps=self._timesteps,
            timesteps_per_s=rate,
            policy_version=episode.start.policy_version,
            last_return=episode.episode_return,
            last_length=episode.length,
            last_round_returns=dict(episode.round_returns),
            recent=recent and recent.document(),
            last_ended=episode.ended,
            exploration=dict(episode.start.exploration),
            stage=episode.start.start.get(STAGE),
            step_ms=episode.step_ms_mean,
            waited_s=lives.waited_s,
            waited_for_learner_s=self._waited_for_learner_s,
        )
        scalars = {
            "actor/return": episode.episode_return,
            "actor/length": episode.length,
            "actor/step_ms": episode.step_ms_mean,
            "actor/policy_version": episode.start.policy_version,
        }
        scalars |= {f"actor/{name}_return": value for name, value in episode.round_returns.items()}
        scalars |= {f"reward/{name}": value for name, value in episode.reward_terms.items()}
        self._telemetry.scalars(scalars, self._timesteps)


def _episodes(
    simulator: ProstheticsEnv | ProstheticsVectorEnv,
    policies: PolicySource,
    lives: Lives,
    plans: Sequence[Plans],
    stop: Stop,
) -> Iterator[Episode]:
    """What the bodies of one simulator play."""
    physics = simulator.physics.name
    if isinstance(simulator, ProstheticsEnv):
        return act(simulator, policies, lives.writers[0], plans[0], physics, stop)
    return act_together(simulator, policies, lives.writers, plans, physics, stop)
