"""A partition whose share of every batch goes down to nothing, so that demonstrations are left behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.build import build_learner
from agents.config import RunConfig
from agents.memory import build_memory
from agents.plain import ConfigError
from agents.replay.memory import MemoryReplay
from agents.replay.mixture import Mixture, Part
from agents.replay.runs import Run
from tests.runs import RUN, explore, open_run, small_config

GENERATOR = np.random.default_rng


def fading(**replay: Any) -> RunConfig:
    plain = small_config().plain()
    plain["replay"] |= {"partitions": {"old": 0.5}, "fade_updates": {"old": 8}} | replay
    return RunConfig.of(plain)


@pytest.fixture
def replay() -> MemoryReplay:
    return MemoryReplay()


def collected(replay: MemoryReplay, name: str) -> Run:
    run = open_run(replay, small_config(), name)
    explore(replay, small_config(), run, 400)
    return run


def drawn(memory: Any, batches: int) -> list[list[int]]:
    """How many decisions of each of these batches are of each part."""
    numbers = [memory.sample(64, GENERATOR(batch)).number for batch in range(batches)]
    return [np.bincount(number >> 56, minlength=len(memory.parts)).tolist() for number in numbers]


def test_a_share_goes_down_in_a_straight_line_and_what_is_left_goes_to_the_others(replay: MemoryReplay) -> None:
    own, other = collected(replay, RUN), collected(replay, "old")
    memory = build_memory(fading(), own, [other])
    memory.follow(replay, RUN)
    assert isinstance(memory, Mixture)
    of_the_old = [old for _, old in drawn(memory, 11)]
    shares = [0.5 * max(0.0, 1.0 - batch / 8) for batch in range(11)]
    wanted = [round(64 * share / (0.5 + share)) for share in shares]
    assert of_the_old == wanted
    assert wanted[0] == 32
    assert wanted[8:] == [0, 0, 0]


def test_hindsight_of_a_partition_fades_with_it(replay: MemoryReplay) -> None:
    own, other = collected(replay, RUN), collected(replay, "old")
    memory = build_memory(fading(hindsight_share=0.25), own, [other])
    memory.follow(replay, RUN)
    assert isinstance(memory, Mixture)
    assert [part.name for part in memory.parts] == ["own", "run.old", "hindsight", "hindsight.old"]
    sizes = drawn(memory, 9)
    assert all(size > 0 for size in sizes[0])
    assert sizes[8][1] == sizes[8][3] == 0 < sizes[8][2]


def test_what_has_faded_is_no_longer_there_to_be_learned_from(replay: MemoryReplay) -> None:
    """Else a learner without timesteps of its own would ask for batches that nothing is left for."""
    own, other = open_run(replay, small_config(), RUN), collected(replay, "old")
    memory = build_memory(fading(), own, [other])
    memory.follow(replay, RUN)
    assert memory.transitions > 0
    drawn(memory, 8)
    assert memory.transitions == 0
    with pytest.raises(ValueError, match="holds no transition yet"):
        memory.sample(4, GENERATOR(0))
    explore(replay, small_config(), own, 100)
    memory.follow(replay, RUN)
    assert memory.transitions > 0
    assert drawn(memory, 1)[0][1] == 0


@pytest.mark.parametrize("sampling", ["uniform", "prioritised"])
def test_a_learner_that_is_resumed_in_the_middle_of_it_goes_on_to_the_bit(replay: MemoryReplay, sampling: str) -> None:
    own, other = collected(replay, RUN), collected(replay, "old")
    config = fading(sampling={"name": sampling})
    learner = build_learner(config, own, [other])
    learner.mirror.follow(replay, RUN)
    for _ in range(5):
        learner.learn()
    saved = learner.state()
    resumed = build_learner(config, own, [other])
    resumed.restore(saved, replay, RUN)
    for _ in range(6):  # past the end of the fading
        learner.learn()
        resumed.learn()
    one, two = learner.state().tensors, resumed.state().tensors
    assert int(one["mirror/drawn"][0]) == 11
    assert one.keys() == two.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(two[name], array, err_msg=name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fade_updates": {"new": 10}}, "names 'new', which is no partition; there are: old"),
        ({"fade_updates": {"old": 0}}, "a whole number from 1"),
        ({"partitions": {"old": 1.0}}, "leave nothing to learn from once old has faded"),
        ({"partitions": {"old": 0.5}, "hindsight_share": 0.5}, "leave nothing to learn from"),
    ],
)
def test_fading_that_could_not_work_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fading(**settings)


def test_a_mixture_of_which_all_fades_is_refused() -> None:
    with pytest.raises(ValueError, match="needed one that stays"):
        Mixture([Part("old", Mixture.__new__(Mixture), 1.0, "old", 10)])
