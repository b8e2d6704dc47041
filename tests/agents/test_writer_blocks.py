"""Many timesteps at once: the same bytes, the same refusals, and the same sums as one at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest

from agents.replay.contract import RefusedTimestep
from agents.replay.guards import check, check_block
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode, EpisodeStart
from agents.replay.writer import LogWriter
from environment.timestep import TimeStep
from tests.agents.spools import block_of
from tests.contracts.replay_samples import ACTION_SIZE, STATE_SIZE, sample_episode, sample_run

START = EpisodeStart(seed=7, policy_version=3)
judge = partial(check_block, state_size=STATE_SIZE, action_size=ACTION_SIZE)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every timestep is written at the same time of day."""
    monkeypatch.setattr("agents.replay.writer.utc_now", lambda: datetime(2026, 11, 21, 12, 0, 0, 123000, UTC))


@pytest.fixture
def log() -> MemoryReplay:
    store = MemoryReplay()
    store.open_run(sample_run())
    return store


def write(log: MemoryReplay, steps: list[TimeStep], parts: Sequence[int] | None, batch: int = 7) -> Episode:
    """In blocks of so many timesteps; None adds one at a time."""
    writer = log.writer("run", "w", batch=batch)
    writer.begin(START, steps[0])
    if parts is None:
        for step in steps[1:]:
            writer.add(step)
    else:
        taken = 1
        for size in parts:
            writer.add_many(block_of(steps[taken : taken + size]))
            taken += size
    return writer.end(ended="fall", reward_terms={"all": sum(s.reward for s in steps)}, step_ms_mean=1.0)


@pytest.mark.parametrize("parts", [[30], [1] * 30, [13, 17], [7, 7, 7, 7, 2], [29, 1]], ids=str)
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_blocks_are_stored_byte_for_byte_as_single_timesteps(log: MemoryReplay, parts: list[int], batch: int) -> None:
    other = MemoryReplay()
    other.open_run(sample_run())
    steps = sample_episode(3, 30, frame_skip=4)
    single, blocks = write(other, steps, None, batch), write(log, steps, parts, batch)
    assert blocks == single
    assert log.read_timesteps(0, 2**62) == other.read_timesteps(0, 2**62)


GOOD = sample_episode(5, 12, fall=False)[1:]
SPOILED: dict[str, dict[str, Any]] = {
    "state not a number": {"state": np.full(STATE_SIZE, np.nan, np.float32)},
    "state infinite in one place": {"state": np.array([0, 1, 2, 3, -np.inf], np.float32)},
    "excitation below 0": {"excitation": np.array([0.5, -0.1, 0.5], np.float32)},
    "excitation above 1": {"excitation": np.array([0.5, 1.1, 0.5], np.float32)},
    "excitation not a number": {"excitation": np.array([0.5, np.nan, 0.5], np.float32)},
    "policy action below -1": {"policy_action": np.array([0.5, -1.1, 0.5], np.float32)},
    "policy action above 1": {"policy_action": np.array([0.5, 1.1, 0.5], np.float32)},
    "policy action not a number": {"policy_action": np.array([np.nan, 0, 0], np.float32)},
    "reward not a number": {"reward": float("nan")},
    "reward infinite": {"reward": float("-inf")},
}


@pytest.mark.parametrize("row", [0, 4, 11])
@pytest.mark.parametrize("what", SPOILED)
def test_a_block_is_refused_from_its_bad_row_on_in_the_words_of_a_single_timestep(
    log: MemoryReplay, what: str, row: int
) -> None:
    steps = list(GOOD)
    steps[row] = dataclasses.replace(steps[row], **SPOILED[what])
    with pytest.raises(RefusedTimestep) as alone:
        check(steps[row], state_size=STATE_SIZE, action_size=ACTION_SIZE, previous=row)
    writer = log.writer("run", "w", batch=5)
    writer.begin(START, sample_episode(5, 12)[0])
    with pytest.raises(RefusedTimestep) as refusal:
        writer.add_many(block_of(steps))
    assert (refusal.value.reason, str(refusal.value)) == (alone.value.reason, str(alone.value))
    writer.add_many(block_of(GOOD[row:]))
    episode = writer.abort()
    assert episode is not None
    np.testing.assert_array_equal(log.timesteps(episode).state[1:], [step.state for step in GOOD])
    assert episode.episode_return == sum(step.reward for step in GOOD)
    (event,) = log.events("run", "refused")
    assert (event["details"]["count"], event["details"]["first"]) == (1, str(alone.value))


def test_nothing_in_a_block_follows_the_end_of_the_episode(log: MemoryReplay) -> None:
    steps = list(GOOD)
    steps[3] = dataclasses.replace(steps[3], terminated=True)
    assert judge(block_of(steps), previous=0)[0] == 4
    writer = log.writer("run", "w")
    writer.begin(START, sample_episode(5, 12)[0])
    for taken in (4, 4):
        with pytest.raises(RefusedTimestep, match="which ended the episode") as refusal:
            writer.add_many(block_of(steps))
        assert refusal.value.reason == "after_end"
        assert writer._open is not None
        assert writer._open.last.step == taken


def test_a_block_can_not_begin_an_episode_with_a_held_action() -> None:
    steps = [dataclasses.replace(GOOD[0], decision=False), *GOOD[1:]]
    taken, refusal = judge(block_of(steps), previous=0)
    assert taken == 0
    assert refusal is not None
    assert refusal.reason == "out_of_order"
    assert judge(block_of(steps), previous=1) == (12, None)


@pytest.mark.parametrize("column", ["state", "excitation", "policy_action"])
def test_a_block_of_another_width_is_refused_at_once(column: str) -> None:
    block = block_of(GOOD)
    narrow = dataclasses.replace(block, **{column: getattr(block, column)[:, :-1]})
    taken, refusal = judge(narrow, previous=0)
    assert taken == 0
    assert refusal is not None
    assert refusal.reason == "wrong_width"


def test_float64_columns_are_judged_by_what_would_be_stored(log: MemoryReplay) -> None:
    block = block_of(GOOD)
    wide = dataclasses.replace(block, state=block.state.astype(np.float64))
    assert judge(wide, previous=0) == (12, None)
    wide.state[7, 2] = 1e39
    taken, refusal = judge(wide, previous=0)
    assert taken == 7
    assert refusal is not None
    assert refusal.reason == "not_finite"


def test_columns_of_different_lengths_are_no_block() -> None:
    block = block_of(GOOD)
    with pytest.raises(ValueError, match="as many rows in each"):
        dataclasses.replace(block, reward=block.reward[:-1])


def test_no_timesteps_are_a_block_too(log: MemoryReplay) -> None:
    writer: LogWriter = log.writer("run", "w")
    writer.begin(START, sample_episode(5, 12)[0])
    writer.add_many(block_of(GOOD)[:0])
    episode = writer.abort()
    assert episode is not None
    assert episode.length == 0


@pytest.mark.parametrize("bad", [1.1, -1.1, float("nan")])
@pytest.mark.parametrize("column", ["excitation", "policy_action"])
def test_an_action_that_is_held_for_all_of_a_block_is_judged_as_one_that_is_repeated(column: str, bad: float) -> None:
    block = block_of(GOOD)
    held = np.array([0.5, bad, 0.5], np.float32)
    one_by_one: dict[str, Any] = {column: np.repeat(held[None], len(block), axis=0)}
    at_once: dict[str, Any] = {column: np.broadcast_to(held, (len(block), 3))}
    repeated, shared = dataclasses.replace(block, **one_by_one), dataclasses.replace(block, **at_once)
    (taken, refusal), (needed, reason) = judge(shared, previous=0), judge(repeated, previous=0)
    assert (taken, str(refusal)) == (needed, str(reason))
    assert taken == 0
    good: dict[str, Any] = {column: np.broadcast_to(held[:1], (len(block), 3))}
    assert judge(dataclasses.replace(block, **good), previous=0) == (12, None)
