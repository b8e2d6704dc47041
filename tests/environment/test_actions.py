"""From what the policy says to what the muscles get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from environment.actions import ActionMap, ActionOutOfRange, FrameSkip, binned


def test_minus_one_is_rest_zero_is_half_and_one_is_full() -> None:
    excitation = ActionMap(4).excitation(np.array([-1.0, 0.0, 0.5, 1.0]))
    assert excitation.dtype == np.float32
    assert excitation.tolist() == [0.0, 0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("bins", "expected"),
    [
        (2, [0.0, 0.0, 1.0, 1.0, 1.0]),
        (3, [0.0, 0.5, 0.5, 1.0, 1.0]),
        (5, [0.0, 0.25, 0.5, 0.75, 1.0]),
    ],
)
def test_excitations_go_to_the_nearest_bin(bins: int, expected: list[float]) -> None:
    excitation = np.array([0.0, 0.3, 0.6, 0.8, 1.0], np.float32)
    assert binned(excitation, bins).tolist() == expected
    assert ActionMap(5, bins).excitation(excitation * 2 - 1).tolist() == expected


@pytest.mark.parametrize("bins", [2, 3, 5])
def test_every_bin_is_reached_and_no_other_value(bins: int) -> None:
    sweep = ActionMap(1001, bins).excitation(np.linspace(-1.0, 1.0, 1001))
    assert sorted(set(sweep.tolist())) == [i / (bins - 1) for i in range(bins)]


def test_no_bins_leave_excitations_as_they_are() -> None:
    excitation = np.array([0.123, 0.987], np.float32)
    assert np.array_equal(binned(excitation, None), excitation)


@pytest.mark.parametrize("wrong", [1.1, -1.1, 1.00001, np.nan, np.inf, -np.inf])
def test_an_action_outside_the_range_is_refused_by_muscle(wrong: float) -> None:
    with pytest.raises(ActionOutOfRange, match=r"action of muscle 2 is .* must be in \[-1, 1\]"):
        ActionMap(3).excitation(np.array([0.0, 1.0, wrong]))


def test_rounding_just_beyond_one_is_accepted_and_stays_within_the_muscle_s_range() -> None:
    excitation = ActionMap(2).excitation(np.array([1.0000005, -1.0000005]))
    assert excitation.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("shape", [(2,), (4,), (1, 3), ()])
def test_an_action_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the body needs \(3,\); was the policy made for another model"):
        ActionMap(3).excitation(np.zeros(shape))


def test_the_given_action_is_not_changed() -> None:
    action = np.array([1.0000005, -0.3], np.float32)
    before = action.tobytes()
    ActionMap(2, 2).excitation(action)
    assert action.tobytes() == before


@pytest.mark.parametrize("bins", [1, 0, -3, 2.5, 3.0, "3", True])
def test_fewer_than_two_bins_and_no_whole_numbers_are_refused(bins: Any) -> None:
    with pytest.raises(ValueError, match=f"bins={bins!r} must be a whole number from 2"):
        ActionMap(3, bins)


@pytest.mark.parametrize("spec", [0, -1, (0, 4), (5, 2), (1, 2, 3), (), 2.5, (1, 2.5), True, None, "12"])
def test_a_frame_skip_that_makes_no_sense_is_refused(spec: Any) -> None:
    with pytest.raises(ValueError, match=r"frame skip .* must be a whole number from 1, or a range of two in order"):
        FrameSkip(spec)


def test_a_fixed_skip_is_always_the_same() -> None:
    skip = FrameSkip(4)
    generator = np.random.default_rng(0)
    assert {skip.draw(generator) for _ in range(50)} == {4}
    assert skip.longest == 4


def test_a_random_skip_covers_its_whole_range_and_nothing_else() -> None:
    skip = FrameSkip((2, 5))
    generator = np.random.default_rng(0)
    assert {skip.draw(generator) for _ in range(200)} == {2, 3, 4, 5}
    assert skip.longest == 5
