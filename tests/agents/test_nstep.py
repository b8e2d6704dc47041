"""n-step transitions by hand and against a slow, literal reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.replay.nstep import Transitions, transitions

HALF = 0.5


def _transitions(
    reward: Sequence[float] | NDArray[np.float64],
    decision: Sequence[int] | NDArray[np.bool_],
    *,
    terminated: bool,
    n: int,
    gamma: float = HALF,
) -> Transitions:
    first, over = np.zeros(1, np.int64), np.array([terminated])
    return transitions(np.asarray(reward, float), np.asarray(decision, bool), first, over, gamma=gamma, n=n)


def _table(found: Transitions) -> list[tuple[int, int, float, float]]:
    return list(
        zip(found.start.tolist(), found.stop.tolist(), found.reward.tolist(), found.discount.tolist(), strict=True)
    )


def test_one_step_by_hand() -> None:
    found = _transitions([0, 1, 2, 4], [0, 1, 1, 1], terminated=True, n=1)
    assert _table(found) == [(0, 1, 1.0, 0.5), (1, 2, 2.0, 0.5), (2, 3, 4.0, 0.0)]


def test_two_steps_by_hand_at_a_fall() -> None:
    found = _transitions([0, 1, 2, 4], [0, 1, 1, 1], terminated=True, n=2)
    assert _table(found) == [(0, 2, 1 + 0.5 * 2, 0.25), (1, 3, 2 + 0.5 * 4, 0.0), (2, 3, 4.0, 0.0)]


def test_time_limit_keeps_the_bootstrap() -> None:
    found = _transitions([0, 1, 2, 4], [0, 1, 1, 1], terminated=False, n=2)
    assert _table(found) == [(0, 2, 2.0, 0.25), (1, 3, 4.0, 0.25), (2, 3, 4.0, 0.5)]


def test_n_beyond_the_episode_covers_what_is_there() -> None:
    reward, decision = [0, 1, 2, 4], [0, 1, 1, 1]
    whole = 1 + 0.5 * 2 + 0.25 * 4
    assert _table(_transitions(reward, decision, terminated=False, n=9))[0] == (0, 3, whole, 0.125)
    assert _table(_transitions(reward, decision, terminated=True, n=9))[0] == (0, 3, whole, 0.0)


def test_exactly_n_decisions_before_a_fall_lose_the_bootstrap() -> None:
    found = _transitions([0, 1, 2, 4], [0, 1, 1, 1], terminated=True, n=3)
    assert found.discount.tolist() == [0.0, 0.0, 0.0]
    assert found.stop.tolist() == [3, 3, 3]


def test_gamma_counts_control_steps_of_a_held_action_by_hand() -> None:
    # Decisions at rows 0, 2 and 5; the last is cut short by the end of the episode.
    found = _transitions([0, 1, 1, 8, 8, 8, 4], [0, 1, 0, 1, 0, 0, 1], terminated=False, n=2)
    first = 1 + 0.5 * 1
    second = 8 + 0.5 * 8 + 0.25 * 8
    assert _table(found) == [
        (0, 5, first + 0.25 * second, 0.5**5),
        (2, 6, second + 0.125 * 4, 0.5**4),
        (5, 6, 4.0, 0.5),
    ]


def test_rows_before_the_first_decision_belong_to_none() -> None:
    found = _transitions([0, 100, 1, 2], [0, 0, 1, 1], terminated=True, n=1)
    assert _table(found) == [(1, 2, 1.0, 0.5), (2, 3, 2.0, 0.0)]


def test_an_episode_without_control_steps_has_no_transition() -> None:
    found = _transitions([0.0], [0], terminated=False, n=3)
    assert _table(found) == []


def test_gamma_zero_sees_one_control_step() -> None:
    found = _transitions([0, 1, 2, 4], [0, 1, 0, 1], terminated=False, n=2, gamma=0.0)
    assert _table(found) == [(0, 3, 1.0, 0.0), (2, 3, 4.0, 0.0)]


def test_long_holds_do_not_underflow() -> None:
    decision = np.zeros(5001, bool)
    decision[[1, 4001]] = True
    found = _transitions(np.ones(5001), decision, terminated=False, n=2, gamma=0.5)
    np.testing.assert_allclose(found.reward, [2.0, 2.0])


def _naive(
    reward: NDArray[np.float64], decision: NDArray[np.bool_], *, terminated: bool, gamma: float, n: int
) -> list[tuple[int, int, float, float]]:
    last = len(reward) - 1
    table = []
    for start in range(last):
        if not decision[start + 1]:
            continue
        row, total, factor, decisions = start, 0.0, 1.0, 1
        while True:
            row += 1
            total += factor * reward[row]
            factor *= gamma
            if row == last:
                break
            if decision[row + 1]:
                if decisions == n:
                    break
                decisions += 1
        table.append((start, row, total, 0.0 if row == last and terminated else factor))
    return table


@pytest.mark.parametrize("seed", range(60))
def test_random_episodes_agree_with_the_literal_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(1, 40))
    reward = np.append(0.0, rng.normal(size=length))
    decision = np.append([False, True], rng.random(length - 1) < rng.choice([0.2, 0.7, 1.0]))
    terminated, gamma, n = bool(rng.integers(2)), float(rng.uniform(0.5, 1.0)), int(rng.integers(1, 8))
    found = _transitions(reward, decision, terminated=terminated, n=n, gamma=gamma)
    expected = _naive(reward, decision, terminated=terminated, gamma=gamma, n=n)
    np.testing.assert_allclose(_table(found), expected, rtol=1e-12, atol=1e-12)


def test_episodes_side_by_side_are_as_each_alone() -> None:
    rng = np.random.default_rng(5)
    for n in (1, 3, 7):
        rewards, decisions, terminated = [], [], []
        for length in (4, 0, 1, 30, 2, 0, 9):
            rewards.append(np.append(0.0, rng.normal(size=length)))
            decisions.append(np.append([False, True], rng.random(max(0, length - 1)) < 0.5)[: length + 1])
            terminated.append(bool(rng.integers(2)))
        first = np.cumsum([0, *map(len, rewards)])[:-1]
        found = transitions(
            np.concatenate(rewards), np.concatenate(decisions), first, np.array(terminated), gamma=0.9, n=n
        )
        expected: list[tuple[int, int, float, float]] = []
        owners: list[int] = []
        for number, offset in enumerate(first.tolist()):
            alone = _transitions(rewards[number], decisions[number], terminated=terminated[number], n=n, gamma=0.9)
            expected += [(offset + start, offset + stop, *rest) for start, stop, *rest in _table(alone)]
            owners += [number] * len(alone.start)
        assert _table(found) == expected
        assert found.episode.tolist() == owners
