"""What a worker plans: seed and exploration of every episode, never those of another life."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from agents.actor import EpisodePlan
from agents.build import contract_of
from agents.config import RunConfig
from agents.exploration.pink import PinkNoise
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.plain import ConfigError
from agents.policy import Policy, PolicyContract
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Run
from agents.worker import Plans
from environment.seeds import drawn_seed
from tests.runs import open_run, small_config


class Acting:
    """A policy of some version."""

    def __init__(self, version: int) -> None:
        self.version = version

    def __call__(self, observation: Any) -> Any:
        raise AssertionError("not asked here")

    def check(self, needed: Any, **_: Any) -> None:
        raise AssertionError("not asked here")


class Life:
    """The only thing that plans need of a writer."""

    def __init__(self, writer: int) -> None:
        self.writer = writer


def plans(run: Run, config: RunConfig, writer: int, count: int, version: int = 1) -> list[EpisodePlan]:
    life: Any = Life(writer)
    make = Plans(run, config, life, 0, 2)
    return [make(Acting(version)) for _ in range(count)]


def noise(plan: EpisodePlan) -> tuple[Any, ...]:
    plan.exploration.reset(lambda observation: observation)
    return tuple(plan.exploration(np.zeros(4, np.float32)).tolist())


def test_no_two_episodes_of_any_two_lives_share_a_seed(run: Run, config: RunConfig) -> None:
    seeds = [plan.seed for writer in (1, 2, 3) for plan in plans(run, config, writer, 50)]
    assert len(set(seeds)) == 150


def test_the_same_life_and_number_give_the_same_seed_and_noise(run: Run, config: RunConfig) -> None:
    first, again = plans(run, config, 7, 20), plans(run, config, 7, 20)
    assert [plan.seed for plan in first] == [plan.seed for plan in again]
    assert [noise(plan) for plan in first] == [noise(plan) for plan in again]
    other = plans(run, config, 8, 20)
    assert [noise(plan) for plan in first] != [noise(plan) for plan in other]


def test_another_run_has_other_seeds(run: Run, replay: MemoryReplay, config: RunConfig) -> None:
    other = open_run(replay, config, "other")
    assert plans(run, config, 1, 1)[0].seed != plans(other, config, 1, 1)[0].seed


def test_a_share_of_the_episodes_follows_the_mean_and_nothing_else_changes(run: Run) -> None:
    without, half = small_config(), _with_means(0.5)
    life: Any = Life(7)
    contract = contract_of(run, without)
    mean, lone = (_policy(contract) for _ in range(2))
    exploring = _policy(contract, mean)
    plain, mixed, meanless = Plans(run, without, life, 0, 1), Plans(run, half, life, 0, 1), Plans(run, half, life, 0, 1)
    planned = [(plain(exploring), mixed(exploring), meanless(lone)) for _ in range(200)]

    assert all(one.mean is None and other.mean is None for one, _, other in planned)
    assert all(one.mean in (None, mean) for _, one, _ in planned)
    assert 70 < sum(one.mean is mean for _, one, _ in planned) < 130
    entropy = [zlib.crc32(run.name.encode()), 7]
    seeds = [drawn_seed(np.random.default_rng([*entropy, number])) for number in range(200)]
    assert all([one.seed for one in each] == seeds for each in zip(*planned, strict=True))
    assert [noise(one) for one, _, _ in planned] == [noise(one) for _, one, _ in planned]
    assert {one.described().get("policy") for _, one, _ in planned if one.mean is mean} == {"mean"}
    assert not any("policy" in one.described() for one, _, _ in planned)


def test_to_follow_a_mean_that_the_run_does_not_keep_is_refused() -> None:
    with pytest.raises(ConfigError, match="the run keeps none"):
        RunConfig.of({"exploration": {"mean_share": 0.5}})


def _with_means(share: float) -> RunConfig:
    plain = small_config().plain()
    plain["algorithm"]["settings"] |= {"mean_updates": 100}
    return RunConfig.of(plain | {"exploration": {"mean_share": share}})


def _policy(contract: PolicyContract, mean: Policy | None = None) -> Policy:
    actor = Actor(contract.observation_size, contract.action_size, (4,))
    return Policy(actor, Normaliser.identity(contract.observation_size), contract, version=1, mean=mean)


def test_random_actions_before_the_first_version_and_the_ladder_after(run: Run, config: RunConfig) -> None:
    for plan in plans(run, config, 1, 5, version=0):
        assert (plan.purpose, plan.exploration.describe()) == ("explore", {"kind": "uniform"})
    trained = plans(run, config, 1, 60, version=1)
    assert {plan.purpose for plan in trained} == {"train"}
    described = [plan.exploration.describe() for plan in trained]
    assert {description["kind"] for description in described} == {"none", "ornstein_uhlenbeck"}
    sigmas = [description["sigma"] for description in described if "sigma" in description]
    assert min(sigmas) < 0.07
    assert max(sigmas) > 0.3
    assert len(sigmas) == pytest.approx(60 * 0.8, abs=2)


@pytest.mark.parametrize(("skip", "dt_s"), [(4, 0.04), ([1, 5], 0.03)])
def test_noise_is_correlated_over_the_time_between_decisions(replay: MemoryReplay, skip: Any, dt_s: float) -> None:
    plain = small_config().plain()
    plain["environment"]["frame_skip"] = skip
    config = RunConfig.of(plain)
    noisy = [plan.exploration.describe() for plan in plans(open_run(replay, config), config, 1, 10)]
    found = [described["dt_s"] for described in noisy if "dt_s" in described]
    assert len(found) > 5
    np.testing.assert_allclose(found, dt_s)


def test_pink_noise_is_drawn_for_the_episode_s_decisions(replay: MemoryReplay) -> None:
    plain = small_config().plain()
    plain["environment"] |= {"frame_skip": [1, 5], "max_steps": 100}
    plain["exploration"] |= {"kind": "pink", "noise_free_share": 0.0}
    config = RunConfig.of(plain)
    (plan,) = plans(open_run(replay, config), config, 1, 1)
    assert isinstance(plan.exploration, PinkNoise)
    assert plan.exploration.decisions == 34
