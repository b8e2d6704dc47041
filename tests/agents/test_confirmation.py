"""What may be called best: the fast engine proposes, the reference decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.baselines import Score
from agents.build import build_environment, confirming_environment, contract_of, describe_run
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import EvaluationConfig, RunConfig
from agents.confirmation import Evaluation, best_evaluation, comparable, scores_text
from agents.evaluator import CONFIRMED, EVALUATED, NOT_CONFIRMED, Stopped
from agents.policy import PolicyContract, RandomPolicy
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from agents.scoring import Scorer, score_published
from agents.telemetry import read_statuses
from environment.config import EnvironmentConfig
from environment.physics.contract import Physics
from environment.prosthetics import ProstheticsEnv
from tests.fakes import FakePhysics
from tests.runs import RUN, fresh_learner, quiet_telemetry

SEEDS = (11, 22, 33, 44, 55)
SLOW, BRISK, FAST = 0.0, 0.5, 1.0
CHEAT = (1.0, -1.0, -1.0, 1.0)
"""Stands still in truth: one muscle pushes, one pulls. `Fooled` takes it for the fastest of all."""


class Fooled(FakePhysics):
    """The fast engine: it takes the last muscle's full pull for a push."""

    name = "fooled/1"

    def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
        if excitation[3] > 0.9 and self._v < 3.0:
            self._v += 0.2
        return super().step(excitation)


class Reference(FakePhysics):
    name = "true/1"


class Walking:
    """A version of the policy that always pushes with the same strength."""

    def __init__(self, version: int, push: float | Sequence[float]) -> None:
        self.version = version
        action = (1.0, push, -1.0, -1.0) if isinstance(push, float) else push
        self._action = np.array(action, np.float32)

    def __call__(self, observation: Any) -> NDArray[np.float32]:
        return self._action

    def check(self, needed: PolicyContract, **_: Any) -> None:
        """Fits any run of the fake body."""


Make = Callable[..., Scorer]


@pytest.fixture
def make(run: Run, config: RunConfig, replay: MemoryReplay, tmp_path: Path) -> Make:
    def scorer(
        stop: Callable[[], bool] = lambda: False, reference: Physics | None = None, confirm: bool = True
    ) -> Scorer:
        telemetry = quiet_telemetry(tmp_path, "evaluator")
        fast = ProstheticsEnv(config.environment, Fooled())
        confirming = ProstheticsEnv(config.environment, reference or Reference()) if confirm else None
        return Scorer(run, config, replay, telemetry, stop, fast, confirming)

    return scorer


def noted(replay: MemoryReplay, kind: str) -> list[dict[str, Any]]:
    return [dict(event["details"]) for event in replay.events(RUN, kind)]


def best_version(replay: MemoryReplay) -> int | None:
    best = best_evaluation(noted(replay, EVALUATED))
    return None if best is None else int(best["version"])


def test_the_first_score_is_confirmed_on_the_reference_and_both_name_their_physics(
    make: Make, replay: MemoryReplay, tmp_path: Path
) -> None:
    found = make().evaluate(Walking(4, BRISK), SEEDS)
    (facts,) = noted(replay, EVALUATED)
    assert (facts["physics"], facts["reference"]) == ("fooled/1", "true/1")
    confirmation = facts["confirmation"]
    assert (confirmation["physics"], confirmation["seeds"]) == ("true/1", [11, 22, 33])
    assert (confirmation["confirmed"], confirmation["best_before"]) == (True, None)
    # These engines agree on this policy, and the seeds make no difference to it.
    assert found.confirmed
    assert confirmation["mean"] == confirmation["candidate_mean_on_these_seeds"] == facts["mean"] == found.score.mean
    (verdict,) = noted(replay, CONFIRMED)
    assert verdict["version"] == 4
    assert (verdict["candidate"]["physics"], verdict["reference"]["physics"]) == ("fooled/1", "true/1")
    assert verdict["candidate"]["mean"] == facts["mean"]
    assert read_statuses(tmp_path)["evaluator"]["evaluated"]["confirmation"]["confirmed"] is True
    assert scores_text(facts) == f"{facts['mean']:,.0f} ± 0 on fooled, {facts['mean']:,.0f} ± 0 on true"


def test_confirming_episodes_are_in_the_log_under_the_reference_s_name_and_never_trained_on(
    make: Make, replay: MemoryReplay
) -> None:
    make().evaluate(Walking(4, BRISK), SEEDS)
    episodes = replay.episodes_after(RUN, {})
    assert [(episode.start.physics, episode.start.seed) for episode in episodes] == [
        *(("fooled/1", seed) for seed in SEEDS),
        *(("true/1", seed) for seed in SEEDS[:3]),
    ]
    assert {episode.start.purpose for episode in episodes} == {"evaluate"}
    assert {episode.start.policy_version for episode in episodes} == {4}


def test_how_many_seeds_confirm_is_a_setting(run: Run, config: RunConfig, tmp_path: Path) -> None:
    for wanted, played in ((2, 2), (99, 5)):
        settings = replace(config, evaluation=replace(config.evaluation, confirm_episodes=wanted))
        bodies = ProstheticsEnv(config.environment, Fooled()), ProstheticsEnv(config.environment, Reference())
        fresh = MemoryReplay()
        fresh.open_run(run)
        scorer = Scorer(run, settings, fresh, quiet_telemetry(tmp_path, "e"), lambda: False, *bodies)
        confirmation = scorer.evaluate(Walking(1, BRISK), SEEDS).confirmation
        assert confirmation is not None
        assert confirmation.seeds == SEEDS[:played]


def test_a_score_that_does_not_beat_the_best_costs_no_episode_on_the_reference(
    make: Make, replay: MemoryReplay
) -> None:
    body = Reference()
    scorer = make(reference=body)
    scorer.evaluate(Walking(1, BRISK), SEEDS)
    played = body.steps
    assert played > 0
    for version, push in ((2, SLOW), (3, BRISK)):
        assert scorer.evaluate(Walking(version, push), SEEDS).confirmation is None
    assert body.steps == played
    assert [facts["confirmation"] is None for facts in noted(replay, EVALUATED)] == [False, True, True]
    assert best_version(replay) == 1
    assert len(noted(replay, CONFIRMED)) == 1
    assert noted(replay, NOT_CONFIRMED) == []


def test_a_score_that_only_the_fast_engine_gives_is_not_the_best(make: Make, replay: MemoryReplay) -> None:
    scorer = make()
    for version, push in ((1, SLOW), (2, CHEAT), (3, BRISK)):
        scorer.evaluate(Walking(version, push), SEEDS)
    means = [facts["mean"] for facts in noted(replay, EVALUATED)]
    assert means[1] > means[2] > means[0], "by the fast engine alone the cheat would win"
    (failed,) = noted(replay, NOT_CONFIRMED)
    assert failed["version"] == 2
    assert failed["candidate"]["mean"] == means[1]
    assert failed["candidate"]["physics"] == "fooled/1"
    assert failed["reference"]["physics"] == "true/1"
    assert failed["reference"]["mean"] < failed["reference"]["best_before"] == means[0]
    # The third is measured against the first, which stands confirmed, and not against the cheat's score.
    assert [verdict["version"] for verdict in noted(replay, CONFIRMED)] == [1, 3]
    assert noted(replay, CONFIRMED)[1]["reference"]["best_before"] == means[0]
    assert best_version(replay) == 3


def test_a_new_best_has_to_beat_the_best_on_the_reference_too_and_not_only_equal_it(
    make: Make, replay: MemoryReplay
) -> None:
    class Deaf(FakePhysics):
        """A reference on which everything comes out alike."""

        name = "deaf/1"

        def step(self, excitation: NDArray[Any]) -> NDArray[np.float64]:
            return super().step(np.array([1.0, 0.7, 0.0, 0.0]))

    scorer = make(reference=Deaf())
    for version, push in ((1, SLOW), (2, FAST)):
        scorer.evaluate(Walking(version, push), SEEDS)
    (failed,) = noted(replay, NOT_CONFIRMED)
    first = noted(replay, EVALUATED)[0]
    assert failed["version"] == 2
    assert failed["reference"]["best_before"] == first["confirmation"]["mean"] > first["mean"]
    assert best_version(replay) == 1


def test_an_evaluator_that_starts_again_knows_what_was_confirmed(make: Make, replay: MemoryReplay) -> None:
    make().evaluate(Walking(1, BRISK), SEEDS)
    body = Reference()
    make(reference=body).evaluate(Walking(2, SLOW), SEEDS)
    assert body.steps == 0


def test_a_best_on_other_seeds_or_another_reference_is_not_what_has_to_be_beaten(
    make: Make, replay: MemoryReplay
) -> None:
    class Other(FakePhysics):
        name = "true/2"

    make().evaluate(Walking(1, FAST), SEEDS)
    assert make().evaluate(Walking(2, SLOW), SEEDS).confirmation is None
    for scorer, seeds in ((make(), SEEDS[:4]), (make(reference=Other()), SEEDS)):
        found = scorer.evaluate(Walking(2, SLOW), seeds)
        assert found.confirmed
        assert found.best_before is None


def test_scores_without_a_confirming_physics_decide_by_themselves(make: Make, replay: MemoryReplay) -> None:
    scorer = make(confirm=False)
    assert scorer.reference == scorer.physics == "fooled/1"
    for version, push in ((1, SLOW), (2, CHEAT), (3, BRISK)):
        assert scorer.evaluate(Walking(version, push), SEEDS).confirmation is None
    assert best_version(replay) == 2
    assert noted(replay, CONFIRMED) + noted(replay, NOT_CONFIRMED) == []


def test_a_confirmation_that_is_stopped_ends_within_a_decision_and_the_version_is_scored_again(
    make: Make, config: RunConfig, run: Run, replay: MemoryReplay
) -> None:
    store, learner = MemoryCheckpoints(), fresh_learner(config, run)
    store.publish(RUN, learner.policy(), learner.state(), {})
    body = Reference()
    scorer = make(lambda: body.steps >= 30, reference=body)
    score_published(scorer, store, RUN, SEEDS, lambda: False)
    assert 30 <= body.steps < 30 + 4, "an action is held for 4 control steps"
    assert noted(replay, EVALUATED) == noted(replay, CONFIRMED) == noted(replay, NOT_CONFIRMED) == []
    assert replay.episodes_after(RUN, {})[-1].ended == "aborted"

    looks = iter((False, True))
    again = Reference()
    score_published(make(reference=again), store, RUN, SEEDS, lambda: next(looks))
    assert again.steps > 0
    assert [facts["version"] for facts in noted(replay, CONFIRMED)] == [1]


def test_what_is_being_confirmed_is_told(make: Make, tmp_path: Path) -> None:
    class Asking(Reference):
        def reset(self) -> NDArray[np.float64]:
            told.append(read_statuses(tmp_path)["evaluator"])
            return super().reset()

    told: list[dict[str, Any]] = []
    make(reference=Asking()).evaluate(Walking(4, BRISK), SEEDS)
    assert {status["evaluating"] for status in told} == {"policy 4 on true"}
    assert [(status["episodes_done"], status["episodes_wanted"]) for status in told] == [(0, 3), (1, 3), (2, 3)]


def document(version: int, mean: float, confirmed: float | None = None, **changes: Any) -> dict[str, Any]:
    score = {"mean": mean, "seeds": [1], "physics": "native/1", "reference": "opensim/1", "version": version}
    return score | {"confirmation": None if confirmed is None else {"mean": confirmed}} | changes


def test_the_best_is_told_by_the_reference_s_scores_alone() -> None:
    assert best_evaluation([]) is None
    assert best_evaluation([document(1, 100.0)]) is None, "nobody confirmed it"
    documents = [document(1, 100.0, 90.0), document(2, 300.0, 80.0), document(3, 900.0), document(4, 200.0, 90.0)]
    best = best_evaluation(documents)
    assert best is documents[0], "the oldest of equals"


def test_documents_of_before_there_were_two_engines_count_by_their_own_score() -> None:
    old = [
        {"mean": mean, "seeds": [1], "physics": "opensim/1", "version": version}
        for version, mean in ((1, 5.0), (2, 7.0))
    ]
    best = best_evaluation(old)
    assert best is old[1]
    assert comparable(old[0]) == comparable(document(3, 1.0, physics="opensim/1"))


def test_scores_are_compared_with_those_of_the_same_engines_and_seeds_only() -> None:
    one = document(1, 1.0)
    assert comparable(one) == comparable(document(2, 5.0, 4.0))
    for change in ({"physics": "native/2"}, {"seeds": [1, 2]}, {"reference": "opensim/2"}):
        assert comparable(one) != comparable(document(1, 1.0, **change))


def test_a_difference_between_the_engines_is_told_on_the_same_seeds() -> None:
    score = Score((1, 2, 3), (10.0, 20.0, 600.0), (9, 9, 9), (True,) * 3)
    reference = Score((1, 2), (9.0, 19.0), (9, 9), (True,) * 2)
    facts = Evaluation(score, "native/1", "opensim/1", reference, best_before=14.0).facts()
    assert facts["mean"] == 210.0
    assert facts["confirmation"]["candidate_mean_on_these_seeds"] == 15.0
    assert (facts["confirmation"]["mean"], facts["confirmation"]["confirmed"]) == (14.0, False)
    text = scores_text(facts, seeds=True)
    assert text == "210 ± 276 on native over 3 seeds, 14 ± 5 on opensim over 2 seeds (not confirmed)"


def test_two_scores_of_one_engine_are_told_apart_by_its_integration() -> None:
    score = Score((1, 2), (10.0, 20.0), (9, 9), (True,) * 2)
    facts = Evaluation(score, "native/A/1e-05", "native/A/1e-06", score, best_before=None).facts()
    assert scores_text(facts) == "15 ± 5 on native, 15 ± 5 on native/A/1e-06"


@pytest.mark.opensim
def test_nothing_is_confirmed_where_scores_are_made_on_the_reference_already() -> None:
    config = RunConfig.of({"environment": {"physics": "opensim"}})
    environment = ProstheticsEnv(config.environment)
    run = MemoryReplay().open_run(describe_run(RUN, config, environment))
    environment.close()
    assert confirming_environment(config, run) is None
    official = replace(config, evaluation=replace(config.evaluation, official=True))
    assert confirming_environment(official, run) is None


@pytest.mark.opensim
def test_scores_of_the_native_engine_are_confirmed_on_opensim_and_official_ones_are_opensim_s() -> None:
    config = RunConfig.of({"environment": {"physics": "native", "shaping": {"lean": 0.5}, "max_steps": 30}})
    environment = ProstheticsEnv(config.environment)
    run = MemoryReplay().open_run(describe_run(RUN, config, environment))
    environment.close()
    confirming = confirming_environment(config, run)
    assert confirming is not None
    assert confirming.physics.name == "opensim/RungeKuttaMerson/5e-05/1ms", "as tight as osim-rl's"
    assert (confirming.reward.name, confirming.time_limit_steps) == ("round2/1", 30)
    confirming.close()
    official = replace(config, evaluation=replace(config.evaluation, official=True))
    assert confirming_environment(official, run) is None


def test_a_tighter_integration_of_the_same_engine_can_confirm() -> None:
    config = RunConfig.of({"evaluation": {"confirm_physics": "native", "confirm_accuracy": 1e-6}})
    environment = ProstheticsEnv(config.environment)
    run = MemoryReplay().open_run(describe_run(RUN, config, environment))
    environment.close()
    confirming = confirming_environment(config, run)
    assert confirming is not None
    assert confirming.physics.name == "native/BogackiShampine32/1e-06"
    confirming.close()
    plain = replace(config, evaluation=replace(config.evaluation, confirm_accuracy=None))
    assert confirming_environment(plain, run) is None


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        ({"confirm_accuracy": 1e-3}, "opensim/RungeKuttaMerson/0.001/1ms"),
        ({"confirm_integrator": "SemiExplicitEuler2"}, "opensim/SemiExplicitEuler2/5e-05/1ms"),
        ({"confirm_physics": "native"}, "native/BogackiShampine32/1e-05"),
        ({"confirm_physics": "native", "confirm_accuracy": 1e-7}, "native/BogackiShampine32/1e-07"),
    ],
)
def test_the_setting_that_confirms_may_be_chosen(chosen: dict[str, Any], name: str) -> None:
    rollouts = EnvironmentConfig(integrator="RungeKuttaMerson", accuracy=2e-4, stale_controls=True)
    assert EvaluationConfig(**chosen).confirming(rollouts).physics_settings.name == name


@pytest.mark.opensim
def test_opensim_is_stopped_in_the_middle_of_an_episode_and_confirms_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"task": "prosthetics-round2", "physics": "opensim", "max_steps": 12}
    config = RunConfig.of({"environment": plain})
    replay = MemoryReplay()
    first = ProstheticsEnv(config.environment)
    run = replay.open_run(describe_run(RUN, config, first))
    confirming = build_environment(replace(config.environment, integrator="RungeKuttaMerson", accuracy=5e-5), run)
    steps, stops_after = 0, 3
    step = confirming.physics.step

    def counted(excitation: Any) -> Any:
        nonlocal steps
        steps += 1
        return step(excitation)

    monkeypatch.setattr(confirming.physics, "step", counted)
    scorer = Scorer(run, config, replay, quiet_telemetry(tmp_path), lambda: steps >= stops_after, first, confirming)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    with pytest.raises(Stopped):
        scorer.evaluate(policy, (11,))
    assert steps == 4, "the action that was being held"
    assert replay.events(RUN, EVALUATED) == []

    stops_after = 1000
    found = scorer.evaluate(policy, (11,))
    assert found.confirmed
    assert found.confirmation is not None
    assert found.reference == "opensim/RungeKuttaMerson/5e-05/1ms"
    assert {episode.start.physics for episode in replay.episodes_after(RUN, {})} == {found.physics, found.reference}
    scorer.close()
