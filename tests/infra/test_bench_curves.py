"""Learning curves: everyone is given the same and scored alike; who learns better is the benchmark's matter."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from agents.experience import Batch
from infra.__main__ import main
from infra.bench.curves import ours as our_curves
from infra.bench.curves import report, tasks
from infra.bench.curves.contract import Curve, Float32, Learn, Setting, Task
from infra.bench.curves.episodes import Recording, mirror_for
from infra.bench.curves.figures import rows
from infra.bench.curves.ours import AS_RUNS, PAPER, Form, Learning, ours
from infra.bench.curves.plot import plot
from infra.bench.curves.runs import all_curves, in_a_process
from infra.bench.curves.sizes import QUICK, Sizes
from infra.bench.curves.stable_baselines3 import stable_baselines3
from infra.bench.curves.tasks import EVALUATION_SEEDS, Evaluator, make
from infra.bench.report import table

SMALL = Setting(hidden=(8, 8), batch=10, learning_starts=300)
PENDULUM = Task(name="Pendulum-v1", steps=700, evaluate_every=250)


class Counting(gymnasium.Env[Float32, Float32]):
    """Observation and reward of step t: t. Falls after `seed mod 10` steps, or never and is cut off after 4."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32, dict[str, Any]]:
        super().reset(seed=seed)
        self.step_number, self.length = 0, (seed or 0) % 10
        return np.zeros(1, np.float32), {}

    def step(self, action: Float32) -> tuple[Float32, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        now = np.full(1, self.step_number, np.float32)
        return now, float(self.step_number), self.step_number == self.length, self.step_number == 4, {}


def test_actions_are_rescaled_to_what_the_task_takes() -> None:
    environment = make(PENDULUM)
    assert environment.action_space == gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    pushed, plain = environment, gymnasium.make("Pendulum-v1")
    pushed.reset(seed=0)
    plain.reset(seed=0)
    for one, action in ((pushed, 0.5), (plain, 1.0)):
        one.step(np.full(1, action, np.float32))
    np.testing.assert_allclose(pushed.unwrapped.state, plain.unwrapped.state)  # type: ignore[attr-defined]


def test_a_score_is_the_mean_return_of_whole_episodes_from_the_fixed_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "make", lambda task: Counting())
    monkeypatch.setattr(tasks, "EVALUATION_SEEDS", (1, 2, 3))
    asked: list[Float32] = []

    def act(observation: Float32) -> Float32:
        asked.append(observation)
        return np.zeros((len(observation), 2), np.float32)

    assert Evaluator(PENDULUM)(act) == pytest.approx((1 + (1 + 2) + (1 + 2 + 3)) / 3)
    assert [seen[:, 0].tolist() for seen in asked] == [[0, 0, 0], [1, 1], [2]], "those that ended are left out"


def test_the_same_policy_has_the_same_score_again_and_no_run_is_seeded_as_an_evaluation() -> None:
    evaluator = Evaluator(PENDULUM)
    scores = {evaluator(lambda seen: np.tanh(seen[:, 2:])) for _ in range(2)}
    assert len(scores) == 1
    assert not set(EVALUATION_SEEDS) & {*Sizes().seeds, *QUICK.seeds}


@pytest.mark.parametrize(("terminated", "discount"), [(True, 0.0), (False, 0.9)])
def test_what_was_played_is_what_is_learned_from_and_only_a_fall_ends_the_future(
    terminated: bool, discount: float
) -> None:
    recording = Recording(np.array([0.0], np.float32))
    for step in (1.0, 2.0, 3.0):
        recording.add(np.array([step / 4, -step / 4], np.float32), 10 * step, np.array([step], np.float32))
    mirror = mirror_for(10, 1, 2, gamma=0.9, reward_scale=0.5)
    timesteps = recording.timesteps(0, terminated=terminated)
    mirror.append(timesteps.episodes, timesteps)
    batch = mirror.sample(100, np.random.default_rng(0))
    assert (len(recording), mirror.transitions) == (3, 3)
    assert set(batch.observation[:, 0].tolist()) == {0.0, 1.0, 2.0}
    following = batch.next_observation[:, 0]
    np.testing.assert_array_equal(following, batch.observation[:, 0] + 1)
    np.testing.assert_allclose(batch.action, np.stack([following / 4, -following / 4], axis=1), atol=1e-6)
    np.testing.assert_allclose(batch.reward, 5 * following)
    np.testing.assert_allclose(batch.discount, np.where(following == 3, discount, 0.9))


@pytest.mark.parametrize("learn", [ours, stable_baselines3])
def test_everyone_is_evaluated_at_the_marks_and_makes_as_many_updates(learn: Learn) -> None:
    if learn is stable_baselines3:
        pytest.importorskip("stable_baselines3")
    curve = learn(PENDULUM, SMALL, 3)
    assert curve.steps == (250, 500) == tuple(PENDULUM.marks)
    # Episodes of 200: that which ends at 200 is of before the start, those at 400 and 600 are learned from.
    assert curve.updates == 400
    assert curve.returns[0] != curve.returns[1], "it has learned something meanwhile"
    assert all(-2000 < value < 0 for value in curve.returns)


def test_a_run_of_ours_is_repeated_by_its_seed_and_by_no_other() -> None:
    first, again, other = (ours(PENDULUM, SMALL, seed).returns for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("form", [PAPER, AS_RUNS])
def test_only_runs_defaults_penalise_and_normalise(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = mirror_for(100, 1, 1, gamma=0.9, reward_scale=form.reward_scale)
    recording = Recording(np.array([500.0], np.float32))
    for step in range(50):
        recording.add(np.zeros(1, np.float32), 1.0, np.array([501.0 + step], np.float32))
    timesteps = recording.timesteps(0, terminated=False)
    mirror.append(timesteps.episodes, timesteps)
    learning = Learning((1, 1), mirror, SMALL, 0, form)
    seen: list[Float32] = []
    update = learning.algorithm.update

    def watched(batch: Batch) -> dict[str, float]:
        seen.append(batch.observation)
        return update(batch)

    monkeypatch.setattr(learning.algorithm, "update", watched)
    learning.update()
    config: Any = learning.algorithm
    assert config.config.action_penalty == (0.0 if form is PAPER else 0.1)
    assert config.config.hidden == SMALL.hidden
    if form is PAPER:
        assert (seen[0] >= 500).all()
    else:
        assert np.std(seen[0]) == pytest.approx(1, abs=0.01), "of this batch: the statistics are of what was sampled"


def test_actions_are_random_until_learning_starts_and_then_the_policys_with_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actions: list[float] = []
    made = make(PENDULUM)
    step = made.step

    def watched(action: Float32) -> Any:
        actions.append(float(action[0]))
        return step(action)

    monkeypatch.setattr(made, "step", watched)
    monkeypatch.setattr(our_curves, "make", lambda task: made)
    ours(Task(name="Pendulum-v1", steps=390, evaluate_every=390), SMALL, 0)
    random, noisy = np.array(actions[:300]), np.array(actions[300:])
    assert len(actions) == 390
    assert np.std(random) == pytest.approx(3**-0.5, rel=0.1)
    assert np.std(noisy) == pytest.approx(SMALL.exploration_noise, rel=0.3), "around a fresh actor, which says about 0"


def fake(level: float, spread: float) -> Learn:
    """Ends at `level`, above and below by turns."""

    def learn(task: Task, setting: Setting, seed: int) -> Curve:
        end = level + spread * (-1) ** seed
        return Curve(steps=tuple(task.marks), returns=(0.0,) + (end,) * (len(task.marks) - 1), updates=1, seconds=1.0)

    return learn


def absent(task: Task, setting: Setting, seed: int) -> Curve:
    raise ImportError("No module named 'absent'")


def play(learners: dict[str, Learn]) -> tuple[list[dict[str, Any]], dict[str, float], dict[str, str]]:
    sizes = Sizes(
        tasks=(Task(name="a", steps=60, evaluate_every=10), Task(name="no simulator", steps=60, evaluate_every=10)),
        seeds=(0, 1, 2, 3),
    )
    missing: dict[str, str] = {}

    def alone(function: Any, *arguments: Any) -> Any:
        if function is tasks.random_return:
            if arguments[0].name != "a":
                raise ImportError("no MuJoCo")
            return -100.0
        return function(*arguments)

    curves, random = all_curves(sizes, learners, missing, alone)
    return curves, random, missing


def test_learners_take_turns_and_who_is_not_here_is_named_once() -> None:
    curves, random, missing = play({"x": fake(1, 0), "absent": absent, "y": fake(2, 0)})
    turns = [(name, seed) for seed, name in itertools.product(range(4), "xy")]
    assert [(one["learner"], one["seed"]) for one in curves] == turns
    assert random == {"a": -100.0}
    assert set(missing) == {"absent", "no simulator"}
    assert "peers` installs it" in missing["absent"]


@pytest.mark.parametrize(
    ("level", "reached", "within"), [(-20.0, "goal", True), (-31.0, "floor", True), (-45.0, "NOT THE FLOOR", False)]
)
def test_figures_are_of_the_last_evaluations_and_less_than_the_peer_by_more_than_chance_fails(
    level: float, reached: str, within: bool
) -> None:
    curves, random, _ = play({"ours": fake(level, 3), "peer": fake(-30, 3)})
    final, area = rows(curves, random, "ours", "peer", judged=True)
    assert (final["name"], final["value"], final["peer_value"]) == ("a, final return, ours", level, -30.0)
    assert area["value"] == pytest.approx(5 / 6 * level), "the first evaluation was 0"
    assert final["spread"] == final["peer_spread"] == pytest.approx(3 * (4 / 3) ** 0.5)
    assert final["ratio"] == pytest.approx((100 + level) / 70), "gained over random actions"
    # Two standard errors: 2 sqrt(2 · 12 / 4).
    assert final["floor"] == pytest.approx(-30 - 2 * (2 * 12 / 4) ** 0.5)
    assert (final["reached"], final["within"]) == (reached, within)
    assert "within" not in rows(curves, random, "ours", "peer", judged=False)[0]


def test_without_the_peer_ours_stands_alone() -> None:
    curves, random, _ = play({"ours": fake(5, 1), "peer": absent})
    (final, _) = rows(curves, random, "ours", "peer", judged=True)
    assert (final["value"], final["peer"], final["ratio"], final["reached"]) == (5.0, "no peer", None, None)


def test_the_report_holds_whole_curves_and_its_picture_can_be_drawn_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    learners = {name: fake(i, 1) for i, name in enumerate(report.LEARNERS)}
    monkeypatch.setattr(report, "all_curves", lambda sizes, _, missing: play(learners)[:2])
    path, picture = tmp_path / "curves.json", tmp_path / "curves.png"
    assert main(["bench", "curves", "--quick", "--json", str(path), "--plot", str(picture)]) in (0, 1)
    result = json.loads(path.read_text())
    assert len(result["curves"]) == 4 * len(learners)
    assert result["curves"][0]["steps"] == [10, 20, 30, 40, 50, 60]
    assert len(result["rows"]) == 4
    assert "final return" in table(result)
    drawn = picture.read_bytes()
    assert drawn.startswith(b"\x89PNG")
    plot(result, picture)
    assert picture.read_bytes() == drawn


@pytest.mark.parametrize("arguments", [["learner"], ["curves"]])
def test_a_picture_that_can_not_be_drawn_is_refused_before_anything_is_measured(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *arguments, "--plot", str(tmp_path / "nowhere" / "a.png")]) == 1
    said = capsys.readouterr().err
    assert ("has none" if arguments == ["learner"] else "no folder") in said


def test_a_run_in_a_process_of_its_own_has_one_thread() -> None:
    import torch

    assert in_a_process(torch.get_num_threads) == 1


def test_the_whole_benchmark_has_two_tasks_and_ten_seeds() -> None:
    sizes = Sizes()
    assert len(sizes.tasks) == 2
    assert len(set(sizes.seeds)) >= 10
    assert all(task.steps % task.evaluate_every == 0 for task in sizes.tasks), "the last evaluation is at the end"
