"""Target-velocity schedules. Equality with osim-rl is in `test_oracle.py`."""

from __future__ import annotations

import random

import numpy as np
import pytest

from environment import targets
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.tasks import task
from environment.vector import ProstheticsVectorEnv


def changes(schedule: targets.Targets) -> list[int]:
    return (np.flatnonzero((np.diff(schedule, axis=0) != 0).any(axis=1)) + 1).tolist()


def test_round_one_asks_for_three_metres_a_second_at_every_step() -> None:
    schedule = targets.fixed(5, 300)
    assert schedule.shape == (301, 3)
    assert (schedule == [3.0, 0.0, 0.0]).all()


def test_a_schedule_has_a_row_for_the_reset_and_for_each_step() -> None:
    assert targets.poisson_changes(1, 1000).shape == (1001, 3)


def test_seed_zero_is_a_seed_like_any_other() -> None:
    zero = targets.poisson_changes(0, 1000)
    assert changes(zero)
    assert np.array_equal(zero, targets.poisson_changes(0, 1000))
    assert not np.array_equal(zero, targets.poisson_changes(1, 1000))


def test_every_walk_starts_at_one_and_a_quarter_straight_ahead() -> None:
    for seed in range(20):
        assert targets.poisson_changes(seed, 10)[0].tolist() == [1.25, 0.0, 0.0]


def test_a_shorter_episode_meets_the_same_targets() -> None:
    assert np.array_equal(
        targets.poisson_changes(3, 50, mean_steps_between_changes=10),
        targets.poisson_changes(3, 400, mean_steps_between_changes=10)[:51],
    )


def test_changes_keep_to_the_challenge_s_limits_and_are_about_poisson_spaced() -> None:
    gaps: list[int] = []
    for seed in range(40):
        schedule = targets.poisson_changes(seed, 4000)
        speed = np.linalg.norm(schedule, axis=1)
        at = changes(schedule)
        gaps += np.diff([0, *at]).tolist()
        assert np.abs(np.diff(speed)).max() <= 0.5 + 1e-12
        assert (schedule[:, 1] == 0.0).all()
    assert len(gaps) == 400
    assert 295 < np.mean(gaps) < 305


def test_drawing_touches_no_global_generator() -> None:
    python_before = random.getstate()
    with np.printoptions(threshold=10_000):
        numpy_before = str(np.random.get_state())
        targets.poisson_changes(7, 1000)
        assert str(np.random.get_state()) == numpy_before
    assert random.getstate() == python_before


def test_age_counts_hundredths_since_the_last_change() -> None:
    schedule = np.array([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [2.0, 0, 0], [2.0, 0, 0.5]])
    age = targets.age_s(schedule)
    assert age.dtype == np.float32
    np.testing.assert_allclose(age, [0.0, 0.01, 0.02, 0.0, 0.01, 0.0], rtol=0, atol=1e-9)


def test_age_sees_a_change_back_to_an_earlier_target() -> None:
    schedule = np.array([[1.0, 0, 0], [2.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]])
    np.testing.assert_allclose(targets.age_s(schedule), [0.0, 0.0, 0.0, 0.01], rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_osim_rl_could_not_take_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"target seed {seed} is outside 0\.\.4294967295"):
        targets.poisson_changes(seed, 10)


def test_the_largest_seed_works() -> None:
    assert targets.poisson_changes(2**32 - 1, 10).shape == (11, 3)


def test_an_episode_that_begins_late_meets_what_a_longer_one_meets_later() -> None:
    asked = targets.entered_late(targets.poisson_changes, share=1.0, latest_step=1000)
    for seed in range(10):
        late, long = asked(seed, 1000), targets.poisson_changes(seed, 2000)
        assert late.shape == (1001, 3)
        assert any(np.array_equal(late, long[first : first + 1001]) for first in range(1, 1001))
        assert np.array_equal(late, asked(seed, 1000)), "the seed says where it begins"


def test_the_share_of_episodes_begins_late_and_the_others_are_the_task_s() -> None:
    def rising(seed: int, steps: int) -> targets.Targets:
        return np.repeat(np.arange(steps + 1.0)[:, None], 3, axis=1)

    first = [targets.entered_late(rising, 0.25, 40)(seed, 10)[0, 0] for seed in range(2000)]
    assert 0.22 < np.count_nonzero(first) / 2000 < 0.28
    assert {int(step) for step in first} == set(range(41))
    assert not any(targets.entered_late(rising, 0.0, 40)(seed, 10)[0, 0] for seed in range(100))


def test_late_targets_are_asked_for_in_both_forms_of_the_environment_and_never_in_a_score() -> None:
    config = EnvironmentConfig(late_targets=1.0, max_steps=20)
    seeds = list(range(1, 9))
    together = ProstheticsVectorEnv(config, len(seeds))
    _, infos = together.reset(seed=seeds)
    alone = ProstheticsEnv(config)
    first = [alone.reset(seed=seed)[1]["timesteps"][0].state[-3:].tolist() for seed in seeds]
    assert infos["timesteps"]["state"][:, 0, -3:].tolist() == first
    assert len({tuple(target) for target in first}) > 4
    assert config.scored().late_targets == config.official().late_targets == 0.0
    assert config.scored().asked is task(config.task)
    for env in (together, alone):
        env.close()


def test_a_share_that_is_none_is_refused() -> None:
    for wrong in (-0.1, 1.1, True, float("nan")):
        with pytest.raises(ValueError, match="late_targets"):
            EnvironmentConfig(late_targets=wrong)
