"""What every replay store must keep of its promises."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.replay.codec import TimestepCodec
from agents.replay.columns import TimestepBlock
from agents.replay.contract import RefusedTimestep, Replay
from agents.replay.documents import episode_document, utc_now
from agents.replay.ids import EPISODE_BITS, STEP_BITS, episode_id
from agents.replay.log import Log
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import ABORTED, Counts, Episode, EpisodeStart
from agents.replay.writer import LogWriter
from environment.timestep import TimeStep
from tests.contracts.replay_samples import (
    ACTION_SIZE,
    STATE_SIZE,
    later_step,
    reset_step,
    sample_episode,
    sample_run,
    write_episode,
)

START = EpisodeStart(
    seed=11,
    policy_version=4,
    purpose="explore",
    exploration={"kind": "gaussian", "sigma": 0.25},
    physics="fake/1",
    start={"kind": "replay", "episode": 1 << 40, "step": 7},
)


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.mongo)])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    if request.param == "memory":
        store: Log = MemoryReplay()
    else:
        store = MongoReplay(request.getfixturevalue("mongodb_uri"), request.getfixturevalue("database_name"))
    yield store
    store.close()


@pytest.fixture
def replay(log: Log) -> Log:
    log.open_run(sample_run())
    return log


def _die_in(replay: Replay, steps: list[TimeStep], *, worker: str = "w", batch: int = 4) -> LogWriter:
    """A worker that writes these timesteps and is never heard of again."""
    writer = replay.writer("run", worker, batch=batch)
    assert isinstance(writer, LogWriter)
    writer.begin(START, steps[0])
    for step in steps[1:]:
        writer.add(step)
    return writer


def test_an_implementation_is_a_replay(log: Log) -> None:
    promised: Replay = log
    assert promised.runs() == []


def test_an_episode_of_t_steps_is_t_plus_one_timesteps_bit_for_bit(replay: Log) -> None:
    steps = sample_episode(1, 37, frame_skip=3)
    episode = write_episode(replay.writer("run", "w", batch=10), steps, START)
    found = replay.timesteps(episode)
    assert episode.length == 37
    assert replay.counts("run").timesteps == 38
    assert found.state.dtype == found.excitation.dtype == found.policy_action.dtype == np.float32
    np.testing.assert_array_equal(found.state, [step.state for step in steps])
    np.testing.assert_array_equal(found.excitation, [step.excitation for step in steps])
    np.testing.assert_array_equal(found.policy_action, [step.policy_action for step in steps])
    assert found.decision.tolist() == [step.decision for step in steps]
    assert found.reward.tolist() == [step.reward for step in steps]
    assert found.terminated.tolist() == [step.terminated for step in steps]
    assert found.truncated.tolist() == [step.truncated for step in steps]
    assert found.policy_version.tolist() == [4] * 38


def test_an_episode_document_is_read_as_it_was_written(replay: Log) -> None:
    written = write_episode(replay.writer("run", "w"), sample_episode(2, 5), START)
    assert replay.episodes_after("run", {}) == [written]
    assert written.start == START
    assert written.ended == "fall"
    assert (written.terminated, written.truncated) == (True, False)
    assert sum(written.reward_terms.values()) == pytest.approx(written.episode_return)
    total = sum(step.reward for step in sample_episode(2, 5))
    assert written.round_returns == {"round1": -total, "round2": total / 3}
    assert written.started <= written.finished


def test_an_episode_document_of_before_both_rounds_were_logged_tells_none(replay: Log) -> None:
    writer = replay.writer("run", "w")
    written = write_episode(writer, sample_episode(2, 5), START)
    older = episode_document(dataclasses.replace(written, id=written.id + 1))
    del older["round_returns"]
    replay.insert_episode(older)
    assert [one.round_returns for one in replay.episodes_after("run", {})] == [written.round_returns, {}]
    assert replay.episode(written.id + 1) == dataclasses.replace(written, id=written.id + 1, round_returns={})


def test_an_episode_is_found_by_its_id_alone(replay: Log) -> None:
    replay.open_run(sample_run("other"))
    written = [write_episode(replay.writer(run, "w"), sample_episode(2, 5), START) for run in ("run", "other")]
    assert [replay.episode(one.id) for one in written] == written
    with pytest.raises(KeyError, match=f"no episode {written[1].id + 1} is stored"):
        replay.episode(written[1].id + 1)


def test_ids_follow_from_writer_number_and_step(replay: Log) -> None:
    writer = replay.writer("run", "w")
    ids = [write_episode(writer, sample_episode(seed, 3)).id for seed in range(3)]
    assert ids == [episode_id(writer.writer, number) for number in range(3)]
    assert [id >> EPISODE_BITS for id in ids] == [writer.writer] * 3
    assert replay.last_timestep(writer.writer) == ids[-1] << STEP_BITS | 3


def test_every_life_has_its_own_number_whatever_the_run(replay: Log) -> None:
    replay.open_run(sample_run("other"))
    numbers = [replay.writer(run, worker).writer for run in ("run", "other") for worker in ("a", "b", "a")]
    assert len(set(numbers)) == 6


def test_workers_that_start_at_once_get_different_numbers(replay: Log) -> None:
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: numbers.append(replay.writer("run", f"w{n}").writer)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 8


def test_a_batch_written_again_leaves_the_log_as_it_was(replay: Log) -> None:
    steps = sample_episode(3, 9)
    writer = _die_in(replay, steps[:5], batch=5)
    rows = writer._rows
    replay.insert_timesteps(rows, again=True)
    replay.insert_timesteps(rows[2:4], again=True)
    assert replay.counts("run").timesteps == 5


def test_a_half_written_batch_is_completed_by_the_retry(replay: Log) -> None:
    writer = _die_in(replay, sample_episode(3, 9)[:5], batch=8)
    replay.insert_timesteps(writer._rows[1:3], again=False)
    replay.insert_timesteps(writer._rows[:5], again=True)
    assert replay.counts("run").timesteps == 5


def test_ids_that_another_process_wrote_are_no_retry(replay: Log) -> None:
    writer = _die_in(replay, sample_episode(3, 9)[:5], batch=5)
    with pytest.raises(RuntimeError, match="another process"):
        replay.insert_timesteps(writer._rows, again=False)


def test_two_processes_with_one_writer_number_are_found_out(replay: Log) -> None:
    steps = sample_episode(3, 9)
    first = _die_in(replay, steps[:5], batch=5)
    codec = TimestepCodec("run", STATE_SIZE, ACTION_SIZE)
    second = LogWriter(replay, codec, run="run", worker="w", writer=first.writer, batch=5)
    with pytest.raises(RuntimeError, match="another process"):
        write_episode(second, steps)


def test_the_episode_document_comes_after_all_its_timesteps(replay: Log) -> None:
    steps = sample_episode(4, 10)
    writer = _die_in(replay, steps, batch=4)
    assert replay.episodes_after("run", {}) == []
    assert replay.counts("run").timesteps == 8, "only full batches are written before the end"
    episode = writer.end(ended="fall", reward_terms={"all": sum(s.reward for s in steps)}, step_ms_mean=1.0)
    assert replay.episodes_after("run", {}) == [episode]
    assert len(replay.timesteps(episode).reward) == 11


def test_the_same_episode_document_again_is_no_error_and_another_is(replay: Log) -> None:
    episode = write_episode(replay.writer("run", "w"), sample_episode(5, 3))
    replay.insert_episode(episode_document(episode))
    with pytest.raises(RuntimeError, match="newer life"):
        replay.insert_episode(episode_document(dataclasses.replace(episode, length=2)))
    assert replay.episodes_after("run", {}) == [episode]


def test_an_end_that_was_interrupted_is_finished_by_the_abort(replay: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = sample_episode(5, 6)
    writer = _die_in(replay, steps)
    insert, calls = replay.insert_episode, []

    def insert_and_be_interrupted(document: dict[str, Any]) -> None:
        insert(document)
        calls.append(document)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(replay, "insert_episode", insert_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.end(ended="fall", reward_terms={"all": sum(s.reward for s in steps)}, step_ms_mean=1.0)
    episode = writer.abort()
    assert len(calls) == 2
    assert episode is not None
    assert episode.ended == "fall"
    assert replay.episodes_after("run", {}) == [episode]


def test_many_episodes_come_in_the_order_asked(replay: Log) -> None:
    first, second = replay.writer("run", "a"), replay.writer("run", "b")
    written = [write_episode(w, sample_episode(10 + i, 2 + i)) for i, w in enumerate([first, second, first, first])]
    asked = [written[3], written[1], written[0], written[2]]
    found = replay.timesteps_of(asked)
    assert [data.episode for data in found] == [episode.id for episode in asked]
    assert [len(data.reward) for data in found] == [6, 4, 3, 5]
    np.testing.assert_array_equal(found[1].state, replay.timesteps(written[1]).state)


def test_columns_of_one_episode_are_copies_that_outlive_what_was_read(replay: Log) -> None:
    episode = write_episode(replay.writer("run", "w"), sample_episode(3, 6))
    columns = replay.timesteps(episode)
    assert columns.state.flags["C_CONTIGUOUS"]
    assert columns.state.flags["OWNDATA"]
    assert columns.state.shape == (7, STATE_SIZE)


def test_many_episodes_are_read_as_columns_by_id(replay: Log) -> None:
    first, second = replay.writer("run", "a"), replay.writer("run", "b")
    written = [write_episode(w, sample_episode(10 + i, 2 + i)) for i, w in enumerate([first, second, first, first])]
    found = replay.read([written[3], written[1], written[0]])
    assert list(found.episodes) == [written[0], written[3], written[1]]
    assert found.first.tolist() == [0, 3, 9]
    for number, episode in enumerate(found.episodes):
        alone, part = replay.timesteps(episode), found.episode(number)
        for name in ("state", "excitation", "policy_action", "decision", "reward", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(part, name), getattr(alone, name), name)
    assert len(found.state) == 3 + 6 + 4


def test_timesteps_that_belong_to_no_episode_are_not_read(replay: Log) -> None:
    writer = replay.writer("run", "w")
    episodes = [write_episode(writer, sample_episode(seed, 4)) for seed in (1, 2)]
    last = replay.timesteps(episodes[0])
    codec = TimestepCodec("run", STATE_SIZE, ACTION_SIZE)
    rows = codec.blank(1)
    late = later_step(np.random.default_rng(0), 5)
    codec.write(rows, 0, late, episode=episodes[0].id, policy_version=1, time=episodes[0].finished)
    replay.insert_timesteps(rows, again=False)
    found = replay.read(episodes)
    assert found.first.tolist() == [0, 5]
    np.testing.assert_array_equal(found.episode(0).state, last.state)
    np.testing.assert_array_equal(found.episode(1).state, replay.timesteps(episodes[1]).state)


def test_a_reader_is_woken_by_a_new_episode(replay: Log) -> None:
    writer = replay.writer("run", "w")
    news = replay.news("run")
    woken: list[int] = []

    def read() -> None:
        while not woken:
            news.wait(600.0)
            woken.extend(episode.id for episode in replay.episodes_after("run", {}))

    reader = threading.Thread(target=read)
    reader.start()
    episode = write_episode(writer, sample_episode(1, 3))
    reader.join(120.0)
    news.close()
    assert woken == [episode.id]


def test_an_episode_that_came_before_the_wait_ends_it_at_once(replay: Log) -> None:
    news = replay.news("run")
    write_episode(replay.writer("run", "w"), sample_episode(1, 3))
    waiting = threading.Thread(target=news.wait, args=(600.0,))
    waiting.start()
    waiting.join(120.0)
    assert not waiting.is_alive()
    news.close()


def test_closing_ends_a_wait_from_another_thread(replay: Log) -> None:
    news = replay.news("run")
    waiting = threading.Thread(target=news.wait, args=(600.0,))
    waiting.start()
    news.close()
    waiting.join(120.0)
    assert not waiting.is_alive()


def test_a_gap_in_the_log_is_named(replay: Log) -> None:
    episode = write_episode(replay.writer("run", "w"), sample_episode(6, 8))
    replay.delete_timesteps([episode.id << STEP_BITS | 2, episode.id << STEP_BITS | 5])
    with pytest.raises(LookupError, match="found 7 timesteps, needed 9; missing steps 2, 5"):
        replay.timesteps(episode)


def test_a_restart_marks_the_open_episode_aborted_and_never_mixes(replay: Log) -> None:
    steps = sample_episode(7, 20)
    dead = _die_in(replay, steps[:11], batch=4)
    fresh = replay.writer("run", "w", batch=4)
    assert fresh.writer != dead.writer
    (aborted,) = replay.episodes_after("run", {})
    assert aborted.ended == ABORTED
    assert aborted.start == START
    assert aborted.length == 7, "the last batch was never written"
    assert (aborted.terminated, aborted.truncated) == (False, True)
    assert aborted.episode_return == pytest.approx(sum(step.reward for step in steps[:8]))
    found = replay.timesteps(aborted)
    np.testing.assert_array_equal(found.state, [step.state for step in steps[:8]])
    assert found.truncated.tolist() == [False] * 7 + [True]
    after = write_episode(fresh, sample_episode(8, 3))
    assert after.id >> EPISODE_BITS != aborted.id >> EPISODE_BITS
    assert replay.episodes_after("run", {}) == [aborted, after]
    assert replay.counts("run").aborted == 1


def test_a_restart_leaves_other_workers_alone(replay: Log) -> None:
    running = _die_in(replay, sample_episode(7, 9)[:9], worker="other")
    replay.writer("run", "w")
    assert replay.episodes_after("run", {}) == []
    assert running.abort() is not None


def test_a_former_life_that_is_not_dead_learns_that_it_was_replaced(replay: Log) -> None:
    steps = sample_episode(7, 9)
    zombie = _die_in(replay, steps[:6])
    replay.writer("run", "w")
    with pytest.raises(RuntimeError, match="newer life"):
        zombie.abort()
    (episode,) = replay.episodes_after("run", {})
    assert len(replay.timesteps(episode).reward) == episode.length + 1


def test_an_episode_that_fell_just_before_the_crash_keeps_its_fall(replay: Log) -> None:
    _die_in(replay, sample_episode(7, 7, fall=True), batch=4)
    (closed,) = replay.close_abandoned("run")
    assert closed.ended == ABORTED
    assert (closed.terminated, closed.truncated) == (True, False)
    assert replay.timesteps(closed).truncated.tolist() == [False] * 8


def test_a_half_written_batch_of_a_dead_worker_keeps_the_steps_before_the_gap(replay: Log) -> None:
    steps = sample_episode(9, 30)
    writer = _die_in(replay, steps[:15], batch=8)
    for index in (0, 1, 2, 4, 6):
        replay.insert_timesteps(writer._rows[index : index + 1], again=False)
    (closed,) = replay.close_abandoned("run")
    assert closed.length == 10
    assert replay.counts("run").timesteps == 11
    np.testing.assert_array_equal(replay.timesteps(closed).state, [step.state for step in steps[:11]])
    (event,) = replay.events("run", "stray_timesteps_deleted")
    assert event["details"]["missing_step"] == 11
    assert event["details"]["count"] == 2


def test_a_batch_without_the_reset_state_is_no_episode(replay: Log) -> None:
    writer = _die_in(replay, sample_episode(9, 30)[:6], batch=8)
    replay.insert_timesteps(writer._rows[1:6], again=False)
    assert replay.close_abandoned("run") == []
    assert replay.counts("run").timesteps == 0


def test_abandoned_episodes_of_all_workers_are_closed_once(replay: Log) -> None:
    for worker in ("a", "b"):
        _die_in(replay, sample_episode(1, 9)[:9], worker=worker)
    write_episode(replay.writer("run", "c"), sample_episode(2, 4))
    assert {episode.worker for episode in replay.close_abandoned("run")} == {"a", "b"}
    assert replay.close_abandoned("run") == []
    assert replay.counts("run") == Counts(runs=1, episodes=3, timesteps=8 + 8 + 5, events=3 + 2, aborted=2)


def test_an_aborted_episode_is_truncated_in_the_log(replay: Log) -> None:
    for written in (6, 8):
        steps = sample_episode(1, 20)[:written]
        episode = _die_in(replay, steps, batch=4).abort()
        assert episode is not None
        assert episode.ended == ABORTED
        assert episode.length == written - 1
        assert replay.timesteps(episode).truncated.tolist() == [False] * (written - 1) + [True]
        assert sum(episode.reward_terms.values()) == pytest.approx(episode.episode_return)
        assert episode.round_returns == {}, "nobody was left to tell"


def test_nothing_open_is_nothing_to_abort(replay: Log) -> None:
    writer = replay.writer("run", "w")
    assert writer.abort() is None
    write_episode(writer, sample_episode(1, 3))
    assert writer.abort() is None


def test_a_simulator_error_truncates_the_last_timestep(replay: Log) -> None:
    steps = sample_episode(1, 20)[:6]
    writer = _die_in(replay, steps, batch=4)
    total = sum(step.reward for step in steps)
    episode = writer.end(ended="simulator_error: NaN", reward_terms={"all": total}, step_ms_mean=1.0)
    assert (episode.terminated, episode.truncated) == (False, True)
    assert bool(replay.timesteps(episode).truncated[-1])


def test_an_episode_stopped_at_its_reset_is_one_timestep(replay: Log) -> None:
    episode = _die_in(replay, sample_episode(1, 20)[:1]).abort()
    assert episode is not None
    assert episode.length == 0
    assert len(replay.timesteps(episode).reward) == 1


def test_interleaved_workers_stay_apart(replay: Log) -> None:
    first, second = (replay.writer("run", worker, batch=3) for worker in ("a", "b"))
    ours, theirs = sample_episode(21, 10), sample_episode(22, 10, fall=False)
    first.begin(START, ours[0])
    second.begin(START, theirs[0])
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        first.add(mine)
        second.add(other)
    for writer, steps, name in ((second, theirs, "time_limit"), (first, ours, "fall")):
        total = sum(step.reward for step in steps)
        episode = writer.end(ended=name, reward_terms={"all": total}, step_ms_mean=1.0)
        np.testing.assert_array_equal(replay.timesteps(episode).state, [step.state for step in steps])


def test_watermarks_never_miss_nor_repeat_an_episode(replay: Log) -> None:
    rng = np.random.default_rng(0)
    writers = [replay.writer("run", f"w{i}") for i in range(3)]
    marks: dict[int, int] = {}
    written: list[int] = []
    taken: list[int] = []
    for round_ in range(30):
        if round_ == 15:
            writers.append(replay.writer("run", "late"))
        written.append(write_episode(writers[rng.integers(len(writers))], sample_episode(round_, 2)).id)
        if round_ % 4 == 3:
            new = replay.episodes_after("run", marks)
            assert [episode.id for episode in new] == sorted(episode.id for episode in new)
            marks.update({episode.writer: episode.id for episode in new})
            taken += [episode.id for episode in new]
    taken += [episode.id for episode in replay.episodes_after("run", marks)]
    assert sorted(taken) == sorted(written)
    assert len(set(taken)) == len(taken) == 30


def test_watermarks_do_not_reach_into_other_runs(replay: Log) -> None:
    replay.open_run(sample_run("other"))
    write_episode(replay.writer("other", "w"), sample_episode(1, 2))
    mine = write_episode(replay.writer("run", "w"), sample_episode(1, 3))
    assert replay.episodes_after("run", {}) == [mine]
    assert replay.counts("run").timesteps == 4
    assert replay.counts("other").timesteps == 3


def _with(timestep: TimeStep, **changes: object) -> TimeStep:
    return dataclasses.replace(timestep, **changes)  # type: ignore[arg-type]


def _spoiled(values: NDArray[Any], value: float) -> NDArray[Any]:
    copy = values.copy()
    copy[1] = value
    return copy


GOOD = later_step(np.random.default_rng(5), 1)
REFUSED = {
    "state not a number": (_with(GOOD, state=_spoiled(GOOD.state, np.nan)), "not_finite"),
    "state too large for float32": (_with(GOOD, state=_spoiled(GOOD.state.astype(np.float64), 1e39)), "not_finite"),
    "reward infinite": (_with(GOOD, reward=float("inf")), "not_finite"),
    "action not a number": (_with(GOOD, policy_action=_spoiled(GOOD.policy_action, np.nan)), "not_finite"),
    "excitation below 0": (_with(GOOD, excitation=_spoiled(GOOD.excitation, -1.0)), "out_of_range"),
    "excitation above 1": (_with(GOOD, excitation=_spoiled(GOOD.excitation, 1.001)), "out_of_range"),
    "policy action below -1": (_with(GOOD, policy_action=_spoiled(GOOD.policy_action, -1.001)), "out_of_range"),
    "state too narrow": (_with(GOOD, state=GOOD.state[:-1]), "wrong_width"),
    "action too wide": (_with(GOOD, excitation=np.zeros(ACTION_SIZE + 1, np.float32)), "wrong_width"),
    "state as a column": (_with(GOOD, state=GOOD.state.reshape(STATE_SIZE, 1)), "wrong_width"),
    "step left out": (_with(GOOD, step=2), "out_of_order"),
    "step repeated": (_with(GOOD, step=0), "out_of_order"),
    "held from nothing": (_with(GOOD, decision=False), "out_of_order"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_timestep_is_refused_and_counted_and_the_episode_goes_on(replay: Log, what: str) -> None:
    bad, reason = REFUSED[what]
    writer = replay.writer("run", "w")
    writer.begin(START, reset_step(np.random.default_rng(1)))
    for _ in range(3):
        with pytest.raises(RefusedTimestep, match="needed") as refusal:
            writer.add(bad)
        assert refusal.value.reason == reason
    writer.add(GOOD)
    episode = writer.abort()
    assert episode is not None
    assert replay.timesteps(episode).reward.tolist() == [0.0, GOOD.reward]
    (event,) = replay.events("run", "refused")
    assert event["process"] == "w"
    assert (event["details"]["reason"], event["details"]["count"]) == (reason, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"excitation": np.full(ACTION_SIZE, 0.5, np.float32)},
        {"policy_action": np.full(ACTION_SIZE, -1.0, np.float32)},
        {"decision": True},
        {"reward": 1.0},
        {"terminated": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_reset_that_someone_acted_on_opens_no_episode(replay: Log, change: dict[str, object]) -> None:
    writer = replay.writer("run", "w")
    first = reset_step(np.random.default_rng(1))
    with pytest.raises(RefusedTimestep) as refusal:
        writer.begin(START, _with(first, **change))
    assert refusal.value.reason == "action_at_reset"
    assert len(replay.events("run", "refused")) == 1
    writer.begin(START, first)


def test_a_block_is_stored_as_its_timesteps_one_by_one(replay: Log) -> None:
    steps = sample_episode(1, 37, frame_skip=3)
    columns = [field.name for field in dataclasses.fields(TimestepBlock)]
    block = TimestepBlock(*(np.array([getattr(step, name) for step in steps[1:]]) for name in columns))
    writer = _die_in(replay, steps[:1], batch=10)
    writer.add_many(block)
    total = sum(step.reward for step in steps)
    ours = replay.timesteps(writer.end(ended="fall", reward_terms={"all": total}, step_ms_mean=1.0))
    single = replay.timesteps(write_episode(replay.writer("run", "other"), steps, START))
    for name in (*columns, "policy_version"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(single, name), name)


def test_a_refused_timestep_is_kept_with_its_values(replay: Log) -> None:
    writer = _die_in(replay, [reset_step(np.random.default_rng(1))])
    with pytest.raises(RefusedTimestep) as refusal:
        writer.add(_with(GOOD, reward=float("inf")))
    (kept,) = replay.quarantine("run")
    assert (kept["reason"], kept["message"], kept["reward"]) == ("not_finite", str(refusal.value), float("inf"))
    assert kept["state"] == GOOD.state.tolist()


def test_a_writer_notes_what_happened_to_its_worker(replay: Log) -> None:
    writer = replay.writer("run", "w")
    writer.note("policy_refreshed", version=np.int64(3))
    assert writer.close(10.0) == 0
    (event,) = replay.events("run", "policy_refreshed")
    assert (event["process"], event["details"]) == ("w", {"version": 3})


def test_the_same_event_again_is_left_out(replay: Log) -> None:
    event = {"run": "run", "process": "w", "kind": "any", "time": utc_now(), "details": {}}
    for _ in range(2):
        replay.insert_event({"_id": 1, **event})
        replay.insert_event(dict(event))
    assert len(replay.events("run", "any")) == 3


def test_float32_rounding_of_a_bound_is_no_reason_to_refuse(replay: Log) -> None:
    writer = replay.writer("run", "w")
    writer.begin(START, reset_step(np.random.default_rng(1)))
    writer.add(_with(GOOD, excitation=np.array([0, 1 + 5e-7, -5e-7], np.float32)))
    closed = writer.abort()
    assert closed is not None
    assert closed.length == 1


def test_nothing_follows_the_end_of_an_episode(replay: Log) -> None:
    steps = sample_episode(1, 3, fall=False)
    writer = _die_in(replay, steps)
    with pytest.raises(RefusedTimestep) as refusal:
        writer.add(later_step(np.random.default_rng(1), 4))
    assert refusal.value.reason == "after_end"


def test_episodes_do_not_overlap(replay: Log) -> None:
    writer = replay.writer("run", "w")
    with pytest.raises(RuntimeError, match="no episode is open"):
        writer.add(GOOD)
    first = reset_step(np.random.default_rng(1))
    writer.begin(START, first)
    with pytest.raises(RuntimeError, match="is open"):
        writer.begin(START, first)


def test_reward_terms_must_add_up(replay: Log) -> None:
    steps = sample_episode(1, 3)
    writer = _die_in(replay, steps)
    total = sum(step.reward for step in steps)
    with pytest.raises(ValueError, match="add up"):
        writer.end(ended="fall", reward_terms={"speed": total + 0.01}, step_ms_mean=1.0)
    assert writer.end(ended="fall", reward_terms={"speed": total}, step_ms_mean=1.0).length == 3


def test_a_run_is_opened_again_as_it_was_created(log: Log) -> None:
    created = log.open_run(sample_run(config={"layers": (64, 64), "rate": np.float64(1e-3)}))
    again = log.open_run(sample_run(config={"layers": (1, 2)}, code_version="newer"))
    assert again == created == log.run("run")
    assert created.config == {"layers": [64, 64], "rate": 1e-3}
    assert created.state_names == sample_run().state_names
    assert log.runs() == ["run"]


@pytest.mark.parametrize("name", ["layout_sha256", "task", "reward", "model_sha256"])
def test_a_run_with_other_contents_is_refused(replay: Log, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} .* needed 'another'"):
        replay.open_run(sample_run(**{name: "another"}))


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "x" * 101])
def test_a_run_name_that_is_no_folder_name_is_refused(log: Log, name: str) -> None:
    with pytest.raises(ValueError, match="run name"):
        log.open_run(sample_run(name))


def test_an_unknown_run_is_answered_with_those_that_exist(replay: Log) -> None:
    with pytest.raises(KeyError, match="there are: run"):
        replay.run("nothing")
    with pytest.raises(KeyError, match="there are: run"):
        replay.writer("nothing", "w")


def test_one_learner_holds_the_lease(replay: Log) -> None:
    assert replay.lease_holder("run") is None
    assert replay.acquire_lease("run", "first", seconds=30)
    assert not replay.acquire_lease("run", "second", seconds=30)
    assert replay.acquire_lease("run", "first", seconds=30), "the holder renews"
    replay.release_lease("run", "second")
    assert replay.lease_holder("run") == "first", "another cannot release it"
    replay.release_lease("run", "first")
    assert replay.lease_holder("run") is None
    assert replay.acquire_lease("run", "$second", seconds=30)
    assert replay.lease_holder("run") == "$second"


def test_a_lease_runs_out(replay: Log) -> None:
    assert replay.acquire_lease("run", "first", seconds=0.3)
    time.sleep(0.4)
    assert replay.lease_holder("run") is None
    assert replay.acquire_lease("run", "second", seconds=30)
    replay.release_lease("run", "first")
    assert replay.lease_holder("run") == "second"


def test_every_taking_of_the_lease_has_a_higher_term_and_renewals_keep_it(replay: Log) -> None:
    began_ms = 1000 * time.time()
    first = replay.acquire_lease("run", "first", seconds=30)
    assert abs(first - began_ms) < 600_000, "so that terms go on rising in another database"
    assert replay.acquire_lease("run", "first", seconds=0.3) == first
    assert replay.acquire_lease("run", "second", seconds=30) == 0
    time.sleep(0.4)
    assert replay.acquire_lease("run", "first", seconds=30) == first, "run out, but nobody else had it"
    replay.release_lease("run", "first")
    terms = [first]
    for holder in ("second", "first", "second"):
        terms.append(replay.acquire_lease("run", holder, seconds=30))
        replay.release_lease("run", holder)
    assert terms == sorted(set(terms)), "even within one millisecond"


def test_of_many_learners_at_once_one_gets_the_lease(replay: Log) -> None:
    won: list[str] = []

    def try_it(holder: str) -> None:
        if replay.acquire_lease("run", holder, seconds=30):
            won.append(holder)

    threads = [threading.Thread(target=try_it, args=(f"l{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [replay.lease_holder("run")]


def test_a_lease_needs_a_run(log: Log) -> None:
    with pytest.raises(KeyError):
        log.acquire_lease("nothing", "learner", seconds=1)


def test_events_tell_what_happened_oldest_first(replay: Log) -> None:
    replay.event("run", "learner", "published", version=np.int64(1), losses=(np.float32(0.5), 1.0))
    replay.event("run", "worker-0", "refreshed", version=1)
    replay.event("other", "worker-0", "refreshed", version=9)
    found = replay.events("run")
    assert [event["kind"] for event in found] == ["published", "refreshed"]
    assert found[0]["details"] == {"version": 1, "losses": [0.5, 1.0]}
    assert [event["process"] for event in replay.events("run", "refreshed")] == ["worker-0"]


def test_counts_equal_a_count_by_hand(replay: Log) -> None:
    replay.open_run(sample_run("other"))
    expected = 0
    episodes: list[Episode] = []
    for index in range(6):
        run = ("run", "other")[index % 2]
        episodes.append(write_episode(replay.writer(run, "w"), sample_episode(index, 3 + index)))
        expected += 4 + index if run == "run" else 0
    _die_in(replay, sample_episode(9, 9)[:8], batch=4)
    found = replay.counts("run")
    assert found.timesteps == expected + 8
    assert found.episodes == sum(episode.run == "run" for episode in episodes) == 3
    assert found.events == len(replay.events("run")) == 4
    assert found.aborted == 0
    assert replay.counts("nothing") == Counts(runs=0, episodes=0, timesteps=0, events=0, aborted=0)


def test_an_open_episode_is_written_by_time_too_so_that_a_killed_worker_loses_a_second_of_it(replay: Log) -> None:
    steps = sample_episode(1, 3, fall=False)
    patient = LogWriter(
        replay, replay._codec("run"), run="run", worker="w", writer=replay.claim_writer("run", "w"), batch=1000
    )
    hasty = LogWriter(
        replay,
        replay._codec("run"),
        run="run",
        worker="v",
        writer=replay.claim_writer("run", "v"),
        batch=1000,
        write_every_s=0.0,
    )
    for writer in (patient, hasty):
        writer.begin(START, steps[0])
        for step in steps[1:]:
            writer.add(step)
    assert replay.last_timestep(patient.writer) is None
    assert replay.last_timestep(hasty.writer) is not None
    assert replay.counts("run").timesteps == len(steps)
