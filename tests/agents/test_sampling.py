"""Ways to sample: what is drawn is distributed as promised, also when episodes leave and after a restart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.plain import ConfigError
from agents.replay.derivation import Points
from agents.replay.documents import utc_now
from agents.replay.ring import Ring
from agents.replay.runs import Episode, EpisodeStart
from agents.replay.sampling import SAMPLERS, Sampler, build_sampler

DRAWS = 200_000


def put(ring: Ring, sampler: Sampler, lengths: list[int], versions: list[int] | None = None) -> None:
    """Episodes of so many decisions, each with an end after it."""
    each = np.array([length + 1 for length in lengths])
    hop = np.ones(each.sum(), np.int32)
    hop[np.cumsum(each) - 1] = 0
    count = len(hop)
    points = Points(
        each=each,
        observation=np.zeros((count, 1), np.float32),
        action=np.zeros((count, 1), np.float32),
        reward=np.zeros(count, np.float32),
        discount=np.zeros(count, np.float32),
        hop=hop,
        policy_version=np.repeat(versions or [0] * len(lengths), each),
    )
    first = ring.next
    ring.put([an_episode(length) for length in lengths], points)
    sampler.entered(first)


def an_episode(length: int) -> Episode:
    return Episode(
        id=1,
        run="run",
        worker="w",
        writer=1,
        start=EpisodeStart(seed=0, policy_version=0),
        length=length,
        episode_return=0.0,
        reward_terms={},
        ended="fall",
        terminated=True,
        truncated=False,
        step_ms_mean=1.0,
        started=utc_now(),
        finished=utc_now(),
    )


def make(name: str, capacity: int = 64, **settings: Any) -> tuple[Ring, Sampler]:
    ring = Ring(capacity, 1, 1)
    return ring, build_sampler(name, settings, ring)


def starts(ring: Ring) -> NDArray[np.int64]:
    """Numbers of the points held that a transition starts at."""
    number = np.arange(ring.first, ring.next)
    return number[ring.starts(number)]


def assert_distributed(ring: Ring, sampler: Sampler, chance: NDArray[np.float64], seed: int = 0) -> None:
    """Chi-squared of many draws against `chance` of each start."""
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([sampler.draw(500, generator).number for _ in range(DRAWS // 500)])
    expected = starts(ring)
    assert set(np.unique(drawn).tolist()) <= set(expected.tolist())
    counts = np.array([(drawn == number).sum() for number in expected])
    wanted = DRAWS * chance / chance.sum()
    chi_squared = float(((counts - wanted) ** 2 / wanted).sum())
    freedom = len(expected) - 1
    assert chi_squared < freedom + 5.0 * np.sqrt(2.0 * freedom), "five deviations beyond what chance gives"


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_only_starts_that_are_held_are_drawn_however_often_the_ring_wrapped(name: str) -> None:
    ring, sampler = make(name, 40)
    rng = np.random.default_rng(0)
    for round_ in range(60):
        put(ring, sampler, [int(length) for length in rng.integers(0, 12, 2)], [round_, round_])
        if ring.transitions:
            number = sampler.draw(300, rng).number
            assert ((number >= ring.first) & (number < ring.next)).all()
            assert ring.starts(number).all()
            sampler.learned(number, rng.random(300).astype(np.float32))


def test_uniform_is_uniform_over_decisions() -> None:
    ring, sampler = make("uniform")
    put(ring, sampler, [3, 30, 1])
    assert_distributed(ring, sampler, np.ones(34))


def test_recency_halves_with_every_half_life() -> None:
    ring, sampler = make("recency", half_life=7.0)
    put(ring, sampler, [10, 20, 5])
    number = starts(ring)
    assert_distributed(ring, sampler, 0.5 ** ((ring.next - 1 - number) / 7.0))


def test_policy_age_halves_with_every_so_many_versions() -> None:
    ring, sampler = make("policy_age", half_life_versions=2.0)
    put(ring, sampler, [5, 5, 5, 5], [1, 7, 3, 6])
    assert_distributed(ring, sampler, np.repeat(2.0 ** (np.array([1, 7, 3, 6]) / 2.0), 5))


def test_policy_age_is_right_after_ten_thousand_versions() -> None:
    ring, sampler = make("policy_age", half_life_versions=1.0)
    for version in range(0, 10_000, 50):
        put(ring, sampler, [4], [version])
    put(ring, sampler, [4, 4], [9_999, 10_001])
    put(ring, sampler, [4], [10_000])
    chance = np.exp2(ring.policy_version[ring.place(starts(ring))] - 10_001.0)
    kept = chance > 0.01
    generator = np.random.default_rng(0)
    drawn = np.concatenate([sampler.draw(500, generator).number for _ in range(100)])
    shares = np.array([(drawn == number).mean() for number in starts(ring)[kept]])
    np.testing.assert_allclose(shares, chance[kept] / chance.sum(), atol=0.01)


def test_priorities_decide_and_weights_take_it_back() -> None:
    ring, sampler = make("prioritised", alpha=0.5, beta=1.0)
    put(ring, sampler, [12, 8])
    error = np.linspace(0.0, 4.0, 20).astype(np.float32)
    sampler.learned(starts(ring), error)
    chance = np.sqrt(error.astype(float) + 1e-6)
    assert_distributed(ring, sampler, chance)
    drawn = sampler.draw(1000, np.random.default_rng(1))
    place = np.searchsorted(starts(ring), drawn.number)
    expected = 1.0 / chance[place]
    np.testing.assert_allclose(drawn.weight, expected / expected.max(), rtol=1e-5)


def test_weights_are_those_of_the_paper_by_hand() -> None:
    ring, sampler = make("prioritised", alpha=1.0, beta=0.5, beta_until=2, least_error=1e-9)
    put(ring, sampler, [2])
    sampler.learned(starts(ring), np.array([1.0, 3.0], np.float32))
    first = sampler.draw(64, np.random.default_rng(0))
    # (N P)^-beta: (2 * 1/4)^-0.5 and (2 * 3/4)^-0.5, over the larger; then half of the way, and all of it, to beta 1.
    for drawn, beta in ((first, 0.5), (sampler.draw(64, np.random.default_rng(0)), 0.75)):
        weights = dict(zip(drawn.number.tolist(), drawn.weight.tolist(), strict=True))
        assert weights[0] == pytest.approx(1.0)
        assert weights[1] == pytest.approx((1.5**-beta) / (0.5**-beta))
    last = sampler.draw(64, np.random.default_rng(0))
    assert min(last.weight.tolist()) == pytest.approx(1.0 / 3.0)


def test_what_is_new_has_the_largest_priority_so_far() -> None:
    ring, sampler = make("prioritised", alpha=1.0)
    put(ring, sampler, [10])
    sampler.learned(starts(ring), np.full(10, 0.01, np.float32))
    sampler.learned(starts(ring)[:1], np.array([5.0], np.float32))
    put(ring, sampler, [1])
    assert_distributed(ring, sampler, np.array([5.0] + [0.01] * 9 + [5.0]) + 1e-6)


def test_errors_of_decisions_that_have_left_change_nothing() -> None:
    ring, sampler = make("prioritised", 12, alpha=1.0)
    put(ring, sampler, [5])
    old = starts(ring)
    put(ring, sampler, [9])
    before = sampler.state_dict()["priorities"]
    sampler.learned(old, np.full(5, 100.0, np.float32))
    np.testing.assert_array_equal(sampler.state_dict()["priorities"], before)


def test_errors_that_are_not_finite_are_refused() -> None:
    ring, sampler = make("prioritised")
    put(ring, sampler, [3])
    with pytest.raises(ValueError, match="not finite"):
        sampler.learned(starts(ring), np.array([1.0, np.nan, 1.0], np.float32))


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_restart_draws_the_same(name: str) -> None:
    ring, sampler = make(name, 30)
    rng = np.random.default_rng(4)
    for round_ in range(15):
        put(ring, sampler, [int(rng.integers(1, 9))], [round_])
        sampler.learned(sampler.draw(16, rng).number, rng.random(16).astype(np.float32))
    state = sampler.state_dict()
    fresh, again = make(name, 30)
    fresh.first = fresh.next = ring.first
    for one in ring.held:
        version = int(ring.policy_version[(ring.first + sum(h.points for h in fresh.held)) % 30])
        put(fresh, again, [one.points - 1], [version])
    again.load_state_dict(state)
    for seed in range(3):
        mine, theirs = (s.draw(64, np.random.default_rng(seed)) for s in (sampler, again))
        np.testing.assert_array_equal(mine.number, theirs.number)
        np.testing.assert_array_equal(mine.weight, theirs.weight)


def test_a_memory_that_became_smaller_keeps_the_priorities_of_what_it_keeps() -> None:
    ring, sampler = make("prioritised", 30, alpha=1.0)
    put(ring, sampler, [4, 4, 4])
    sampler.learned(starts(ring), np.arange(12, dtype=np.float32))
    fresh, smaller = make("prioritised", 12, alpha=1.0)
    put(fresh, smaller, [4, 4])
    smaller.load_state_dict(sampler.state_dict())
    assert_distributed(fresh, smaller, np.arange(4.0, 12.0) + 1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("prioritised", {"alpha": 1.5}, "alpha=1.5"),
        ("prioritised", {"beta_until": 0}, "beta_until=0"),
        ("recency", {"half_life": 0.0}, "half_life=0.0"),
        ("policy_age", {"half_life_versions": -1.0}, "half_life_versions=-1.0"),
        ("uniform", {"alpha": 1.0}, "alpha"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(name, **settings)


def test_an_unknown_way_to_sample_is_refused_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="there are uniform, prioritised"):
        make("newest")
