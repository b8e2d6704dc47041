"""The evaluator process: scores published checkpoints in the background, beside the baselines on the same seeds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from agents.actor import Stop
from agents.baselines import Score, blind_walking, standing
from agents.build import contract_of, evaluation_environment
from agents.checkpoints.contract import (
    Blob,
    CheckpointCorrupt,
    CheckpointMissing,
    CheckpointStore,
    CheckpointStoreUnavailable,
)
from agents.config import RunConfig
from agents.evaluator import BASELINES, EVALUATED, EVALUATING, Stopped, describe, known_baselines, score
from agents.exploration import NoExploration, UniformActions
from agents.policy import ActingPolicy, Policy, RandomPolicy
from agents.replay.contract import EpisodeWriter, Replay, Run
from agents.telemetry import Telemetry
from environment.prosthetics import ProstheticsEnv

log = logging.getLogger(__name__)

_POLL_S = 1.0


class Scorer:
    """Scores policies of one run in one environment."""

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        replay: Replay,
        telemetry: Telemetry,
        stop: Stop,
        environment: ProstheticsEnv | None = None,
    ) -> None:
        """Builds the environment that `config` scores in, unless one is given."""
        self._run, self._config, self._replay, self._telemetry, self._stop = run, config, replay, telemetry, stop
        self._environment = environment or evaluation_environment(config, run)
        self._writer: EpisodeWriter = replay.writer(run.name, telemetry.process, batch=config.replay.write_batch)
        self.contract = contract_of(run, config)

    @property
    def physics(self) -> str:
        return self._environment.physics.name

    def baselines(self, seeds: Sequence[int]) -> dict[str, dict[str, object]]:
        """Random (simulated), standing and blind walking (ideal) on these seeds; noted with the run, made once.

        Raises: Stopped.
        """
        known = known_baselines(self._replay, self._run.name, self.physics, seeds)
        if known is not None:
            return known
        generator = np.random.default_rng(0)
        policy = RandomPolicy(self.contract, generator)
        random = self._play(policy, seeds, "random", UniformActions(generator))
        found = {
            "random": random.facts(),
            "standing": standing(self._environment, seeds).facts(),
            "blind_walking": blind_walking(self._environment, seeds).facts(),
        }
        self._replay.event(self._run.name, self._telemetry.process, BASELINES, physics=self.physics, **found)
        return found

    def evaluate(self, policy: ActingPolicy, seeds: Sequence[int]) -> Score:
        """Plays `policy` without noise and notes its score with the run. Raises: Stopped, PolicyMismatch."""
        policy.check(self.contract)
        started_s = time.monotonic()
        found = self._play(policy, seeds, f"policy {policy.version}", NoExploration())
        facts = found.facts() | {"version": policy.version, "physics": self.physics, "task": self._run.task}
        facts["seconds"] = time.monotonic() - started_s
        self._replay.event(self._run.name, self._telemetry.process, EVALUATED, **facts)
        self._telemetry.status(evaluated=facts)
        names = ("mean", "spread", "fall_rate", "mean_length")
        self._telemetry.scalars({f"evaluation/{name}": float(str(facts[name])) for name in names}, policy.version)
        return found

    def last_scored(self, seeds: Sequence[int]) -> int:
        """The version that an evaluator of this run scored last, alike in physics and seeds; 0 if none."""
        for event in reversed(self._replay.events(self._run.name, EVALUATED)):
            facts = event["details"]
            if facts["physics"] == self.physics and facts["seeds"] == list(seeds):
                return int(facts["version"])
        return 0

    def announce(self, version: int) -> None:
        """Notes that this version is about to be scored: it must stay until its score is known."""
        self._replay.event(self._run.name, self._telemetry.process, EVALUATING, version=version)

    def refuse(self, version: int, error: Exception) -> None:
        """Notes that a version has no score, and why."""
        log.error("policy %d is not scored: %s", version, error)
        self._replay.event(
            self._run.name, self._telemetry.process, "policy_refused", version=version, reason=str(error)
        )

    def close(self) -> None:
        """Frees the simulator."""
        self._environment.close()

    def _play(
        self, policy: ActingPolicy, seeds: Sequence[int], name: str, exploration: NoExploration | UniformActions
    ) -> Score:
        def progress(so_far: Score) -> None:
            self._telemetry.status(evaluating=name, episodes_done=len(so_far.returns), episodes_wanted=len(seeds))

        def stop_and_beat() -> bool:
            self._telemetry.beat()  # an episode takes minutes on a busy machine; silence would look like a hang
            return self._stop()

        environment, writer = self._environment, self._writer
        found = score(environment, policy, writer, seeds, self.physics, stop_and_beat, lambda: exploration, progress)
        log.info("%s", describe(name, found))
        return found


def score_published(scorer: Scorer, store: CheckpointStore, run: str, seeds: Sequence[int], wait: Stop) -> None:
    """Scores the newest checkpoint, again and again as newer ones appear, until `wait` says stop.

    `wait` is asked about once a second and may sleep. A version that may not or can not act is noted and left out.
    """
    try:
        scorer.baselines(seeds)
        done = scorer.last_scored(seeds)
        while not wait():
            found = _newest(store, run, done, scorer.announce)
            if found is None:
                continue
            done, blob = found
            try:
                scorer.evaluate(Policy.from_blob(blob, version=done), seeds)
            except (FloatingPointError, ValueError) as error:
                scorer.refuse(done, error)
    except Stopped:
        log.info("stopped in the middle of an evaluation; it does not count")


def _newest(store: CheckpointStore, run: str, done: int, announce: Callable[[int], None]) -> tuple[int, Blob] | None:
    """The newest published policy and its number, if it is another one than `done`; announced before it is loaded."""
    try:
        version = store.latest(run)
        if version is None or version.number == done:
            return None
        announce(version.number)
        return version.number, store.load(run, "policy", version.number)[1]
    except (CheckpointMissing, CheckpointCorrupt, CheckpointStoreUnavailable) as error:
        log.warning("no checkpoint to score now: %s", error)
        return None
