"""Scores of many bodies side by side are those of one body, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.baselines import Score
from agents.batch_evaluator import score_together
from agents.build import build_environments, confirming_environment, describe_run, evaluation_environment
from agents.config import RunConfig
from agents.evaluator import Explores, Stopped, quietly, score
from agents.official.sources import in_the_box
from agents.policy import ActingPolicy, Policy, RandomPolicy
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from agents.scoring import Scorer, at_random
from environment.prosthetics import ProstheticsEnv
from tests.bodied import body_contract, body_policy
from tests.runs import RUN, quiet_telemetry

SEEDS = (11, 22, 33, 44, 55, 66, 77)
CONFIG = RunConfig.of({"environment": {"max_steps": 170, "frame_skip": [2, 6]}})
"""Holds are drawn by the seed, so that random weights do something else on each."""


def never() -> bool:
    return False


@pytest.fixture
def run() -> Run:
    environment = ProstheticsEnv(CONFIG.environment)
    found = describe_run(RUN, CONFIG, environment)
    environment.close()
    return found


def log_of(run: Run) -> MemoryReplay:
    replay = MemoryReplay()
    replay.open_run(run)
    return replay


def alone(run: Run, policy: ActingPolicy, replay: Replay, exploration: Explores = quietly) -> Score:
    with closing(evaluation_environment(CONFIG, run)) as environment:
        writer = replay.writer(RUN, "one")
        return score(environment, policy, writer, SEEDS, environment.physics.name, never, exploration)


def together(
    run: Run,
    policy: ActingPolicy,
    replay: Replay,
    bodies: int = 3,
    seeds: Sequence[int] = SEEDS,
    exploration: Explores = quietly,
    **options: Any,
) -> Score:
    with closing(build_environments(CONFIG.environment.scored(), run, bodies)) as many:
        writers = [replay.writer(RUN, f"many/{body}") for body in range(bodies)]
        stop = options.pop("stop", never)
        return score_together(many, policy, writers, seeds, many.physics.name, stop, exploration, **options)


def test_many_bodies_score_what_one_does_to_the_last_bit(run: Run) -> None:
    policy, one, many = body_policy(2), log_of(run), log_of(run)
    expected = alone(run, policy, one)
    assert together(run, policy, many) == expected
    assert len(set(expected.returns)) == len(SEEDS), "each seed is another episode, or nothing is shown"
    theirs = {episode.start.seed: episode for episode in one.episodes_after(RUN, {})}
    episodes = many.episodes_after(RUN, {})
    assert sorted(episode.start.seed for episode in episodes) == sorted(SEEDS)
    for episode in episodes:
        other = theirs[episode.start.seed]
        assert (episode.ended, episode.start, episode.reward_terms) == (other.ended, other.start, other.reward_terms)
        assert episode.round_returns == other.round_returns != {}
        here, there = many.timesteps(episode), one.timesteps(other)
        for name in ("state", "reward", "terminated", "truncated"):
            assert getattr(here, name).tobytes() == getattr(there, name).tobytes(), name


@pytest.mark.parametrize("bodies", [1, 5, 9])
def test_how_many_there_are_makes_no_difference(run: Run, bodies: int) -> None:
    policy = body_policy(1)
    expected = together(run, policy, log_of(run), 3)
    assert together(run, policy, log_of(run), bodies) == expected
    assert together(run, policy, log_of(run), bodies, SEEDS[3:5]).returns == expected.returns[3:5]


def test_random_actions_of_a_seed_are_the_same_with_one_body_and_with_many(run: Run) -> None:
    policy = RandomPolicy(body_contract(), np.random.default_rng(0))
    expected = alone(run, policy, log_of(run), at_random)
    assert together(run, policy, log_of(run), exploration=at_random) == expected
    assert len(set(expected.lengths)) > 1, "bodies must end at different times, or nothing is shown"


def test_an_evaluation_that_is_stopped_has_no_score_and_leaves_nothing_open(run: Run) -> None:
    replay, asked = log_of(run), iter(range(1000))
    with pytest.raises(Stopped):
        together(run, body_policy(), replay, stop=lambda: next(asked) >= 5)
    assert [episode.ended for episode in replay.episodes_after(RUN, {})] == ["aborted"] * 3
    assert replay.close_abandoned(RUN) == []


def test_progress_is_told_after_every_episode(run: Run) -> None:
    told: list[Score] = []
    found = together(run, body_policy(2), log_of(run), each=told.append)
    assert [len(one.seeds) for one in told] == list(range(1, len(SEEDS) + 1))
    assert told[-1] == found
    returns = dict(zip(found.seeds, found.returns, strict=True))
    assert all(returns[seed] == value for one in told for seed, value in zip(one.seeds, one.returns, strict=True))


class Diverging(Policy):
    """It overflows at its 30th decision."""

    asked = 0

    def __call__(self, observation: Any) -> Any:
        self.asked += 1
        if self.asked == 30:
            raise FloatingPointError("the weights overflow")
        return super().__call__(observation)


def test_a_policy_that_diverges_disturbs_no_later_score(run: Run) -> None:
    good = body_policy(2)
    bad = Diverging(good.actor, good.normaliser, good.contract, version=3)
    replay = log_of(run)
    with closing(build_environments(CONFIG.environment.scored(), run, 4)) as many:
        writers = [replay.writer(RUN, f"many/{body}") for body in range(4)]
        with pytest.raises(FloatingPointError):
            score_together(many, bad, writers, SEEDS, many.physics.name, never)
        assert score_together(many, good, writers, SEEDS[:2], many.physics.name, never).seeds == SEEDS[:2]
        found = score_together(many, good, writers, SEEDS, many.physics.name, never)
    assert found == alone(run, good, log_of(run))


def test_the_evaluator_plays_together_what_it_scores_and_what_it_confirms_on_the_native_engine(tmp_path: Path) -> None:
    """The policy in the box, long enough for targets to change."""
    evaluation = {
        "seeds": list(SEEDS[:3]),
        "confirm_episodes": 2,
        "confirm_physics": "native",
        "confirm_accuracy": 1e-4,
    }
    config = RunConfig.of({"environment": {"max_steps": 450}, "evaluation": evaluation})
    policy, replays, found = in_the_box().policy, [MemoryReplay(), MemoryReplay()], []
    environment = ProstheticsEnv(config.environment)
    run = describe_run(RUN, config, environment)
    environment.close()
    for replay, many in zip(replays, (True, False), strict=True):
        replay.open_run(run)
        bodies = () if many else (evaluation_environment(config, run), confirming_environment(config, run))
        with closing(Scorer(run, config, replay, quiet_telemetry(tmp_path, "evaluator"), never, *bodies)) as scorer:
            found.append((scorer.evaluate(policy, SEEDS[:3]), scorer.baselines(SEEDS[:3])))
    together, alone = found
    assert together == alone
    assert len(set(together[0].score.returns)) == 3
    assert together[0].confirmation is not None
    assert together[0].confirmation.seeds == SEEDS[:2]
    assert together[0].reference.endswith("/0.0001")
    workers = [{episode.worker for episode in replay.episodes_after(RUN, {})} for replay in replays]
    assert workers == [{"evaluator", "evaluator/1", "evaluator/2"}, {"evaluator"}]
