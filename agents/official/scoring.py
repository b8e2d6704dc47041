"""A policy through the challenge: its episodes, the baselines' on the same seeds, and what they come to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from agents.baselines import Score, blind_walking, standing
from agents.checkpoints.format import encode
from agents.evaluator import Stopped
from agents.gait.card import Walk
from agents.official.episode import EpisodeScore
from agents.official.figures import RoundScores
from agents.official.kept import folder_of
from agents.official.native import play_natively, scores_natively
from agents.official.processes import POLICY, RANDOM, Job, Plan, play_all
from agents.official.progress import Progress
from agents.official.rules import ACCURATE, Actor, body_of, check_fits, environment_of, on_native, on_opensim, uniform
from agents.official.seeds import GRADER_SEEDS, held_out
from agents.official.wanted import NATIVE, Wanted
from agents.policy import Policy
from agents.policy_file import policy_bytes
from agents.stopping import StopFlag
from environment.prosthetics import ProstheticsEnv
from environment.state import StateLayout

Tell = Callable[[str], None]
Episodes = dict[int, EpisodeScore]
"""By seed."""


class OfficialScoring:
    """One policy's."""

    def __init__(self, policy: Policy, wanted: Wanted, data: Path, tell: Tell) -> None:
        """Episodes on OpenSim are kept below `data`; `tell` takes lines about the progress.

        Raises: PolicyMismatch for a policy that can not act on this body; KeyError for a task that is unknown.
        """
        self._policy, self._wanted, self._tell = policy, wanted, tell
        body = body_of(policy.contract)
        self._configs = {
            f"{body}-{name}": environment_of(policy.contract, f"{body}-{name}", wanted.max_steps)
            for name in wanted.rounds
        }
        self._references: dict[str, ProstheticsEnv] = {}
        for name, config in self._configs.items():
            with closing(ProstheticsEnv(on_native(config))) as environment:
                check_fits(policy.contract, environment)
                self._references[name] = environment  # for its names and rules, which stay when it is closed
        sums = {POLICY: hashlib.sha256(encode(policy.to_blob())).hexdigest(), RANDOM: "uniform"}
        configs = {name: on_opensim(config) for name, config in self._configs.items()}
        folders = {
            (who, name): folder_of(data, actor, [repr(config), config.physics_settings.name])
            for who, actor in sums.items()
            for name, config in configs.items()
        }
        self._plan = Plan(policy_bytes(policy, {}), configs, folders)

    @property
    def physics(self) -> str:
        """Name of the engine that the figures are of, with its settings."""
        config = next(iter(self._plan.configs.values()))
        return ACCURATE.name if self._wanted.physics == NATIVE else config.physics_settings.name

    @property
    def layout(self) -> StateLayout:
        """Of the states of `walks`."""
        return next(iter(self._references.values())).layout

    @property
    def model(self) -> str:
        """Key of the body's model."""
        return next(iter(self._references.values())).task.model

    def score(self, stop: StopFlag) -> list[RoundScores]:
        """All rounds, in the order in which they were asked for. Raises: Stopped, ScoringDied."""
        native = {name: self._natively(name, stop) for name in self._configs}
        if self._wanted.physics == NATIVE:
            return [self._round(name, native[name]) for name in self._configs]
        found = self._on_opensim(stop)
        return [self._round(name, found[name] | {NATIVE: native[name][POLICY]}) for name in self._configs]

    def walks(self, name: str, stop: StopFlag) -> Iterator[Walk]:
        """The policy's episodes on the held-out seeds of a task, with their states; after `score`."""
        seeds = held_out(self._wanted.episodes)
        if self._wanted.physics == NATIVE:
            config, workers = on_native(self._configs[name]), self._wanted.workers
            for played in play_natively(config, lambda _: self._policy, seeds, threads=workers, stop=stop):
                yield Walk(played.score.seed, played.states, played.score.fell)
            return
        kept = self._plan.kept(POLICY, name)
        for seed in seeds:
            stored = kept.load(name, seed)
            if stored is None:
                raise FileNotFoundError(
                    f"the episode of seed {seed} is gone from {kept.folder}; was it deleted by hand?"
                )
            yield Walk(seed, stored.states, stored.score.fell)

    def _natively(self, name: str, stop: StopFlag) -> dict[str, Episodes]:
        """The policy, and random actions where the native engine is asked alone."""
        config, seeds = on_native(self._configs[name]), self._wanted.seeds
        actors: dict[str, Actor] = {POLICY: lambda _: self._policy, RANDOM: uniform(self._policy.contract.action_size)}
        found = {}
        for who in actors if self._wanted.physics == NATIVE else (POLICY,):
            scores = scores_natively(config, actors[who], seeds, threads=self._wanted.workers, stop=stop)
            if len(scores) < len(seeds):
                raise Stopped("stopped before the end; there is no score")
            found[who] = {score.seed: score for score in scores}
        return found

    def _on_opensim(self, stop: StopFlag) -> dict[str, dict[str, Episodes]]:
        found: dict[str, dict[str, Episodes]] = {name: {POLICY: {}, RANDOM: {}} for name in self._configs}
        jobs = []
        for job in self._jobs():
            kept = None if self._wanted.fresh else self._plan.kept(job.who, job.task).load(job.task, job.seed)
            if kept is None:
                jobs.append(job)
            else:
                found[job.task][job.who][job.seed] = kept.score
        before = len(self._jobs()) - len(jobs)
        if before:
            self._tell(f"{before} episodes were played and kept before; --fresh plays them again")
        progress = Progress(jobs, self._tell)
        done = 0
        for job, score in play_all(self._plan, jobs, self._wanted.workers, stop):
            found[job.task][job.who][job.seed] = score
            progress(job, score)
            done += 1
        if done < len(jobs):
            raise Stopped(
                f"stopped before the end; there is no score. {before + done} of {before + len(jobs)} episodes are kept "
                "for the next time"
            )
        return found

    def _jobs(self) -> list[Job]:
        """The longest first, so that no process is left alone with one at the end."""
        names = sorted(self._configs, key=lambda name: -self._references[name].time_limit_steps)
        seeds = (*GRADER_SEEDS, *held_out(self._wanted.episodes))
        return [Job(who, name, seed) for who in (POLICY, RANDOM) for name in names for seed in seeds]

    def _round(self, name: str, episodes: Mapping[str, Episodes]) -> RoundScores:
        reference, seeds = self._references[name], held_out(self._wanted.episodes)
        ideals: dict[str, tuple[Score, Score]] = {
            "standing": (standing(reference, seeds), standing(reference, GRADER_SEEDS)),
            "blind_walking": (blind_walking(reference, seeds), blind_walking(reference, GRADER_SEEDS)),
        }
        return RoundScores(
            task=reference.task,
            steps=reference.time_limit_steps,
            seeds=seeds,
            grader=GRADER_SEEDS,
            episodes=episodes,
            ideals=ideals,
        )
