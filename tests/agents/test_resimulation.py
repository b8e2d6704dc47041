"""Stored episodes on another physics: worked by hand on the fake body, and OpenSim against itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pymongo import MongoClient

from agents.__main__ import main
from agents.actor import EpisodePlan, play
from agents.build import build_environment, contract_of, create_run
from agents.config import RunConfig
from agents.divergence import as_document, as_text, left_out_text, row, summary
from agents.episode_choice import ordinary, select
from agents.exploration.none import NoExploration
from agents.exploration.uniform import UniformActions
from agents.policy import RandomPolicy
from agents.replay.contract import Replay
from agents.replay.ids import timestep_id
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode, Run
from agents.resimulation import HELD_STEPS, Divergence, Refused, Resimulator, resimulate
from environment.physics.contract import Physics
from environment.rewards import TASK_REWARDS
from tests.fakes import FakePhysics
from tests.runs import RUN, fake_environment, open_run, small_config

Float64 = NDArray[np.float64]

STANDING = (1.0, 0.0, 0.5, 0.2)
"""Actions of the fake body's muscles: it keeps its height and drifts along."""
SINKING = (-0.9, 1.0, -1.0, -1.0)
"""It loses 4.5 mm of height a step: 0.94 m pass 0.6 m at the 76th step."""
ROUNDING_MM = 1e-3


class Constant:
    """A policy that always does the same."""

    version = 0

    def __init__(self, action: Sequence[float]) -> None:
        self._action = np.array(action, np.float32)

    def __call__(self, observation: Any) -> NDArray[np.float32]:
        return self._action

    def check(self, needed: Any, **_: Any) -> None:
        raise AssertionError("not asked here")


class Altered(FakePhysics):
    """The fake body with something different: `alter(values by name, step)` changes what its states say."""

    name = "fake/altered"

    def __init__(self, alter: Callable[[dict[str, float], int], None], **fake: Any) -> None:
        self._alter = alter
        super().__init__(**fake)

    def _vector(self, acceleration: float) -> Float64:
        values = dict(zip(self.layout.names, super()._vector(acceleration).tolist(), strict=True))
        self._alter(values, self._step)
        return np.array(list(values.values()))


class Sagging(FakePhysics):
    """Loses some more height at every step."""

    name = "fake/sagging"

    def __init__(self, extra_m: float) -> None:
        super().__init__()
        self._extra_m = extra_m

    def step(self, excitation: NDArray[Any]) -> Float64:
        self._height -= self._extra_m
        return super().step(excitation)


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


def long_config(task: str = "prosthetics-round1", steps: int = 150) -> RunConfig:
    plain = small_config(task).plain()
    plain["environment"]["max_steps"] = steps
    return RunConfig.of(plain)


def record(
    replay: Replay,
    config: RunConfig,
    action: Sequence[float] = STANDING,
    *,
    seed: int = 1,
    stop_at: float = float("inf"),
    **fake: Any,
) -> tuple[Run, Episode]:
    """One episode of the fake body in the log."""
    run = open_run(replay, config)
    environment = fake_environment(config.environment, **fake)
    plan = EpisodePlan(seed, NoExploration())
    asked = iter(range(100_000))
    writer = replay.writer(RUN, f"w{seed}")
    return run, play(environment, Constant(action), writer, plan, "fake/point", lambda: next(asked) >= stop_at)


def resimulator(run: Run, physics: Physics) -> Resimulator:
    reward = TASK_REWARDS[run.task.rpartition("-")[2]]
    return Resimulator(run, reward(physics.layout.with_target()), physics)


def again(replay: Replay, run: Run, physics: Physics, *episodes: Episode) -> list[Divergence | Refused]:
    return list(resimulate(replay, episodes, resimulator(run, physics), lambda: False))


def compared(replay: Replay, run: Run, physics: Physics, episode: Episode) -> Divergence:
    (found,) = again(replay, run, physics, episode)
    assert isinstance(found, Divergence)
    return found


def refused(replay: Replay, run: Run, physics: Physics, episode: Episode) -> str:
    (found,) = again(replay, run, physics, episode)
    assert isinstance(found, Refused)
    assert found.episode == episode.id
    return found.reason


def test_the_same_physics_comes_apart_by_no_more_than_the_stored_precision(replay: MemoryReplay) -> None:
    config = long_config()
    run = open_run(replay, config)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    writer, environment = replay.writer(RUN, "w"), fake_environment(config.environment)
    plan = EpisodePlan(5, UniformActions(np.random.default_rng(5)))
    episode = play(environment, policy, writer, plan, environment.physics.name, lambda: False)
    found = compared(replay, run, FakePhysics(), episode)
    assert 0 < found.com_largest_mm < ROUNDING_MM
    assert found.return_off < 1e-6
    assert found.worst_relative < 1e-7
    assert (found.steps, found.steps_compared) == (150, 150)
    assert (found.stored_physics, found.reference_physics) == ("fake/point", "fake/point")
    assert found.reference_failure is None
    assert found.same_fall


def test_an_evaluation_is_paid_by_the_task_s_own_reward_there_as_well(replay: MemoryReplay) -> None:
    plain = long_config("prosthetics-round2").plain()
    plain["environment"]["reward"] = "round1"
    config = RunConfig.of(plain)
    run, writer = open_run(replay, config), replay.writer(RUN, "w")
    physics = FakePhysics()
    layout = physics.layout.with_target()
    both = Resimulator(run, TASK_REWARDS["round1"](layout), physics, TASK_REWARDS["round2"](layout))
    returns = []
    plans = EpisodePlan(5, NoExploration()), EpisodePlan(5, NoExploration(), "evaluate")
    for plan, settings in zip(plans, (config.environment, config.environment.scored()), strict=True):
        episode = play(fake_environment(settings), Constant(STANDING), writer, plan, "fake/point", lambda: False)
        (found,) = resimulate(replay, [episode], both, lambda: False)
        assert isinstance(found, Divergence)
        assert found.return_off < 1e-6
        returns.append(found.return_reference)
    assert abs(returns[0] - returns[1]) > 100


def test_distances_are_worked_from_the_centres_of_mass(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())

    def away(values: dict[str, float], step: int) -> None:
        # A millimetre a step along a 3-4-5 triangle, back at the last step.
        apart_m = 0.001 * step if step < 150 else 0.0021
        values["misc/mass_center_pos/x"] += 0.6 * apart_m
        values["misc/mass_center_pos/z"] += 0.8 * apart_m

    found = compared(replay, run, Altered(away), episode)
    assert found.com_largest_mm == pytest.approx(149.0, abs=ROUNDING_MM)
    assert found.com_first_second_mm == pytest.approx(100.0, abs=ROUNDING_MM)
    assert found.com_final_mm == pytest.approx(2.1, abs=ROUNDING_MM)
    assert found.return_off < 1e-6


def test_the_reference_earns_what_its_own_states_are_worth(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())

    def faster(values: dict[str, float], step: int) -> None:
        values["body_vel/pelvis/x"] += 0.5 if step else 0.0

    found = compared(replay, run, Altered(faster), episode)
    speed = replay.timesteps(episode).state[1:, list(run.state_names).index("body_vel/pelvis/x")].astype(float)
    assert found.return_stored == pytest.approx(episode.episode_return)
    assert found.return_reference == pytest.approx(float((9.0 - (speed + 0.5 - 3.0) ** 2).sum()), rel=1e-6)
    assert found.return_off == pytest.approx(abs(found.return_reference / found.return_stored - 1.0))


def test_the_stored_targets_are_those_that_the_reference_is_paid_by(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config("prosthetics-round2", 1000), seed=33)
    targets = replay.timesteps(episode).state[:, -3:]
    assert len(np.unique(targets, axis=0)) > 2, "the targets change"
    assert compared(replay, run, FakePhysics(), episode).return_off < 1e-6


def test_the_number_that_is_furthest_off_is_named(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())

    def kicked(values: dict[str, float], step: int) -> None:
        values["forces/foot_l/ground.force.Y"] = 50.0 if step == 7 else 100.0
        values["misc/mass_center_pos/y"] += 0.001 if step else 0.0

    stored_index = list(run.state_names).index("forces/foot_l/ground.force.Y")
    for step in range(episode.length + 1):
        replay._timesteps[timestep_id(episode.id, step)]["state"][..., stored_index] = 100.0
    found = compared(replay, run, Altered(kicked), episode)
    assert (found.worst_entry, found.worst_step) == ("forces/foot_l/ground.force.Y", 7)
    assert found.worst_relative == pytest.approx(0.5)


def test_a_reference_that_falls_earlier_is_compared_up_to_its_fall(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config(), SINKING)
    assert (episode.ended, episode.length) == ("fall", 76)
    found = compared(replay, run, Sagging(0.005), episode)
    assert (found.fall_step_stored, found.fall_step_reference) == (76, 36)
    assert (found.steps, found.steps_compared) == (76, 36)
    assert not found.same_fall
    # Pelvis and centre of mass sink alike in this body: 5 mm a step.
    assert found.com_largest_mm == pytest.approx(36 * 5.0, abs=ROUNDING_MM)
    stored = replay.timesteps(episode).reward[1:37].sum()
    assert found.return_reference == pytest.approx(stored, rel=1e-6), "its velocity is the stored one's"


def test_a_reference_that_falls_later_is_seen_to_fall_while_the_last_action_is_held(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config(), SINKING)
    found = compared(replay, run, Sagging(-0.001), episode)
    assert (found.fall_step_stored, found.fall_step_reference) == (76, 98)
    assert found.steps_compared == 76
    never = Sagging(-0.0025)
    found = compared(replay, run, never, episode)
    assert (found.fall_step_stored, found.fall_step_reference) == (76, None)
    assert never.steps == 76 + HELD_STEPS
    assert not found.same_fall
    assert found.return_off < 1e-6, "steps that are not stored are not paid"


def test_a_fall_that_rounding_would_lift_over_the_threshold_is_still_a_fall(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config(), (-1.0, 1.0, -1.0, -1.0))
    height = replay.timesteps(episode).state[-1, list(run.state_names).index("body_pos/pelvis/y")]
    assert episode.ended == "fall"
    assert height >= 0.6, "as it is stored"
    found = compared(replay, run, FakePhysics(), episode)
    assert (found.fall_step_stored, found.fall_step_reference) == (68, 68)


def test_a_height_at_the_threshold_is_no_fall_where_the_episode_was_cut(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())
    height = list(run.state_names).index("body_pos/pelvis/y")
    replay._timesteps[timestep_id(episode.id, 150)]["state"][..., height] = 0.6
    assert episode.ended == "time_limit"
    assert compared(replay, run, FakePhysics(), episode).fall_step_stored is None


def test_an_episode_that_stays_up_is_not_held_on(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())
    physics = FakePhysics()
    found = compared(replay, run, physics, episode)
    assert (found.fall_step_stored, found.fall_step_reference, found.same_fall) == (None, None, True)
    assert physics.steps == 150


def test_aborted_episodes_and_simulator_failures_are_played_as_far_as_they_go(replay: MemoryReplay) -> None:
    run, aborted = record(replay, long_config(), stop_at=5)
    _, failed = record(replay, long_config(), seed=2, fails_at=31)
    assert (aborted.ended, failed.ended[:15]) == ("aborted", "simulator_error")
    first, second = again(replay, run, FakePhysics(), aborted, failed)
    assert isinstance(first, Divergence)
    assert isinstance(second, Divergence)
    assert (first.steps, first.steps_compared, first.ended) == (20, 20, "aborted")
    assert (second.steps, second.steps_compared) == (30, 30)
    assert max(first.com_largest_mm, second.com_largest_mm) < ROUNDING_MM
    assert max(first.return_off, second.return_off) < 1e-6


def test_an_episode_stopped_at_its_reset_has_nothing_to_compare(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config(), stop_at=0)
    assert episode.length == 0
    assert refused(replay, run, FakePhysics(), episode) == "it has no control steps"


def test_a_reference_that_fails_is_compared_up_to_there(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())
    found = compared(replay, run, FakePhysics(fails_at=10), episode)
    assert (found.steps, found.steps_compared) == (150, 9)
    assert "control step 10: the fake body was told to fail" in str(found.reference_failure)
    assert found.return_reference == pytest.approx(replay.timesteps(episode).reward[1:10].sum(), rel=1e-6)
    assert "failed at once" in refused(replay, run, FakePhysics(fails_at=1), episode)


def test_an_episode_that_starts_elsewhere_is_refused_by_name(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())

    def higher(values: dict[str, float], step: int) -> None:
        values["joint_pos/ground_pelvis/pelvis_ty"] += 1e-5

    reason = refused(replay, run, Altered(higher), episode)
    assert "starts elsewhere" in reason
    assert "joint_pos/ground_pelvis/pelvis_ty is 0.94, at the reset 0.94001" in reason

    def unstable(values: dict[str, float], step: int) -> None:
        values["joint_vel/knee_r/knee_angle_r"] = float("nan")

    assert "joint_vel/knee_r/knee_angle_r is 0, at the reset nan" in refused(replay, run, Altered(unstable), episode)


def test_a_difference_below_the_stored_precision_is_no_other_start(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())

    def rounded(values: dict[str, float], step: int) -> None:
        values["joint_pos/ground_pelvis/pelvis_ty"] *= 1 + 1e-7

    assert isinstance(compared(replay, run, Altered(rounded), episode), Divergence)


def test_stored_values_that_can_not_be_are_refused_and_the_next_episode_is_played(replay: MemoryReplay) -> None:
    config = long_config()
    run, pushed = record(replay, config)
    _, lost = record(replay, config, seed=2)
    _, whole = record(replay, config, seed=3)
    replay._timesteps[timestep_id(pushed.id, 12)]["action"][..., 1] = 1.5
    replay._timesteps[timestep_id(lost.id, 13)]["state"][..., 0] = np.nan
    first, second, third = again(replay, run, FakePhysics(), pushed, lost, whole)
    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert isinstance(third, Divergence)
    assert "step 12 is no excitation: excitation of muscle 1 is 1.5" in first.reason
    assert second.reason == "the state stored of step 13 is not finite"
    assert third.com_largest_mm < ROUNDING_MM


def test_a_physics_of_another_body_is_refused_at_once(replay: MemoryReplay) -> None:
    run, _ = record(replay, long_config())
    others = (
        replace(run, model_sha256="1" * 64),
        replace(run, action_names=("a", "b", "c", "d")),
        replace(run, layout_sha256="2" * 64),
    )
    for other in others:
        with pytest.raises(ValueError, match="of fake/point are not those of run 'small'"):
            resimulator(other, FakePhysics())


def test_a_stop_ends_between_two_control_steps(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config())
    physics, asked = FakePhysics(), iter(range(1000))
    found = resimulate(replay, [episode, episode], resimulator(run, physics), lambda: next(asked) >= 21)
    assert list(found) == []
    assert physics.steps == 20


def test_episodes_are_chosen_by_age_by_return_or_by_id(replay: MemoryReplay) -> None:
    config = long_config()
    episodes = [record(replay, config, action, seed=seed)[1] for seed, action in enumerate((STANDING, SINKING), 1)]
    episodes.append(record(replay, config, (1.0, 1.0, -1.0, -1.0), seed=3)[1])
    ids = [episode.id for episode in episodes]
    returns = [episode.episode_return for episode in episodes]
    order = list(np.argsort(returns))

    def chosen(count: int, by: str) -> list[int]:
        return [ids.index(episode.id) for episode in select(episodes, count, by)]

    assert chosen(2, "newest") == [2, 1]
    assert chosen(2, "worst") == order[:2]
    assert chosen(9, "best") == order[::-1]
    assert select(episodes, 1, "newest", [ids[2], ids[0]]) == [episodes[2], episodes[0]]
    with pytest.raises(KeyError, match="no episode 7"):
        select(episodes, 1, "newest", [ids[0], 7])


def test_aborted_episodes_and_those_played_on_a_reference_already_are_left_out_and_counted(
    replay: MemoryReplay,
) -> None:
    config = long_config()
    run, whole = record(replay, config)
    _, aborted = record(replay, config, seed=2, stop_at=3)
    scored = replace(whole, id=7, start=replace(whole.start, purpose="evaluate"))
    confirming = replace(scored, id=8, start=replace(scored.start, physics="opensim/tight"))
    official = replace(scored, id=9, start=replace(scored.start, physics="opensim/official"))
    trained_elsewhere = replace(whole, id=10, start=replace(whole.start, physics="fake/older"))
    kept, left_out = ordinary([whole, aborted, scored, confirming, official, trained_elsewhere], run.physics)
    assert [episode.id for episode in kept] == [whole.id, 7, 10]
    assert left_out == {"aborted": 1, "evaluated_on_another_physics": 2}
    assert left_out_text(left_out) == "left out: 1 aborted, 2 evaluated on another physics; --ids takes any"
    assert left_out_text({"aborted": 0, "evaluated_on_another_physics": 0}) == ""


def test_the_summary_gives_median_and_worst_and_what_could_not_be_compared(replay: MemoryReplay) -> None:
    run, episode = record(replay, long_config(), SINKING)
    first = compared(replay, run, FakePhysics(), episode)
    sizes = {2: 1.0, 3: 2.0, 4: 30.0}
    others = [replace(first, episode=id, com_largest_mm=size, fall_step_reference=77) for id, size in sizes.items()]
    found: list[Divergence | Refused] = [replace(first, episode=1), *others, Refused(5, "steps are missing")]
    told = summary("fake/point", found)
    assert told["com_largest_mm"]["median"] == pytest.approx(1.5)
    assert (told["com_largest_mm"]["worst"], told["worst_episode"]) == (30.0, 4)
    assert (told["episodes"], told["not_replayable"], told["same_fall"]) == (4, 1, 1)
    text = as_text(told)
    assert "4 episodes, 304 steps of fake/point on fake/point, 1 not replayable" in text
    assert "1.5 mm (median), 30 mm (worst, episode 4)" in text
    assert "same fall step in 1 of 4" in text
    assert "float32" in text
    assert row(found[-1]).lstrip() == "5 not replayable: steps are missing"
    assert "76/76" in row(found[1])
    assert "76, 77" in row(found[1])
    document = as_document(RUN, "fake/point", found, {"aborted": 3})
    assert document["summary"]["left_out"] == {"aborted": 3}
    assert json.loads(json.dumps(document)) == document
    assert [item["episode"] for item in document["episodes"]] == [1, 2, 3, 4]
    assert "none of 1 episodes could be compared" in as_text(summary("fake/point", [found[-1]]))


@pytest.fixture
def real_replay(mongodb_uri: str, database_name: str) -> Iterator[MongoReplay]:
    with closing(MongoReplay(mongodb_uri, database_name)) as log:
        yield log


@pytest.mark.mongo
def test_an_episode_with_missing_timesteps_is_told_and_the_others_are_played(
    real_replay: MongoReplay, mongodb_uri: str, database_name: str
) -> None:
    config = long_config()
    run, torn = record(real_replay, config)
    _, whole = record(real_replay, config, seed=2)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        steps = client[database_name].timesteps
        assert steps.delete_many({"_id": {"$in": [timestep_id(torn.id, step) for step in (40, 41)]}}).deleted_count == 2
    first, second = again(real_replay, run, FakePhysics(), torn, whole)
    assert isinstance(first, Refused)
    assert "found 149 timesteps, needed 151; missing steps 40, 41" in first.reason
    assert isinstance(second, Divergence)
    assert second.com_largest_mm < ROUNDING_MM


@pytest.mark.opensim
@pytest.mark.mongo
@pytest.mark.s3
def test_opensim_repeats_a_stored_episode_to_the_stored_precision_and_another_setting_comes_near(
    real_replay: MongoReplay,
    mongodb_uri: str,
    database_name: str,
    s3_bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = {"MONGODB_URI": mongodb_uri, "MONGODB_DATABASE": database_name, "S3_BUCKET": s3_bucket}
    for name, value in (settings | {"DATA_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    plain = {"task": "prosthetics-round2", "max_steps": 40, "physics": "opensim", "integrator": "SemiExplicitEuler2"}
    config = RunConfig.of({"environment": plain | {"accuracy": 1e-3}})
    run = create_run("walk", config, real_replay)
    environment = build_environment(config.environment, run)
    policy = RandomPolicy(contract_of(run, config), np.random.default_rng(0))
    plan = EpisodePlan(3, UniformActions(np.random.default_rng(3)), "explore")
    episode = play(environment, policy, real_replay.writer("walk", "w"), plan, environment.physics.name, lambda: False)
    writer = real_replay.writer("walk", "other")
    scored = EpisodePlan(4, NoExploration(), "evaluate")
    confirming = play(environment, policy, writer, scored, "opensim/another", lambda: False)
    asked = iter(range(100))
    play(environment, policy, writer, plan, environment.physics.name, lambda: next(asked) >= 2)
    environment.close()

    def resimulated(*arguments: str) -> dict[str, Any]:
        path = tmp_path / "found.json"
        assert main(("resimulate", "--run", "walk", "--episodes", "5", "--json", str(path), *arguments)) == 0
        (found,) = json.loads(path.read_text())["episodes"]
        assert found["episode"] == episode.id
        return dict(found)

    same = resimulated("--integrator", "SemiExplicitEuler2", "--accuracy", "1e-3")
    assert same["reference_physics"] == same["stored_physics"] == environment.physics.name
    assert same["steps_compared"] == 40
    assert same["com_largest_mm"] < ROUNDING_MM
    assert same["worst_relative"] < 1e-6
    assert same["return_off"] < 1e-6

    tight = resimulated()
    assert tight["reference_physics"] == "opensim/RungeKuttaMerson/1e-07/1ms"
    assert ROUNDING_MM < tight["com_largest_mm"] < 10.0
    assert 1e-6 < tight["return_off"] < 0.02
    noted = [event["details"] for event in real_replay.events("walk", "resimulated")]
    assert [details["reference"] for details in noted] == [same["reference_physics"], tight["reference_physics"]]

    assert [details["left_out"] for details in noted] == [{"aborted": 1, "evaluated_on_another_physics": 1}] * 2
    assert "left out: 1 aborted, 1 evaluated on another physics; --ids takes any" in capsys.readouterr().out
    assert main(("resimulate", "--run", "walk", "--ids", str(confirming.id), "--accuracy", "1e-3")) == 0
    assert "left out" not in capsys.readouterr().out
    assert main(("resimulate", "--run", "walk", "--ids", "99")) == 1
    assert "resimulate: the run has no episode 99" in capsys.readouterr().err
