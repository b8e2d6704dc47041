"""The evaluator process: scores published checkpoints in the background, beside the baselines on the same seeds, and
has every new best confirmed by the reference physics."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from agents.actor import Stop
from agents.baselines import Score, blind_walking, standing
from agents.build import confirming_environment, contract_of, evaluation_environment
from agents.checkpoints.contract import (
    Blob,
    CheckpointCorrupt,
    CheckpointMissing,
    CheckpointStore,
    CheckpointStoreUnavailable,
)
from agents.config import RunConfig
from agents.confirmation import Evaluation, Facts, best_evaluation, comparable, deciding, engine
from agents.evaluator import (
    BASELINES,
    CONFIRMED,
    EVALUATED,
    EVALUATING,
    NOT_CONFIRMED,
    Explores,
    Stopped,
    describe,
    known_baselines,
    quietly,
)
from agents.exploration.contract import Exploration
from agents.exploration.uniform import UniformActions
from agents.policy import ActingPolicy, Policy, RandomPolicy
from agents.replay.contract import EpisodeWriter, Replay
from agents.replay.runs import Run
from agents.scoring_stage import Stage
from agents.telemetry import Telemetry
from environment.prosthetics import ProstheticsEnv

log = logging.getLogger(__name__)

_POLL_S = 1.0


class Scorer:
    """Scores policies of one run in one environment, and confirms the best of them in another."""

    def __init__(
        self,
        run: Run,
        config: RunConfig,
        replay: Replay,
        telemetry: Telemetry,
        stop: Stop,
        environment: ProstheticsEnv | None = None,
        confirming: ProstheticsEnv | None = None,
    ) -> None:
        """Builds the environments that `config` scores and confirms in, on the native engine for many episodes at once.

        With `environment` it scores in that one instead, and without `confirming` beside it these scores decide by
        themselves.
        """
        self._run, self._config, self._replay, self._telemetry, self._stop = run, config, replay, telemetry, stop
        seeds, fewer = len(config.evaluation.seeds), config.evaluation.confirm_episodes
        together = environment is None
        # Built at the start: a reference that does not fit this run must fail loudly, not at the first good score.
        reference = confirming_environment(config, run) if together else confirming
        self._stage = Stage(run, environment or evaluation_environment(config, run), seeds, together=together)
        self._confirming = Stage(run, reference, min(fewer, seeds), together=together) if reference else None
        self._writers: list[EpisodeWriter] = []
        self.contract = contract_of(run, config)

    @property
    def physics(self) -> str:
        return self._stage.physics

    @property
    def reference(self) -> str:
        """Name of the physics whose scores decide what is best."""
        return self._confirming.physics if self._confirming else self.physics

    def baselines(self, seeds: Sequence[int]) -> dict[str, dict[str, object]]:
        """Random (simulated), standing and blind walking (ideal) on these seeds; noted with the run, made once.

        Raises: Stopped.
        """
        known = known_baselines(self._replay, self._run.name, self.physics, seeds)
        if known is not None:
            return known
        policy, environment = RandomPolicy(self.contract, np.random.default_rng(0)), self._stage.environment
        random = self._play(self._stage, policy, seeds, "random", at_random)
        found = {
            "random": random.facts(),
            "standing": standing(environment, seeds).facts(),
            "blind_walking": blind_walking(environment, seeds).facts(),
        }
        self._replay.event(self._run.name, self._telemetry.process, BASELINES, physics=self.physics, **found)
        return found

    def evaluate(self, policy: ActingPolicy, seeds: Sequence[int]) -> Evaluation:
        """Plays `policy` without noise and notes its score with the run; a new best is played on the reference too.

        Stopped in the middle of either, nothing is noted, so that the version is scored again at the next start.

        Raises: Stopped, PolicyMismatch.
        """
        policy.check(self.contract)
        started_s = time.monotonic()
        name = f"policy {policy.version}"
        found = self._play(self._stage, policy, seeds, name, quietly)
        evaluation = self._confirm(Evaluation(found, self.physics, self.reference), policy, seeds)
        facts = evaluation.facts() | {"version": policy.version, "task": self._run.task}
        facts["seconds"] = time.monotonic() - started_s
        self._note(facts)
        return evaluation

    def _confirm(self, evaluation: Evaluation, policy: ActingPolicy, seeds: Sequence[int]) -> Evaluation:
        """The same with the score on the reference, if this one beats the best so far. Raises: Stopped."""
        if self._confirming is None:
            return evaluation
        best = self._best(evaluation.facts())
        if best is not None and not evaluation.score.mean > best["mean"]:
            return evaluation
        fewer = seeds[: self._config.evaluation.confirm_episodes]
        log.info("policy %d beats the best so far and is played on %s", policy.version, self.reference)
        found = self._play(self._confirming, policy, fewer, f"policy {policy.version}", quietly)
        counting = None if best is None else deciding(best)
        return replace(evaluation, confirmation=found, best_before=None if counting is None else counting["mean"])

    def _best(self, like: Facts) -> Facts | None:
        """The best evaluation of the run so far that can be compared with this one."""
        wanted = comparable(like)
        noted = (event["details"] for event in self._replay.events(self._run.name, EVALUATED))
        return best_evaluation(facts for facts in noted if comparable(facts) == wanted)

    def _note(self, facts: dict[str, Any]) -> None:
        """Tells of a score: its document, the verdict on a candidate as an event of its own, status and curves."""
        run, process, confirmation = self._run.name, self._telemetry.process, facts["confirmation"]
        self._replay.event(run, process, EVALUATED, **facts)
        if confirmation:
            kind = CONFIRMED if confirmation["confirmed"] else NOT_CONFIRMED
            kept = ("physics", "mean", "spread", "fall_rate", "mean_length", "seeds")
            both = {"candidate": {name: facts[name] for name in kept}, "reference": confirmation}
            self._replay.event(run, process, kind, version=facts["version"], **both)
            log.info("policy %d is %s", facts["version"], kind.replace("_", " "))
        self._telemetry.status(evaluated=facts)
        for prefix, scored in (("evaluation", facts), ("confirmation", confirmation or {})):
            names = [name for name in ("mean", "spread", "fall_rate", "mean_length") if name in scored]
            self._telemetry.scalars({f"{prefix}/{name}": float(scored[name]) for name in names}, facts["version"])

    def last_scored(self, seeds: Sequence[int]) -> int:
        """The version that an evaluator of this run scored last, alike in physics, seeds and reference; 0 if none."""
        wanted = comparable({"physics": self.physics, "seeds": seeds, "reference": self.reference})
        for event in reversed(self._replay.events(self._run.name, EVALUATED)):
            if comparable(event["details"]) == wanted:
                return int(event["details"]["version"])
        return 0

    def due(self, version: int, done: int) -> bool:
        """Whether a version is to be scored, after the version `done` (0: none) was."""
        every = self._config.evaluation.every_versions
        return version != done and (done == 0 or version // every != done // every)

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
        """Frees the simulators."""
        self._stage.close()
        if self._confirming:
            self._confirming.close()

    def _writer(self, body: int) -> EpisodeWriter:
        """The log's for that body; the first one's has the process's own name."""
        name, batch = self._telemetry.process, self._config.replay.write_batch
        while len(self._writers) <= body:
            number = len(self._writers)
            self._writers.append(
                self._replay.writer(self._run.name, f"{name}/{number}" if number else name, batch=batch)
            )
        return self._writers[body]

    def _play(
        self, stage: Stage, policy: ActingPolicy, seeds: Sequence[int], name: str, exploration: Explores
    ) -> Score:
        name = f"{name} on {engine(stage.physics)}"

        def progress(so_far: Score) -> None:
            self._telemetry.status(evaluating=name, episodes_done=len(so_far.returns), episodes_wanted=len(seeds))

        def stop_and_beat() -> bool:
            self._telemetry.beat()  # an episode takes minutes on a busy machine; silence would look like a hang
            return self._stop()

        progress(Score((), (), (), ()))
        found = stage.score(policy, self._writer, seeds, stop_and_beat, exploration, progress)
        log.info("%s", describe(name, found))
        return found


def at_random(seed: int) -> Exploration:
    """Uniform actions, which depend on the seed alone."""
    return UniformActions(np.random.default_rng([seed, 2]))  # 1 are the environment's frame skips


def score_published(scorer: Scorer, store: CheckpointStore, run: str, seeds: Sequence[int], wait: Stop) -> None:
    """Scores the newest checkpoint, again and again as newer ones appear, until `wait` says stop.

    `wait` is asked about once a second and may sleep. A version that may not or can not act is noted and left out.
    Where one of every N is scored, those are N, 2N, 3N …, or the next one that is seen.
    """
    try:
        scorer.baselines(seeds)
        done = scorer.last_scored(seeds)
        while not wait():
            found = _newest(store, run, done, scorer)
            if found is None:
                continue
            done, blob = found
            try:
                scorer.evaluate(Policy.from_blob(blob, version=done), seeds)
            except (FloatingPointError, ValueError) as error:
                scorer.refuse(done, error)
    except Stopped:
        log.info("stopped in the middle of an evaluation; it does not count")


def _newest(store: CheckpointStore, run: str, done: int, scorer: Scorer) -> tuple[int, Blob] | None:
    """The newest published policy and its number, if it is due after `done`; announced before it is loaded."""
    try:
        version = store.latest(run)
        if version is None or not scorer.due(version.number, done):
            return None
        scorer.announce(version.number)
        return version.number, store.load(run, "policy", version.number)[1]
    except (CheckpointMissing, CheckpointCorrupt, CheckpointStoreUnavailable) as error:
        log.warning("no checkpoint to score now: %s", error)
        return None
