"""The cycle of a motion is found where it has one, and it is said why where it has none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from environment.imitation.cycle import LARGEST_JUMP, NoCycle, find_cycle

RATE_HZ, PERIOD_ROWS = 100.0, 80
WEIGHTS = np.array([2.0, 2.0, 0.1, 0.1])
NAMES = ("hip", "knee", "hip speed", "knee speed")


def swinging(rows: int, *, start: int = 0, second: float = 0.3) -> NDArray[np.float64]:
    """(rows, 4) two joints and their speeds, in a cycle of 0.8 s whose second harmonic makes no shorter one."""
    time_s = (start + np.arange(rows)) / RATE_HZ
    once, twice = (2 * np.pi * RATE_HZ * times / PERIOD_ROWS for times in (1, 2))
    hip, knee = 0.5 * np.sin(once * time_s), second * np.sin(twice * time_s + 1.0)
    return np.stack(
        (hip, knee, 0.5 * once * np.cos(once * time_s), second * twice * np.cos(twice * time_s + 1.0)), axis=1
    )


def refusal(features: NDArray[np.float64]) -> str:
    with pytest.raises(NoCycle) as refused:
        find_cycle(features, WEIGHTS, NAMES, RATE_HZ)
    return str(refused.value)


@pytest.mark.parametrize("rows", [81, 100, 240, 500])
def test_the_shortest_cycle_is_found_in_a_file_of_one_or_of_many(rows: int) -> None:
    cycle = find_cycle(swinging(rows, start=13), WEIGHTS, NAMES, RATE_HZ)
    assert cycle.rows == PERIOD_ROWS
    assert 0 <= cycle.first < rows - PERIOD_ROWS
    assert cycle.jump < 1e-12


def test_a_gait_whose_strides_differ_a_little_has_a_cycle_of_one_stride() -> None:
    uneven = swinging(400)
    uneven[:, :2] += 0.01 * np.random.default_rng(3).standard_normal((400, 2)).cumsum(axis=0) / 10
    cycle = find_cycle(uneven, WEIGHTS, NAMES, RATE_HZ)
    assert abs(cycle.rows - PERIOD_ROWS) <= 1
    assert 0.0 < cycle.jump < LARGEST_JUMP


def test_less_than_a_cycle_is_refused_with_what_is_furthest_off() -> None:
    assert "less than one whole cycle" in refusal(swinging(70))


def test_what_comes_back_elsewhere_is_refused_with_how_far_off_it_is() -> None:
    bent = swinging(81)
    bent[:, 0] += np.linspace(0.0, 0.6, 81)  # the hip ends 0.6 rad from where it began
    message = refusal(bent)
    assert "row 0 to row" in message or "less than one whole cycle" in message


def test_what_passes_the_same_pose_on_the_way_back_is_no_cycle_yet() -> None:
    """A knee bend from half-way down to half-way up: the pose is the first one again, the velocity is the opposite."""
    time_s = np.arange(61) / RATE_HZ
    down = np.stack((np.sin(np.pi * time_s / 0.6), np.pi / 0.6 * np.cos(np.pi * time_s / 0.6)), axis=1)
    with pytest.raises(NoCycle):
        find_cycle(down, np.array([2.0, 0.1]), ("knee", "knee speed"), RATE_HZ)


def test_what_does_not_move_is_refused() -> None:
    assert "nothing in it moves" in refusal(np.zeros((200, 4)))


def test_too_few_rows_are_refused() -> None:
    assert "it has 15 rows" in refusal(swinging(15))
