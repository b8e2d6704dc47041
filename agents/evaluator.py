"""LOOP 3: checkpoint -> noise-free episodes on fixed seeds -> score, beside the baselines on the same seeds.

What of these scores may be called best is told in `confirmation.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from agents.actor import Environment, EpisodePlan, Stop, play
from agents.baselines import Score
from agents.exploration.contract import Exploration
from agents.exploration.none import NoExploration
from agents.policy import ActingPolicy
from agents.replay.contract import EpisodeWriter, Replay
from agents.replay.runs import ABORTED

log = logging.getLogger(__name__)

EVALUATED = "evaluated"
EVALUATING = "evaluating"
"""Noted before a version is loaded to be scored, so that retention does not delete it meanwhile."""
BASELINES = "baselines"
CONFIRMED = "confirmed"
NOT_CONFIRMED = "not_confirmed"
"""A score that beat the best so far was played again on the reference physics: it is best there too, or it is not."""


class Stopped(Exception):
    """The evaluation was stopped in the middle; there is no score."""


def score(
    environment: Environment,
    policy: ActingPolicy,
    writer: EpisodeWriter,
    seeds: Sequence[int],
    physics: str,
    stop: Stop,
    exploration: Callable[[], Exploration] = NoExploration,
    each: Callable[[Score], None] = lambda _: None,
) -> Score:
    """Plays one episode per seed into the log, marked `evaluate` and so never trained on.

    `each` hears of the score so far after every episode. Raises: Stopped.
    """
    returns: list[float] = []
    lengths: list[int] = []
    falls: list[bool] = []
    for seed in seeds:
        plan = EpisodePlan(seed, exploration(), "evaluate")
        episode = play(environment, policy, writer, plan, physics, stop)
        if episode.ended == ABORTED:
            raise Stopped("stopped in the middle of an evaluation; there is no score")
        returns.append(episode.episode_return)
        lengths.append(episode.length)
        falls.append(episode.terminated)
        each(Score(tuple(seeds[: len(returns)]), tuple(returns), tuple(lengths), tuple(falls)))
    return Score(tuple(seeds), tuple(returns), tuple(lengths), tuple(falls))


def describe(name: str, result: Score) -> str:
    """One line for people: `policy 12: 1,273 ± 88 over 10 episodes, 100% fell`."""
    return (
        f"{name}: {result.mean:,.0f} ± {result.spread:,.0f} over {len(result.seeds)} episodes, "
        f"{100 * result.fall_rate:.0f}% fell, {sum(result.lengths) / len(result.lengths):.0f} steps on average"
    )


def known_baselines(
    replay: Replay, run: str, physics: str, seeds: Sequence[int]
) -> dict[str, dict[str, object]] | None:
    """The baselines noted for this run, if they were made with the same physics and seeds."""
    for event in reversed(replay.events(run, BASELINES)):
        details = event["details"]
        if details["physics"] == physics and details["random"]["seeds"] == list(seeds):
            return {name: details[name] for name in ("random", "standing", "blind_walking")}
    return None
