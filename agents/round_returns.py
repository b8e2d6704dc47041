"""What episodes earned by the true rewards of the challenge's two rounds, whatever was learned for: computed again from
stored states, and as means over episodes for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.replay.runs import ABORTED, Episode
from environment.round_rewards import ROUNDS
from environment.state import StateLayout

RECENT = 100
"""Episodes that means of now are over."""
_ROUNDING, _SCALE = 1e-6, 10.0
"""What states lose in the log, as a part of a step's pay and of the alive bonus in it: rewards are computed from
float64. A velocity's float32 is some ten times as exact."""


def earned(layout: StateLayout, states: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """By round, (T,) what arriving at each of the states (T, S) pays; `layout` is theirs, target included."""
    arrived = np.asarray(states, np.float64)
    rewards = {name: build(layout).evaluate(arrived) for name, build in ROUNDS.items()}
    return {name: np.sum(list(terms.values()), axis=0) for name, terms in rewards.items()}


def wrong_returns(
    layout: StateLayout, episode: Episode, states: NDArray[np.floating]
) -> Iterator[tuple[str, float, str]]:
    """Round returns that the episode's states (T+1, S) do not earn: name, value found, problem.

    An episode that tells none has none; states that are not finite say nothing.
    """
    if not episode.round_returns or not np.isfinite(states).all():
        return
    for name, pay in earned(layout, states[1:]).items():
        total, told = float(pay.sum()), episode.round_returns.get(name, np.nan)
        bound = _ROUNDING * float((np.abs(pay) + _SCALE).sum())
        if not abs(total - told) <= bound:
            yield f"round_returns/{name}", total, f"the episode's document says {told:g}"


@dataclass(frozen=True, slots=True)
class Means:
    """What an episode brings on average. They start anywhere and end early: without the length a return says little."""

    episodes: int
    episode_return: float
    """By the reward that is learned for."""
    length: float
    """Control steps."""
    round_returns: Mapping[str, float]
    """By the true rewards of both rounds; empty when an episode does not tell them."""

    def document(self) -> dict[str, Any]:
        """As plain data, and back with `Means(**document)`."""
        return asdict(self)

    def text(self) -> str:
        """E.g. `63 per episode of 41 steps (round 1: 120, round 2: 312)`."""
        rounds = ", ".join(f"{title(name)}: {value:,.0f}" for name, value in self.round_returns.items())
        return f"{self.episode_return:,.0f} per episode of {self.length:,.0f} steps" + (
            f" ({rounds})" if rounds else ""
        )


def means_of(episodes: Sequence[Episode]) -> Means | None:
    """Over those that were not aborted; None when there is none."""
    whole = [episode for episode in episodes if episode.ended != ABORTED]
    return pooled([Means(1, episode.episode_return, float(episode.length), episode.round_returns) for episode in whole])


def pooled(means: Sequence[Means]) -> Means | None:
    """Over all the episodes that these are over; None when there is none."""
    if not means:
        return None
    weights = np.array([one.episodes for one in means], np.float64)

    def mean(values: Sequence[float]) -> float:
        return float(np.average(values, weights=weights))

    known = [name for name in ROUNDS if all(name in one.round_returns for one in means)]
    return Means(
        episodes=sum(one.episodes for one in means),
        episode_return=mean([one.episode_return for one in means]),
        length=mean([one.length for one in means]),
        round_returns={name: mean([one.round_returns[name] for one in means]) for name in known},
    )


def title(round_name: str) -> str:
    """`round 1` of `round1`."""
    return f"{round_name[:5]} {round_name[5:]}"
