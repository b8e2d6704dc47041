"""Scores of checkpoints and the baselines beside them: worked by hand, repeatable, and never trained on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.actor import EpisodePlan, play
from agents.baselines import Score, blind_walking, standing
from agents.build import contract_of, describe_run, evaluation_environment
from agents.checkpoints.contract import Blob
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import RunConfig
from agents.evaluator import BASELINES, EVALUATED, Stopped, describe, known_baselines, score
from agents.exploration.none import NoExploration
from agents.memory import build_mirror
from agents.policy import Policy, PolicyMismatch, RandomPolicy
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from agents.scoring import Scorer, score_published
from agents.telemetry import read_statuses
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from tests.fakes import FakePhysics
from tests.runs import RUN, explore, fake_environment, fresh_learner, open_run, quiet_telemetry, small_config

SEEDS = (11, 22, 33)


def never() -> bool:
    return False


def round2_by_hand(seed: int, vx: float, steps: int = 1000) -> float:
    """The return of a body at constant speed straight ahead, from osim-rl's definition of round 2 alone."""
    changes = set(np.cumsum(np.random.RandomState(seed).poisson(300, 10)).tolist())
    draws = random.Random(seed)
    speed, heading, total = 1.25, 0.0, 0.0
    for step in range(1, steps + 1):
        if step in changes:
            speed += draws.choice([-1, 1]) * draws.uniform(-0.5, 0.5)
            heading += draws.choice([-1, 1]) * draws.uniform(-math.pi / 8, math.pi / 8)
        total += 10 - (vx - speed * math.cos(heading)) ** 2 - (0 - speed * math.sin(heading)) ** 2
    return total


def test_standing_and_blind_walking_of_round_two_are_the_challenge_s() -> None:
    environment = fake_environment(EnvironmentConfig(task="prosthetics-round2"))
    still, blind = standing(environment, SEEDS), blind_walking(environment, SEEDS)
    assert [round(value) for value in still.returns] == [6996, 8103, 9020]
    assert [round(value) for value in blind.returns] == [9654, 9930, 9783]
    np.testing.assert_allclose(still.returns, [round2_by_hand(seed, 0.0) for seed in SEEDS])
    np.testing.assert_allclose(blind.returns, [round2_by_hand(seed, 1.25) for seed in SEEDS])
    assert still.lengths == blind.lengths == (1000, 1000, 1000)
    assert (still.fall_rate, still.seeds) == (0.0, SEEDS)


def test_standing_in_round_one_earns_nothing_and_walking_as_asked_earns_all() -> None:
    environment = fake_environment(EnvironmentConfig(task="prosthetics-round1"))
    assert standing(environment, SEEDS).returns == (0.0, 0.0, 0.0)
    assert blind_walking(environment, SEEDS).returns == (2700.0, 2700.0, 2700.0)


def test_ideals_of_a_shorter_episode_are_those_of_its_steps() -> None:
    environment = fake_environment(EnvironmentConfig(task="prosthetics-round2", max_steps=400))
    assert standing(environment, [33]).returns[0] == pytest.approx(round2_by_hand(33, 0.0, 400))
    assert standing(environment, [33]).lengths == (400,)


def test_the_facts_of_a_score_are_its_numbers() -> None:
    found = Score((1, 2), (10.0, 20.0), (100, 300), (True, False))
    assert found.facts() == {
        "episodes": 2,
        "mean": 15.0,
        "spread": 5.0,
        "fall_rate": 0.5,
        "mean_length": 200.0,
        "seeds": [1, 2],
        "returns": [10.0, 20.0],
    }
    assert describe("policy 12", found) == "policy 12: 15 ± 5 over 2 episodes, 50% fell, 200 steps on average"


Make = Callable[..., Scorer]


@pytest.fixture
def make(run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path) -> Make:
    def scorer(
        stop: Callable[[], bool] = never, environment: ProstheticsEnv | None = None, every_versions: int = 1
    ) -> Scorer:
        body = environment or fake_environment(config.environment)
        own = replace(config, evaluation=replace(config.evaluation, every_versions=every_versions))
        return Scorer(run, own, replay, quiet_telemetry(tmp_path, "evaluator"), stop, body)

    return scorer


def trained(config: RunConfig, run: Run, version: int = 1, seed: int = 3) -> Policy:
    return Policy.from_blob(fresh_learner(config, run, seed).policy(), version=version)


def test_the_same_policy_and_seeds_give_the_same_score(make: Make, config: RunConfig, run: Run) -> None:
    policy = trained(config, run)
    first = make().evaluate(policy, SEEDS)
    assert make().evaluate(policy, SEEDS) == first
    assert len(first.score.returns) == 3
    assert make().evaluate(trained(config, run, seed=4), SEEDS).score.returns != first.score.returns


def test_a_score_is_made_of_the_logged_returns_without_noise(
    make: Make, config: RunConfig, run: Run, replay: MemoryReplay, tmp_path: Path
) -> None:
    found = make().evaluate(trained(config, run, version=8), SEEDS).score
    episodes = replay.episodes_after(RUN, {})
    assert [episode.start.seed for episode in episodes] == list(SEEDS)
    assert [episode.episode_return for episode in episodes] == list(found.returns)
    assert [episode.length for episode in episodes] == list(found.lengths)
    assert {episode.start.purpose for episode in episodes} == {"evaluate"}
    assert {episode.start.exploration["kind"] for episode in episodes} == {"none"}
    assert {episode.start.policy_version for episode in episodes} == {8}
    (event,) = replay.events(RUN, EVALUATED)
    details = event["details"]
    assert details["seconds"] > 0
    engines = {"physics": "fake/point", "reference": "fake/point", "confirmation": None}
    assert {**found.facts(), **engines, "version": 8, "task": run.task} == {
        name: value for name, value in details.items() if name != "seconds"
    }
    assert read_statuses(tmp_path)["evaluator"]["evaluated"]["mean"] == found.mean


def test_the_score_of_an_episode_is_worked_from_its_states(
    make: Make, config: RunConfig, run: Run, replay: MemoryReplay
) -> None:
    found = make().evaluate(trained(config, run), [11]).score
    (episode,) = replay.episodes_after(RUN, {})
    speed = replay.timesteps(episode).state[1:, list(run.state_names).index("body_vel/pelvis/x")]
    assert found.returns[0] == pytest.approx(float((9.0 - (speed.astype(float) - 3.0) ** 2).sum()), abs=1e-3)


def test_evaluations_never_enter_the_mirror(make: Make, config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    mirror = build_mirror(config, run)
    scorer = make()
    scorer.evaluate(trained(config, run), SEEDS)
    scorer.baselines(SEEDS)
    assert mirror.follow(replay, RUN) == 0
    assert (mirror.timesteps, mirror.taken_steps) == (0, 0)
    steps = sum(episode.length for episode in explore(replay, config, run, 100))
    assert mirror.follow(replay, RUN) == steps


def test_baselines_are_made_once_and_remembered(make: Make, run: Run, replay: MemoryReplay) -> None:
    first = make().baselines(SEEDS)
    assert set(first) == {"random", "standing", "blind_walking"}
    assert {e.start.exploration["kind"] for e in replay.episodes_after(RUN, {})} == {"uniform"}
    assert len(replay.episodes_after(RUN, {})) == 3
    assert make().baselines(SEEDS) == first
    assert len(replay.events(RUN, BASELINES)) == 1
    assert len(replay.episodes_after(RUN, {})) == 3


def test_baselines_are_made_anew_for_other_seeds_and_for_another_simulator(
    make: Make, config: RunConfig, replay: MemoryReplay
) -> None:
    class Other(FakePhysics):
        name = "fake/other"

    first = make().baselines(SEEDS)
    second = make().baselines((11, 22))
    assert second["random"]["returns"] == first["random"]["returns"][:2]  # type: ignore[index]
    make(environment=ProstheticsEnv(config.environment, Other())).baselines(SEEDS)
    noted = [event["details"] for event in replay.events(RUN, BASELINES)]
    assert [(details["physics"], len(details["random"]["seeds"])) for details in noted] == [
        ("fake/point", 3),
        ("fake/point", 2),
        ("fake/other", 3),
    ]
    assert known_baselines(replay, RUN, "fake/point", SEEDS) == first
    assert known_baselines(replay, RUN, "fake/point", (22, 11)) is None


def test_a_stopped_evaluation_does_not_count(make: Make, config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    asked = iter(range(1_000))
    scorer = make(lambda: next(asked) >= 20)
    with pytest.raises(Stopped):
        scorer.evaluate(trained(config, run), SEEDS)
    assert replay.events(RUN, EVALUATED) == []
    episodes = replay.episodes_after(RUN, {})
    assert episodes[-1].ended == "aborted"
    assert len(episodes) < 3


def test_progress_is_told_after_every_episode(config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    told: list[int] = []
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    score(
        fake_environment(config.environment),
        policy,
        replay.writer(RUN, "e"),
        SEEDS,
        "fake/point",
        never,
        each=lambda so_far: told.append(len(so_far.seeds)),
    )
    assert told == [1, 2, 3]


def test_a_policy_of_another_run_is_not_scored(make: Make, replay: MemoryReplay) -> None:
    other = small_config(task="prosthetics-round2")
    stranger = trained(other, open_run(replay, other, "other"))
    with pytest.raises(PolicyMismatch, match="task is 'prosthetics-round2', needed 'prosthetics-round1'"):
        make().evaluate(stranger, SEEDS)
    assert replay.episodes_after(RUN, {}) == []


def follow(scorer: Scorer, store: MemoryCheckpoints, seeds: Sequence[int], steps: Sequence[Callable[[], Any]]) -> None:
    """Runs the evaluator's loop; before its n-th look at the store the n-th step happens."""
    left = list(steps)

    def wait() -> bool:
        if not left:
            return True
        left.pop(0)()
        return False

    score_published(scorer, store, RUN, seeds, wait)


def test_each_newest_version_is_scored_once(make: Make, config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    store, learner = MemoryCheckpoints(), fresh_learner(config, run)

    def publish(times: int = 1) -> None:
        for _ in range(times):
            store.publish(RUN, learner.policy(), learner.state(), {})

    nothing = lambda: None  # noqa: E731
    follow(make(), store, SEEDS, [nothing, publish, nothing, nothing, lambda: publish(3), nothing])
    assert [event["details"]["version"] for event in replay.events(RUN, EVALUATED)] == [1, 4]
    assert len(replay.events(RUN, BASELINES)) == 1


def test_of_every_so_many_versions_one_is_scored(make: Make, config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    store, learner = MemoryCheckpoints(), fresh_learner(config, run)

    def publish() -> None:
        store.publish(RUN, learner.policy(), learner.state(), {})

    follow(make(every_versions=5), store, SEEDS, [publish] * 8)
    follow(make(every_versions=5), store, SEEDS, [publish] * 10)
    assert [event["details"]["version"] for event in replay.events(RUN, EVALUATED)] == [1, 5, 10, 15]


def test_an_evaluator_that_starts_again_does_not_score_the_same_version_again(
    make: Make, config: RunConfig, run: Run, replay: MemoryReplay
) -> None:
    store, learner = MemoryCheckpoints(), fresh_learner(config, run)
    follow(make(), store, SEEDS, [lambda: store.publish(RUN, learner.policy(), learner.state(), {})])
    follow(make(), store, SEEDS, [lambda: None, lambda: None])
    assert [event["details"]["version"] for event in replay.events(RUN, EVALUATED)] == [1]
    follow(make(), store, (5,), [lambda: None])
    assert [event["details"]["seeds"] for event in replay.events(RUN, EVALUATED)] == [list(SEEDS), [5]]


def test_a_version_that_can_not_act_is_noted_and_the_next_one_is_scored(
    make: Make, config: RunConfig, run: Run, replay: MemoryReplay
) -> None:
    store, learner = MemoryCheckpoints(), fresh_learner(config, run)
    good = learner.policy()
    name = next(name for name in good.tensors if name.endswith("final.bias"))
    diverged = Blob({**good.tensors, name: np.full_like(good.tensors[name], np.nan)}, good.metadata)
    other = small_config(task="prosthetics-round2")
    stranger = fresh_learner(other, open_run(replay, other, "other")).policy()

    def publish(blob: Blob) -> Callable[[], object]:
        return lambda: store.publish(RUN, blob, learner.state(), {})

    steps = [publish(diverged), lambda: None, publish(stranger), lambda: None, publish(good)]
    follow(make(), store, SEEDS, steps)
    refused = [event["details"] for event in replay.events(RUN, "policy_refused")]
    assert [details["version"] for details in refused] == [1, 2]
    assert "not finite" in refused[0]["reason"]
    assert "task is" in refused[1]["reason"]
    assert [event["details"]["version"] for event in replay.events(RUN, EVALUATED)] == [3]


def test_a_damaged_version_is_left_out(make: Make, config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    store, learner = MemoryCheckpoints(), fresh_learner(config, run)
    objects: Any = store._objects

    def publish(damaged: bool) -> Callable[[], None]:
        def step() -> None:
            number = store.publish(RUN, learner.policy(), learner.state(), {}).number
            if damaged:
                objects.put(f"runs/{RUN}/versions/{number:08d}/policy.safetensors", b"rotten")

        return step

    follow(make(), store, SEEDS, [publish(True), publish(False)])
    assert [event["details"]["version"] for event in replay.events(RUN, EVALUATED)] == [2]


def test_the_evaluator_ends_well_when_it_is_stopped_in_the_middle(
    make: Make, config: RunConfig, run: Run, replay: MemoryReplay
) -> None:
    asked = iter(range(1_000))
    score_published(make(lambda: next(asked) >= 5), MemoryCheckpoints(), RUN, SEEDS, never)
    assert replay.events(RUN, BASELINES) == []
    assert replay.episodes_after(RUN, {})[-1].ended == "aborted"


@pytest.mark.opensim
def test_scores_are_made_without_shaping_aborts_or_limits_when_they_are_official() -> None:
    replay = MemoryReplay()
    plain: dict[str, Any] = {"environment": {"reward": "round1", "shaping": {"lean": 0.5}, "max_steps": 30}}

    config = RunConfig.of(plain)
    rollouts = ProstheticsEnv(config.environment)
    run = replay.open_run(describe_run(RUN, config, rollouts))
    assert run.reward == "round1/1+lean=0.5"
    rollouts.close()
    scoring = evaluation_environment(config, run)
    assert (scoring.reward.name, scoring.time_limit_steps) == ("round2/1", 30)
    scoring.close()
    official = evaluation_environment(RunConfig.of(plain | {"evaluation": {"official": True}}), run)
    assert official.reward.name == "round2/1"
    assert official.time_limit_steps == 1000
    assert official.physics.name.startswith("opensim/RungeKuttaMerson/5e-05/stale-controls")
    official.close()


def test_an_evaluation_is_marked_from_its_start(config: RunConfig, run: Run, replay: MemoryReplay) -> None:
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    writer = replay.writer(RUN, "e")
    plan = EpisodePlan(1, NoExploration(), "evaluate")
    asked = iter(range(1_000))
    play(fake_environment(config.environment), policy, writer, plan, "fake", lambda: next(asked) >= 3)
    (aborted,) = replay.episodes_after(RUN, {})
    assert (aborted.start.purpose, aborted.ended) == ("evaluate", "aborted")
    assert build_mirror(config, run).follow(replay, RUN) == 0
