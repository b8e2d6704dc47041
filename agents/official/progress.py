"""How far a long scoring is, a line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from agents.official.episode import EpisodeScore
from agents.official.processes import RANDOM, Job
from environment.tasks import task

_EVERY_S = 5.0
_RANDOM_STEPS = 100.0
"""After so many a random policy has fallen."""


class Progress:
    """Tells of episodes as they end, and of the time that is left."""

    def __init__(self, jobs: Sequence[Job], tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic):
        """`tell` takes a line; `clock` gives seconds."""
        self._left, self._tell, self._clock = list(jobs), tell, clock
        self._count, self._started_s, self._told_s = len(jobs), clock(), -_EVERY_S
        self._lengths: dict[tuple[str, str], list[int]] = {}

    def __call__(self, job: Job, score: EpisodeScore) -> None:
        """An episode has ended."""
        self._left.remove(job)
        self._lengths.setdefault((job.who, job.task), []).append(score.length)
        now_s = self._clock()
        if now_s - self._told_s < _EVERY_S and self._left:
            return
        self._told_s = now_s
        who = "" if job.who != RANDOM else "random, "
        self._tell(
            f"{self._count - len(self._left)} of {self._count} episodes: {who}{task(job.task).reward} seed {job.seed}: "
            f"{score.episode_return:,.0f}, {score.length} steps, {score.distance_m:.1f} m; {self._remaining(now_s)}"
        )

    def _remaining(self, now_s: float) -> str:
        done = sum(sum(lengths) for lengths in self._lengths.values())
        seconds = (now_s - self._started_s) * sum(map(self._expected, self._left)) / max(done, 1)
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"

    def _expected(self, job: Job) -> float:
        """Control steps: as many as those before it took, else all that it may take."""
        lengths = self._lengths.get((job.who, job.task))
        if lengths:
            return sum(lengths) / len(lengths)
        return _RANDOM_STEPS if job.who == RANDOM else task(job.task).time_limit_steps
