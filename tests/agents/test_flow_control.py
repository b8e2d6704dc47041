"""Learner and workers hold each other back as set, and never both at once."""

from __future__ import annotations

import numpy as np
import pytest

from agents.config import RunConfig
from agents.flow_control import Limiter
from agents.plain import ConfigError


def test_a_batch_waits_for_its_share_of_timesteps() -> None:
    limiter = Limiter(2.0, 32, explore_timesteps=10, lead_timesteps=None)
    assert not limiter.may_update(0, 15)
    assert limiter.may_update(0, 16)
    assert not limiter.may_update(1, 31)
    assert limiter.may_update(1, 32)


def test_nothing_is_learned_before_the_exploration_is_over() -> None:
    limiter = Limiter(512.0, 32, explore_timesteps=100, lead_timesteps=None)
    assert not limiter.may_update(0, 99)
    assert limiter.may_update(0, 100)


def test_workers_wait_when_they_are_ahead_by_more_than_the_lead() -> None:
    limiter = Limiter(2.0, 32, explore_timesteps=50, lead_timesteps=100)
    assert limiter.may_collect(0, 49)
    assert limiter.may_collect(0, 100)
    assert not limiter.may_collect(0, 101)
    assert limiter.may_collect(1, 116)
    assert not limiter.may_collect(1, 117)


def test_workers_never_wait_without_a_lead() -> None:
    assert Limiter(2.0, 32, explore_timesteps=50, lead_timesteps=None).may_collect(0, 10**9)


def test_one_side_can_always_go_on() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        ratio, batch = float(rng.uniform(0.1, 600.0)), int(rng.integers(1, 5000))
        least = int(np.ceil(batch / ratio))
        limiter = Limiter(
            ratio, batch, explore_timesteps=int(rng.integers(1, 1000)), lead_timesteps=least + int(rng.integers(0, 3))
        )
        updates = timesteps = 0
        for _ in range(300):
            collect, update = limiter.may_collect(updates, timesteps), limiter.may_update(updates, timesteps)
            assert collect or update, (ratio, batch, updates, timesteps)
            if update and (not collect or rng.random() < 0.5):
                updates += 1
            else:
                timesteps += int(rng.integers(1, 200))


def test_a_lead_that_would_stall_both_is_refused_with_what_is_needed() -> None:
    Limiter(2.0, 32, explore_timesteps=1, lead_timesteps=16)
    with pytest.raises(ValueError, match="lead_timesteps=15 is less than the 16 control steps"):
        Limiter(2.0, 32, explore_timesteps=1, lead_timesteps=15)
    with pytest.raises(ConfigError, match="wait for each other"):
        RunConfig.of({"replay": {"lead_timesteps": 1, "samples_per_timestep": 8}, "learner": {"batch_size": 256}})
