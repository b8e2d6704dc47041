"""Many scored episodes in processes of their own: OpenSim moves one body at a time, on one core."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from agents.evaluator import Stopped
from agents.official.episode import EpisodeScore
from agents.official.kept import KeptEpisodes
from agents.official.rules import Actor, uniform
from agents.official.single import play_alone
from agents.policy_file import policy_from
from agents.stopping import StopFlag, end_with_parent
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv

POLICY, RANDOM = "policy", "random"
_LOOK_EVERY_S = 0.5


class ScoringDied(Stopped):
    """A process died in the middle of an episode; there is no score. The finished episodes are kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """One episode."""

    who: str
    """`policy` or `random`."""
    task: str
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What the processes need to know, once."""

    policy: bytes = field(repr=False)
    """As `agents.policy_file` writes it."""
    configs: Mapping[str, EnvironmentConfig]
    """By task."""
    folders: Mapping[tuple[str, str], Path]
    """Where episodes are kept, by who and task. Named once: each process would name them by the code it has loaded."""

    def kept(self, who: str, task: str) -> KeptEpisodes:
        """The episodes of one actor in one task."""
        return KeptEpisodes(self.folders[who, task])


def play_all(plan: Plan, jobs: Sequence[Job], workers: int, stop: StopFlag) -> Iterator[tuple[Job, EpisodeScore]]:
    """Plays all jobs in `workers` processes and yields each with its score, in the order in which they end.

    Ends early, within a decision, when `stop` says so. Every finished episode is kept at once.

    Raises: ScoringDied.
    """
    # Spawned: a forked OpenSim or torch may hold locks of threads that are not there.
    context = multiprocessing.get_context("spawn")
    asked = context.Event()
    done = 0
    with ProcessPoolExecutor(
        min(workers, max(1, len(jobs))), context, initializer=_begin, initargs=(plan, asked)
    ) as pool:
        open_: dict[Future[EpisodeScore | None], Job] = {pool.submit(_play, job): job for job in jobs}
        try:
            while open_ and not stop():
                finished, _ = wait(open_, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    job, score = open_.pop(future), future.result()
                    if score is not None:
                        done += 1
                        yield job, score
        except BrokenProcessPool as error:
            raise ScoringDied(
                f"a scoring process died in the middle of an episode; {done} of {len(jobs)} are finished and kept. "
                "Was it killed for memory? The same command goes on, best with fewer --workers"
            ) from error
        finally:
            asked.set()
            pool.shutdown(wait=True, cancel_futures=True)


class _Scorer:
    """What one process keeps between episodes."""

    def __init__(self, plan: Plan, asked: Event) -> None:
        self.plan, self.asked = plan, asked
        self._environments: dict[str, ProstheticsEnv] = {}
        policy, _ = policy_from(plan.policy, "the policy")
        self._actors: dict[str, Actor] = {
            POLICY: lambda _: policy,
            RANDOM: uniform(policy.contract.action_size),
        }

    def play(self, job: Job) -> EpisodeScore | None:
        """None when it was stopped."""
        if job.task not in self._environments:
            self._environments[job.task] = ProstheticsEnv(self.plan.configs[job.task])
        played = play_alone(self._environments[job.task], self._actors[job.who], job.seed, self.asked.is_set)
        if played is None:
            return None
        self.plan.kept(job.who, job.task).save(played)
        return played.score


_scorer: _Scorer | None = None


def _begin(plan: Plan, asked: Any) -> None:
    global _scorer  # a pool hands its processes' state to their tasks in no other way
    import torch

    torch.set_num_threads(1)
    # Ctrl-C reaches the whole group; the parent tells this process when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _scorer = _Scorer(plan, asked)


def _play(job: Job) -> EpisodeScore | None:
    assert _scorer is not None
    return _scorer.play(job)
