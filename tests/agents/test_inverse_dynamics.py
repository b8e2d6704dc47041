"""Which action led from one state to the next is learned in seconds from random actions, and told how well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from agents.build import create_run
from agents.config import RunConfig
from agents.imitation.inverse import InverseDynamics, Led, Sight, held_out, led
from agents.imitation.regression import FitConfig, Pairs, fit, mean_squared_error
from agents.memory import layout_of
from agents.networks import Actor
from agents.replay.memory import MemoryReplay
from agents.starts_config import StartsConfig
from agents.worker import Rollouts
from environment.config import EnvironmentConfig
from environment.state import StateLayout
from tests.runs import quiet_telemetry

HELD = 4


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[StateLayout, Led, MemoryReplay]:
    """What random actions led to in 25 episodes on the native engine."""
    config = RunConfig(environment=EnvironmentConfig(frame_skip=HELD), starts=StartsConfig(pushed_share=0.5))
    replay = MemoryReplay()
    run = create_run("explored", config, replay)
    folder = tmp_path_factory.mktemp("explored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(folder))
        work = Rollouts(run, config, replay, None, quiet_telemetry(folder))
        work.work(0, 1, lambda: False, lambda: work.episodes >= 25)
    return layout_of(run), led(replay.timesteps_of(replay.episodes_after("explored", {})), HELD), replay


def test_whole_decisions_are_found_with_the_states_around_them(
    explored: tuple[StateLayout, Led, MemoryReplay],
) -> None:
    _, found, replay = explored
    episode = replay.episodes_after("explored", {})[0]
    steps = replay.timesteps(episode)
    own = found.episode == episode.id
    assert own.sum() == (episode.length // HELD)
    for decision in range(3):
        assert (found.before[own][decision] == steps.state[HELD * decision]).all()
        assert (found.after[own][decision] == steps.state[HELD * (decision + 1)]).all()
        np.testing.assert_allclose(found.action[own][decision], steps.policy_action[HELD * decision + 1], atol=1e-6)


def test_actions_of_random_episodes_are_learned_in_seconds(
    explored: tuple[StateLayout, Led, MemoryReplay], tmp_path: Path
) -> None:
    layout, found, _ = explored
    told: list[int] = []
    model, fitted = InverseDynamics.learn(
        layout, found, muscles=True, config=FitConfig(updates=300), tell=lambda point: told.append(point.update)
    )
    assert told == [50, 100, 150, 200, 250, 300]
    assert fitted.curve[-1].fitted < fitted.curve[0].fitted
    assert fitted.error_of_the_mean == pytest.approx(0.58, abs=0.02), "of uniform actions: 1 / sqrt(3)"
    assert fitted.ratio < 0.4
    away = held_out(found.episode, 0)
    off = model(found.before[away], found.after[away]) - found.action[away]
    assert np.sqrt(np.square(off).mean()) == pytest.approx(fitted.error, rel=1e-4)
    assert (fitted.fitted, fitted.held_out) == ((~away).sum(), away.sum())


def test_without_muscles_only_the_body_s_motion_is_looked_at(explored: tuple[StateLayout, Led, MemoryReplay]) -> None:
    layout, found, _ = explored
    blind, seeing = (Sight(layout, muscles=muscles) for muscles in (False, True))
    before, after = found.before[:5].copy(), found.after[:5].copy()
    shown = blind(before, after)
    sharp = seeing(before, after)
    before[:, layout.activations] = 0.123
    before[:, layout.fiber_lengths] *= 1.1
    before[:, -3:] = 9.0
    assert (blind(before, after) == shown).all()
    assert (seeing(before, after) != sharp).any()
    assert blind.size < seeing.size


def test_whole_episodes_are_held_out() -> None:
    episodes = np.repeat(np.arange(20), 7)
    away = held_out(episodes, 0)
    assert len(np.unique(episodes[away])) == 2
    assert not set(episodes[away]) & set(episodes[~away])
    assert np.flatnonzero(held_out(np.zeros(50, np.int64), 0)).tolist() == [45, 46, 47, 48, 49]


def test_the_weights_that_did_best_on_what_was_held_out_are_kept() -> None:
    """Ten pairs of noise can be learned by heart, which makes it worse elsewhere."""
    generator = np.random.default_rng(0)
    noise = Pairs(*(generator.uniform(-1, 1, (40, size)).astype(np.float32) for size in (6, 2)))
    network = Actor(6, 2, (64, 64), generator=torch.Generator().manual_seed(0))
    fitted = fit(network, noise[np.arange(10)], noise[np.arange(10, 40)], FitConfig(updates=800, lr=3e-3))
    held = [point.held_out for point in fitted.curve]
    assert held[-1] > min(held)
    assert mean_squared_error(network, noise[np.arange(10, 40)]) == pytest.approx(min(held))
    assert fitted.error == pytest.approx(np.sqrt(min(held)))


def test_a_rate_that_falls_ends_closer_to_what_can_be_fitted() -> None:
    generator = np.random.default_rng(0)
    seen = generator.uniform(-1, 1, (1000, 6)).astype(np.float32)
    wanted = 0.5 * seen[:, :2]
    noise = generator.normal(0, 0.3, wanted.shape).astype(np.float32)
    ends = {}
    for final in (1.0, 0.001):
        network = Actor(6, 2, (8,), generator=torch.Generator().manual_seed(0))
        config = FitConfig(updates=400, batch_size=16, lr=0.03, final=final)
        ends[final] = fit(network, Pairs(seen, wanted + noise), Pairs(seen, wanted), config).curve[-1].held_out
    assert ends[0.001] < 0.5 * ends[1.0]


def test_nothing_to_learn_from_is_refused() -> None:
    pairs = Pairs(np.zeros((3, 6), np.float32), np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="3 actions to fit and 0 to hold out"):
        fit(Actor(6, 2, (4,)), pairs, pairs[np.zeros(3, bool)], FitConfig())
    with pytest.raises(ValueError, match="no episodes"):
        led([], HELD)
    with pytest.raises(ValueError, match=r"lr=2 must be"):
        FitConfig(lr=2)
    with pytest.raises(ValueError, match=r"final=0 must be"):
        FitConfig(final=0)
