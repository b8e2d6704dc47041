"""LOOP 3: checkpoint -> noise-free episodes on fixed seeds -> score, beside the baselines on the same seeds.

What of these scores may be called best is told in `confirmation.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from agents.actor import Environment, EpisodePlan, Stop, play
from agents.baselines import Score
from agents.exploration.contract import Exploration
from agents.exploration.none import NoExploration
from agents.policy import ActingPolicy
from agents.replay.contract import EpisodeWriter, Replay
from agents.replay.runs import ABORTED, Episode

log = logging.getLogger(__name__)

EVALUATED = "evaluated"
EVALUATING = "evaluating"
"""Noted before a version is loaded to be scored, so that retention does not delete it meanwhile."""
BASELINES = "baselines"
CONFIRMED = "confirmed"
NOT_CONFIRMED = "not_confirmed"
"""A score that beat the best so far was played again on the reference physics: it is best there too, or it is not."""


Explores = Callable[[int], Exploration]
"""The exploration of the episode of a seed."""


class Stopped(Exception):
    """The evaluation was stopped in the middle; there is no score."""


def quietly(seed: int) -> Exploration:
    """The policy's own actions."""
    return NoExploration()


def score(
    environment: Environment,
    policy: ActingPolicy,
    writer: EpisodeWriter,
    seeds: Sequence[int],
    physics: str,
    stop: Stop,
    exploration: Explores = quietly,
    each: Callable[[Score], None] = lambda _: None,
) -> Score:
    """Plays one episode per seed into the log, marked `evaluate` and so never trained on.

    `each` hears of the score so far after every episode. Raises: Stopped.
    """
    found: dict[int, Episode] = {}
    for place, seed in enumerate(seeds):
        plan = EpisodePlan(seed, exploration(seed), "evaluate")
        found[place] = play(environment, policy, writer, plan, physics, stop)
        if found[place].ended == ABORTED:
            raise Stopped("stopped in the middle of an evaluation; there is no score")
        each(score_of(seeds, found))
    return score_of(seeds, found)


def score_of(seeds: Sequence[int], found: Mapping[int, Episode]) -> Score:
    """Of finished episodes by the place of their seed, in the order of the seeds."""
    places = sorted(found)
    return Score(
        tuple(seeds[place] for place in places),
        tuple(found[place].episode_return for place in places),
        tuple(found[place].length for place in places),
        tuple(found[place].terminated for place in places),
    )


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
