"""What a learner samples: other runs seen as its own, hindsight, and shares of every batch."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from agents.build import build_learner
from agents.config import RunConfig
from agents.memory import build_memory, build_mirror, layout_of
from agents.plain import ConfigError
from agents.replay.hindsight import Hindsight
from agents.replay.memory import MemoryReplay
from agents.replay.mixture import Mixture, Part
from agents.replay.ring import bytes_needed
from agents.replay.runs import Run
from agents.replay.sampling import SAMPLERS
from environment.observations import observation
from environment.rewards import TASK_REWARDS
from environment.state import TARGET_VELOCITY
from tests.runs import RUN, explore, fake_environment, open_run, small_config

GENERATOR = np.random.default_rng


def with_replay(config: RunConfig, **settings: Any) -> RunConfig:
    plain = config.plain()
    plain["replay"] |= settings
    return RunConfig.of(plain)


def with_environment(config: RunConfig, **settings: Any) -> RunConfig:
    plain = config.plain()
    plain["environment"] |= settings
    return RunConfig.of(plain)


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


def collected(replay: MemoryReplay, name: str, config: RunConfig, timesteps: int = 400) -> Run:
    run = open_run(replay, config, name)
    explore(replay, config, run, timesteps)
    return run


def test_every_batch_has_its_share_of_each_part_and_errors_go_home(replay: MemoryReplay) -> None:
    config = small_config()
    own, other = collected(replay, RUN, config), collected(replay, "old", config)
    config = with_replay(config, partitions={"old": 0.25}, hindsight_share=0.125, sampling={"name": "prioritised"})
    memory = build_memory(config, own, [other])
    assert isinstance(memory, Mixture)
    steps = sum(episode.length for name in (RUN, "old") for episode in replay.episodes_after(name, {}))
    assert memory.follow(replay, RUN) == memory.taken_steps == steps, "hindsight sees the same steps again"
    assert memory.transitions == sum(part.memory.transitions for part in memory.parts)
    batch = memory.sample(64, GENERATOR(0))
    assert batch.number is not None
    part = batch.number >> 56
    assert [part.name for part in memory.parts] == ["own", "run.old", "hindsight", "hindsight.old"]
    assert np.bincount(part).tolist() == [40, 16, 6, 2], "hindsight is of both, as much as they have else"
    assert len(batch.observation) == len(batch.weight) == 64
    memory.learned(batch.number, np.where(part == 1, 1e6, 1e-6).astype(np.float32))
    largest = {name: array.max() for name, array in memory.state_dict().items() if name.endswith("sampler/priorities")}
    assert largest["run.old/sampler/priorities"] > 1000
    assert largest["own/sampler/priorities"] == largest["hindsight/sampler/priorities"] == 1.0


def shares_of(memory: Any, batch_size: int) -> list[int]:
    """How many decisions of a batch are of each part."""
    number = memory.sample(batch_size, GENERATOR(0)).number
    sizes: list[int] = np.bincount(number >> 56, minlength=len(memory.parts)).tolist()
    return sizes


def test_a_part_that_holds_nothing_yet_leaves_its_share_to_the_others_in_their_proportions(
    replay: MemoryReplay,
) -> None:
    config = small_config()
    own = open_run(replay, config)
    others = [open_run(replay, config, "none"), collected(replay, "a", config), collected(replay, "b", config)]
    shares = {"none": 0.2, "a": 0.1, "b": 0.3}
    memory = build_memory(with_replay(config, partitions=shares), own, others)
    with pytest.raises(ValueError, match="no transition yet"):
        memory.sample(8, GENERATOR(0))
    memory.follow(replay, RUN)
    assert shares_of(memory, 80) == [0, 0, 20, 60]
    explore(replay, config, own, 200)
    memory.follow(replay, RUN)
    assert shares_of(memory, 80) == [40, 0, 10, 30]


def test_hindsight_is_of_other_runs_too_and_alone_it_is_of_the_own_one(replay: MemoryReplay) -> None:
    config = small_config("prosthetics-round2")
    own, other = open_run(replay, config), collected(replay, "old", config)
    memory = build_memory(with_replay(config, partitions={"old": 0.75}, hindsight_share=0.25), own, [other])
    assert isinstance(memory, Mixture)
    assert [(part.name, part.share, part.run) for part in memory.parts] == [
        ("run.old", 0.75, "old"),
        ("hindsight.old", 0.25, "old"),
    ]
    memory.follow(replay, RUN)
    assert shares_of(memory, 80) == [60, 20]
    alone = build_memory(with_replay(config, hindsight_share=1.0), own)
    assert isinstance(alone, Mixture)
    assert [(part.name, part.share, part.run) for part in alone.parts] == [("hindsight", 1.0, None)]


def test_mirrors_that_fit_only_one_by_one_are_refused_with_the_figures(
    replay: MemoryReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config()
    own, other = open_run(replay, config), open_run(replay, config, "old")
    one = bytes_needed(5_000, len(observation("compact", layout_of(own)).names), len(own.action_names))
    available = int(1.5 * one)
    monkeypatch.setattr("agents.replay.ring.available_bytes", lambda: available)
    build_memory(config, own)
    with pytest.raises(MemoryError, match=r"2 x 5000 decisions needs .* needed at most 3750 decisions, or float16"):
        build_memory(with_replay(config, partitions={"old": 0.5}), own, [other])


def test_another_run_is_seen_with_this_run_s_observation_and_reward(replay: MemoryReplay) -> None:
    plain = small_config("prosthetics-round2")
    wished = with_environment(plain, observation="original", shaping={"forward_velocity": 2.0})
    old = collected(replay, "old", plain)
    directly = collected(replay, "direct", wished)
    own = open_run(replay, wished)
    config = with_replay(wished, partitions={"old": 1.0})
    memory = build_memory(config, own, [old])
    memory.follow(replay, RUN)
    reference = build_mirror(wished, directly)
    reference.follow(replay, "direct")
    assert memory.transitions == reference.transitions
    # The same actions in the same body: but for float32 states, the rewards are those that would have been stored.
    mine, theirs = memory.sample(200, GENERATOR(0)), reference.sample(200, GENERATOR(0))
    np.testing.assert_array_equal(mine.observation, theirs.observation)
    np.testing.assert_allclose(mine.reward, theirs.reward, rtol=1e-4, atol=1e-5)
    assert not np.allclose(mine.reward, _rewards_as_stored(replay, plain, old))


def test_stored_states_are_paid_by_the_other_reward_and_seen_as_the_environment_shows_them(
    replay: MemoryReplay,
) -> None:
    stored = small_config("prosthetics-round2")
    old = collected(replay, "old", stored)
    wished = with_environment(stored, observation="original", reward="round1")
    own = open_run(replay, wished)
    assert (old.observation.split("/")[0], old.reward) == ("compact", "round2/1")
    assert (own.observation.split("/")[0], own.reward) == ("original", "round1/1")
    memory = build_memory(with_replay(wished, partitions={"old": 0.5}), own, [old])
    memory.follow(replay, RUN)
    forward = own.state_names.index("body_vel/pelvis/x")
    scale, gamma = wished.learner.reward_scale, wished.replay.gamma
    environment = fake_environment(wished.environment)
    seen: list[Any] = []
    paid: list[float] = []
    for episode in replay.episodes_after("old", {}):
        steps = replay.timesteps(episode)
        decisions = np.flatnonzero(steps.decision).tolist()
        shown, _ = environment.reset(seed=episode.start.seed)
        for begin, end in itertools.pairwise([*decisions, episode.length + 1]):
            seen.append(shown)
            velocities = steps.state[begin:end, forward].astype(np.float64).tolist()
            paid.append(sum(gamma**i * scale * (9.0 - (vx - 3.0) ** 2) for i, vx in enumerate(velocities)))
            shown, *_ = environment.step(steps.policy_action[begin])
        seen.append(shown)
        paid.append(0.0)
    batch = memory.sample(500, GENERATOR(0))
    assert batch.number is not None
    point = batch.number & ((1 << 56) - 1)
    assert len(np.unique(point)) > 50
    np.testing.assert_allclose(batch.reward, np.array(paid)[point], rtol=1e-6)
    np.testing.assert_array_equal(batch.observation, np.array(seen)[point])
    np.testing.assert_array_equal(batch.next_observation, np.array(seen)[point + 1])


def _rewards_as_stored(replay: MemoryReplay, config: RunConfig, run: Run) -> Any:
    mirror = build_mirror(config, run)
    mirror.follow(replay, run.name)
    return mirror.sample(200, GENERATOR(0)).reward


def test_a_run_with_another_body_is_refused(replay: MemoryReplay) -> None:
    config = small_config()
    own = open_run(replay, config)
    other = dataclasses.replace(own, name="other", layout_sha256="0" * 64)
    with pytest.raises(ValueError, match="can not learn from run 'other'"):
        build_memory(with_replay(config, partitions={"other": 0.5}), own, [other])


def test_hindsight_asks_for_what_was_reached_and_pays_for_it(replay: MemoryReplay) -> None:
    config = small_config("prosthetics-round2")
    run = collected(replay, RUN, config)
    layout = layout_of(run)
    episodes = replay.episodes_after(RUN, {})
    steps = replay.read(episodes)
    seen = Hindsight(layout)(steps)
    asked = layout.where(TARGET_VELOCITY)
    for number, episode in enumerate(episodes):
        before, after = steps.episode(number).state, seen.episode(number).state
        mean = before[:, layout.where("body_vel/pelvis/x", "body_vel/pelvis/z")].mean(axis=0)
        np.testing.assert_allclose(after[:, asked[[0, 2]]], np.tile(mean, (episode.length + 1, 1)), rtol=1e-5)
        others = np.setdiff1d(np.arange(layout.size), asked[[0, 2]])
        np.testing.assert_array_equal(after[:, others], before[:, others])
    mirror = build_mirror(with_replay(config, hindsight_share=0.5), run, hindsight=True)
    mirror.append(episodes[:1], replay.read(episodes[:1]))
    first = seen.episode(0).state.astype(np.float64)
    paid = np.sum(list(TASK_REWARDS["round2"](layout).evaluate(first).values()), axis=0)
    scale, gamma = config.learner.reward_scale, config.replay.gamma
    held = scale * sum(gamma**i * paid[1 + i] for i in range(4))
    batch = mirror.sample(300, GENERATOR(0))
    assert np.isclose(batch.reward, held, rtol=1e-5).any(), "the reward of the first held action"


def test_a_mixture_resumes_with_the_same_batches_and_fills_a_part_that_is_new(replay: MemoryReplay) -> None:
    config = small_config()
    own, other = collected(replay, RUN, config), collected(replay, "old", config)
    before = with_replay(config, partitions={"old": 0.5}, sampling={"name": "prioritised"})
    learner = build_learner(before, own, [other])
    learner.mirror.follow(replay, RUN)
    for _ in range(5):
        learner.learn()
    saved = learner.state()
    resumed = build_learner(before, own, [other])
    resumed.restore(saved, replay, RUN)
    for _ in range(5):
        learner.learn()
        resumed.learn()
    for name, array in learner.state().tensors.items():
        np.testing.assert_array_equal(resumed.state().tensors[name], array, err_msg=name)
    more = build_learner(with_replay(before, hindsight_share=0.25), own, [other])
    more.restore(saved, replay, RUN)
    more.mirror.follow(replay, RUN)
    alone = build_learner(small_config(), own)
    alone.restore(saved, replay, RUN)
    assert alone.mirror.follow(replay, RUN) == alone.mirror.taken_steps > 0
    assert isinstance(more.mirror, Mixture)
    assert more.mirror.parts[-1].memory.transitions == more.mirror.parts[0].memory.transitions


@pytest.mark.parametrize("sampling", list(SAMPLERS))
def test_a_learner_learns_with_every_way_to_sample(replay: MemoryReplay, sampling: str) -> None:
    config = with_replay(small_config(), sampling={"name": sampling}, mirror_floats="float16")
    run = collected(replay, RUN, config)
    learner = build_learner(config, run)
    learner.mirror.follow(replay, RUN)
    for _ in range(3):
        learner.learn()
        assert np.isfinite(list(learner.metrics().values())).all()


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.6}, {"a": 0.0}, {"a": -0.1}])
def test_shares_that_are_none_are_refused(shares: Mapping[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares of a batch"):
        with_replay(small_config(), partitions=dict(shares))
    with pytest.raises(ConfigError, match="shares of a batch"):
        with_replay(small_config(), partitions={"a": 0.7}, hindsight_share=0.4)
    with pytest.raises(ValueError, match="add up to 1"):
        Mixture([Part("own", Mixture.__new__(Mixture), 0.4)])
