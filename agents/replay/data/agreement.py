"""Where an episode's document and timesteps say different things, beyond what `agents.analysis` looks at."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agents.analysis import Finding
from agents.replay.columns import EpisodeTimesteps
from agents.replay.guards import RANGE_TOLERANCE
from agents.replay.ids import EPISODE_BITS
from agents.replay.runs import Episode

_SUM_TOLERANCE = 1e-6


def disagreements(episode: Episode, steps: EpisodeTimesteps) -> Iterator[Finding]:
    """Intended actions that no policy takes, flags and sums that differ."""
    action = steps.policy_action
    inside = np.abs(action) <= 1.0 + RANGE_TOLERANCE
    yield from _at(episode, "policy_action", action, ~inside, "outside -1..1")
    yield from _at(episode, "policy_action", action[:1], (action[:1] != 0.0) & inside[:1], "nobody acts at the reset")
    if episode.length and not steps.decision[1]:
        yield Finding(episode.id, 1, "decision", 0.0, "there is nothing to hold after a reset")
    for name in ("terminated", "truncated"):
        said, found = getattr(episode, name), bool(getattr(steps, name)[-1])
        if said != found:
            yield Finding(episode.id, -1, name, float(found), f"the episode's document says {said}")
    total = math.fsum(episode.reward_terms.values())
    if not math.isclose(total, episode.episode_return, rel_tol=_SUM_TOLERANCE, abs_tol=_SUM_TOLERANCE):
        yield Finding(episode.id, -1, "reward_terms", total, f"the return is {episode.episode_return:g}")
    if episode.writer != episode.id >> EPISODE_BITS:
        problem = f"the episode's number is of writer {episode.id >> EPISODE_BITS}"
        yield Finding(episode.id, -1, "writer", float(episode.writer), problem)


def _at(
    episode: Episode, name: str, values: NDArray[np.float32], wrong: NDArray[np.bool_], problem: str
) -> Iterator[Finding]:
    if wrong.any():
        for row, column in np.argwhere(wrong).tolist():
            yield Finding(episode.id, row, f"{name}/{column}", float(values[row, column]), problem)
