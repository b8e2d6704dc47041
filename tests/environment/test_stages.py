"""Eased targets: what a stage asks for, and that every environment asks for it and says so."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.stages import Stage
from environment.starts import Pushed
from environment.state import TARGET_VELOCITY
from environment.targets import age_s, entered_late, poisson_changes
from environment.vector import ProstheticsVectorEnv

CONFIG = EnvironmentConfig(max_steps=12)
SEED = next(seed for seed in range(100) if len(np.unique(poisson_changes(seed, 1000), axis=0)) > 3)


class Changing:
    """Another stage at every start."""

    def __init__(self, late_targets: float = 0.0) -> None:
        self.begun, self.late_targets = 0, late_targets

    def now(self) -> tuple[int, Stage]:
        self.begun += 1
        return self.begun, Stage(0.5 * self.begun, 0.25, self.late_targets)


def test_the_default_stage_is_the_task_itself() -> None:
    np.testing.assert_array_equal(Stage()(poisson_changes, SEED, 1000), poisson_changes(SEED, 1000))


def test_a_stage_without_changes_asks_for_its_speed_straight_ahead() -> None:
    eased = Stage(2.0, 0.0)(poisson_changes, SEED, 1000)
    np.testing.assert_array_equal(eased, np.tile([2.0, 0.0, 0.0], (1001, 1)))


def test_a_stage_asks_for_its_share_of_every_change_at_the_same_steps() -> None:
    asked = poisson_changes(SEED, 1000)
    eased = Stage(2.0, 0.5)(poisson_changes, SEED, 1000)
    np.testing.assert_allclose(eased - [2.0, 0, 0], 0.5 * (asked - [1.25, 0, 0]), atol=1e-15)
    np.testing.assert_array_equal(age_s(eased), age_s(asked))


def test_a_stage_of_late_targets_is_the_task_s_own_entered_late() -> None:
    late = entered_late(poisson_changes, 0.5, 1000)
    entered = [Stage(late_targets=0.5)(poisson_changes, seed, 1000) for seed in range(40)]
    for seed, found in enumerate(entered):
        np.testing.assert_array_equal(found, late(seed, 1000))
    assert 10 < sum(found[0, 0] != 1.25 for found in entered) < 30


def test_an_eased_stage_that_begins_late_begins_among_its_own_later_targets() -> None:
    whole = Stage(1.5, 0.5)
    for seed in range(20):
        found, late = Stage(1.5, 0.5, 1.0)(poisson_changes, seed, 1000), entered_late(poisson_changes, 1.0, 1000)
        np.testing.assert_array_equal(found, [1.5, 0, 0] + 0.5 * (late(seed, 1000) - [1.25, 0, 0]))
        later = whole(poisson_changes, seed, 2000)
        assert any(np.array_equal(later[first : first + 1001], found) for first in range(1, 1001))


@pytest.mark.parametrize(("with_starts", "late_targets"), [(False, 0.0), (True, 0.0), (True, 0.5)])
def test_one_body_and_many_ask_for_their_stage_and_say_which(with_starts: bool, late_targets: float) -> None:
    many = ProstheticsVectorEnv(CONFIG, 3, autoreset_mode=AutoresetMode.SAME_STEP)
    alone = ProstheticsEnv(CONFIG)
    for environment in (many, alone):
        environment.stages = Changing(late_targets)
        environment.starts = Pushed(environment.layout, (0.5, 0.5)) if with_starts else None
    target = many.layout.where(TARGET_VELOCITY)
    _, infos = many.reset(seed=7)
    for row in range(3):
        _, info = alone.reset(seed=7 + row)
        expected = {"stage": row + 1} | ({"kind": "pushed", "m_per_s": 0.5} if with_starts else {})
        assert infos["start"][row] == info["start"] == expected
        asked = Stage(0.5 * (row + 1), 0.25, late_targets)(poisson_changes, 7 + row, 1000)[0]
        np.testing.assert_allclose(many.states[row, target], asked)
        assert many.states[row].tobytes() == alone.state.tobytes()
    for _ in range(2):
        many.step(np.zeros((3, 19), np.float32))
    _, _, _, truncated, infos = many.step(np.zeros((3, 19), np.float32))
    assert truncated.all()
    assert [infos["start"][row]["stage"] for row in range(3)] == [4, 5, 6], "each new episode is at the stage of then"
    many.close()
    alone.close()
