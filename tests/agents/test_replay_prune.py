"""Deleting: only what was said, only when asked, and a prune that dies leaves nothing that is read as data."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from agents.checkpoints.contract import Blob
from agents.checkpoints.memory import MemoryCheckpoints
from agents.lease import RunIsTaken
from agents.replay.data.arguments import moment
from agents.replay.data.leftovers import leftovers
from agents.replay.data.needs import learners_from, needed_by_checkpoints
from agents.replay.data.prune import PRUNED, StillNeeded, Which, carry_out, plan
from agents.replay.data.verify import verify
from agents.replay.documents import episode_document
from agents.replay.ids import timestep_id
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode, EpisodeStart
from tests.contracts.replay_samples import sample_episode
from tests.replay_runs import command, fill
from tests.runs import RUN, explore, open_run, small_config

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def replay() -> MemoryReplay:
    found = MemoryReplay()
    fill(found)
    return found


def finished(replay: MemoryReplay, *, hours_ago: float, among: Callable[[int], bool]) -> None:
    """Moves the end of some episodes into the past."""
    for place, episode in enumerate(replay.episodes_after(RUN, {})):
        when = NOW - timedelta(hours=hours_ago if among(place) else 0)
        changed = dataclasses.replace(episode, started=when, finished=when)
        replay._episodes[episode.id] = episode_document(changed)


def prune(replay: MemoryReplay | MongoReplay, which: Which, **options: Any) -> None:
    carry_out(replay, plan(replay, RUN, which), **options)


def test_all_deletes_every_episode_of_that_run_only(replay: MemoryReplay) -> None:
    others = fill(replay, "other")
    before = replay.counts("other")
    prune(replay, Which(all=True))
    counts = replay.counts(RUN)
    assert (counts.runs, counts.episodes, counts.timesteps) == (1, 0, 0)
    after = replay.counts("other")
    assert (after.episodes, after.timesteps) == (before.episodes, before.timesteps) == (len(others), after.timesteps)
    assert verify(replay, RUN).good
    assert verify(replay, "other").good


def test_what_finished_earlier_goes_and_the_rest_stays_as_it_was(replay: MemoryReplay) -> None:
    finished(replay, hours_ago=5, among=lambda place: place % 2 == 0)
    stays = [episode for place, episode in enumerate(replay.episodes_after(RUN, {})) if place % 2]
    rows = replay.rows(stays).tobytes()
    prune(replay, Which(before=NOW - timedelta(hours=1)))
    assert replay.episodes_after(RUN, {}) == stays
    assert replay.rows(stays).tobytes() == rows
    assert replay.counts(RUN).timesteps == sum(episode.length + 1 for episode in stays)
    assert verify(replay, RUN).good


def test_the_newest_timesteps_are_kept_in_whole_episodes(replay: MemoryReplay) -> None:
    episodes = sorted(replay.episodes_after(RUN, {}), key=lambda one: (one.finished, one.id))
    wanted = sum(episode.length + 1 for episode in episodes[-3:])
    assert Which(keep_timesteps=wanted).of(episodes) == episodes[:-3]
    assert Which(keep_timesteps=wanted - 1).of(episodes) == episodes[:-2]
    assert Which(keep_timesteps=10**9).of(episodes) == []
    prune(replay, Which(keep_timesteps=wanted))
    assert replay.counts(RUN).timesteps == wanted


def test_other_purposes_stay(replay: MemoryReplay) -> None:
    assert plan(replay, RUN, Which(all=True, purposes=("evaluate",))).episodes == []
    assert plan(replay, RUN, Which(all=True, purposes=("explore",))).kept == 0


@pytest.mark.parametrize("wrong", [{}, {"all": True, "keep_timesteps": 3}])
def test_what_to_delete_has_to_be_said_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needed one of all"):
        Which(**wrong)


def test_what_was_deleted_is_told(replay: MemoryReplay) -> None:
    counts = replay.counts(RUN)
    planned = plan(replay, RUN, Which(all=True))
    assert f"{counts.episodes} episodes with {counts.timesteps} timesteps" in planned.text()
    seen: list[tuple[int, int]] = []
    carry_out(replay, planned, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (counts.timesteps, counts.timesteps)
    (event,) = replay.events(RUN, PRUNED)
    assert event["details"] == {"episodes": counts.episodes, "timesteps": counts.timesteps, "leftovers": 0}


class Killed(BaseException):
    """The process dies here."""


def dies_at(replay: MemoryReplay, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process will die in the `call`-th deletion, from 0; a range of timesteps is half deleted then."""
    calls = 0
    real = {name: getattr(replay, name) for name in ("delete_episodes", "delete_timesteps", "delete_between")}

    def dying(name: str) -> Callable[..., None]:
        def deletion(*arguments: Any) -> None:
            nonlocal calls
            calls += 1
            if calls > call:
                if name == "delete_between":
                    ids = replay._between(*arguments)
                    real["delete_timesteps"](ids[: len(ids) // 2])
                raise Killed
            real[name](*arguments)

        return deletion

    for name in real:
        monkeypatch.setattr(replay, name, dying(name))


def all_readable(replay: MemoryReplay) -> bool:
    """Whether whoever sees an episode can read it."""
    return all(len(replay.timesteps(one).reward) == one.length + 1 for one in replay.episodes_after(RUN, {}))


@pytest.mark.parametrize("recovery", [False, True])
@pytest.mark.parametrize("call", [0, 1, 2, 3])
def test_a_prune_that_dies_leaves_nothing_half_deleted_to_read(
    replay: MemoryReplay, monkeypatch: pytest.MonkeyPatch, call: int, recovery: bool
) -> None:
    whole = {episode.id: episode.length for episode in replay.episodes_after(RUN, {})}
    with monkeypatch.context() as patched:
        dies_at(replay, call, patched)
        with pytest.raises(Killed):
            prune(replay, Which(all=True))
    assert all_readable(replay)
    verdict = verify(replay, RUN)
    assert set(verdict.problems.counts) == ({"no_episode"} if call else set())
    assert verdict.unfinished == [], "nobody is writing what was half deleted"
    assert replay.lease_holder(RUN) is None
    if recovery:
        replay.close_abandoned(RUN)
        assert all_readable(replay)
        assert all(whole[one.id] == one.length for one in replay.episodes_after(RUN, {})), "no part of an episode"
    prune(replay, Which(all=True))
    assert replay.counts(RUN).timesteps == 0
    assert verify(replay, RUN).good


def test_the_timesteps_of_an_open_episode_are_not_leftovers(replay: MemoryReplay) -> None:
    run = replay.run(RUN)
    steps = sample_episode(1, 5, state_size=len(run.state_names), action_size=len(run.action_names))
    writer = replay.writer(RUN, "c", batch=1)
    writer.begin(EpisodeStart(seed=1, policy_version=0), steps[0])
    for step in steps[1:]:
        writer.add(step)
    assert leftovers(replay, RUN) == []
    prune(replay, Which(all=True))
    assert replay.counts(RUN).timesteps == len(steps)
    writer.end(ended="fall", reward_terms={"all": sum(step.reward for step in steps)}, step_ms_mean=1.0)
    assert all_readable(replay)
    assert len(replay.episodes_after(RUN, {})) == 1


def test_an_episode_that_ends_while_leftovers_are_sought_is_none(
    replay: MemoryReplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = replay._episodes.pop(replay.episodes_after(RUN, {})[0].id)
    found = replay.lives

    def ends_meanwhile(run: str) -> Any:
        replay._episodes[stored["_id"]] = stored
        return found(run)

    monkeypatch.setattr(replay, "lives", ends_meanwhile)
    assert leftovers(replay, RUN) == []


def test_nothing_is_pruned_under_a_learner(replay: MemoryReplay) -> None:
    before = replay.counts(RUN)
    assert replay.acquire_lease(RUN, "host:1", seconds=60)
    with pytest.raises(RunIsTaken, match="held by host:1"):
        prune(replay, Which(all=True))
    assert replay.counts(RUN).timesteps == before.timesteps


def test_nothing_is_pruned_under_a_learner_of_another_run_that_reads_it(replay: MemoryReplay) -> None:
    config = small_config().plain()
    config["replay"]["partitions"] = {RUN: 0.25}
    replay.open_run(dataclasses.replace(replay.run(RUN), name="reader", config=config))
    open_run(replay, small_config(), "stranger")
    assert learners_from(replay, RUN) == [RUN, "reader"]
    assert replay.acquire_lease("stranger", "host:2", seconds=60)
    assert replay.acquire_lease("reader", "host:1", seconds=60)
    with pytest.raises(RunIsTaken, match="'reader', which learns from 'small', is held by host:1"):
        prune(replay, Which(all=True))


def test_no_learner_can_start_during_a_prune(replay: MemoryReplay) -> None:
    tried: list[int] = []

    def learner_starts(*_: int) -> None:
        tried.append(replay.acquire_lease(RUN, "host:1", seconds=60))

    prune(replay, Which(all=True), progress=learner_starts)
    assert tried == [0]
    assert replay.acquire_lease(RUN, "host:1", seconds=60)


def checkpoint_of(episodes: list[Episode], name: str = "mirror/episodes") -> MemoryCheckpoints:
    store = MemoryCheckpoints()
    ids = np.array([episode.id for episode in episodes], np.int64)
    policy = Blob({"weight": np.zeros(1, np.float32)}, {})
    store.publish(RUN, policy, Blob({name: ids, "mirror/watermark_episodes": ids[:0] + 1}, {}), {})
    return store


@pytest.mark.parametrize("name", ["mirror/episodes", "mirror/own/episodes", "mirror/run.small/episodes"])
def test_what_a_checkpoint_is_resumed_from_stays_unless_it_is_given_up(replay: MemoryReplay, name: str) -> None:
    episodes = list(replay.episodes_after(RUN, {}))
    needed = needed_by_checkpoints(checkpoint_of(episodes[-2:], name), [RUN, "without-checkpoints"])
    assert needed == {episode.id for episode in episodes[-2:]}
    planned = plan(replay, RUN, Which(all=True), needed)
    assert planned.stranded == sorted(needed)
    with pytest.raises(StillNeeded, match="2 of these episodes"):
        carry_out(replay, planned)
    assert replay.episodes_after(RUN, {}) == episodes
    carry_out(replay, planned, strand=True)
    assert replay.episodes_after(RUN, {}) == []


def test_moments_are_dates_or_so_long_ago() -> None:
    assert moment("2026-11-21T18:00") == datetime(2026, 11, 21, 18, tzinfo=UTC)
    assert moment("2026-11-21T18:00+02:00") == datetime(2026, 11, 21, 16, tzinfo=UTC)
    before = datetime.now(UTC)
    ago = moment("7d")
    assert before <= ago + timedelta(days=7) <= datetime.now(UTC)
    with pytest.raises(argparse.ArgumentTypeError, match="found '7 days'"):
        moment("7 days")


@pytest.fixture
def database(real_log: MongoReplay) -> MongoReplay:
    fill(real_log)
    return real_log


@pytest.mark.mongo
@pytest.mark.s3
def test_nothing_is_deleted_by_default(database: MongoReplay, capsys: pytest.CaptureFixture[str]) -> None:
    before = database.counts(RUN)
    with pytest.raises(ValueError, match="nothing was deleted; add --yes"):
        command("prune", "--run", RUN, "--all")
    command("prune", "--run", RUN, "--all", "--yes", "--dry-run")
    assert f"{before.episodes} episodes with {before.timesteps} timesteps to delete" in capsys.readouterr().out
    assert database.counts(RUN) == before


@pytest.mark.mongo
@pytest.mark.s3
def test_a_prune_of_mongodb_deletes_documents_and_timesteps(database: MongoReplay) -> None:
    others = fill(database, "other")
    episodes = sorted(database.episodes_after(RUN, {}), key=lambda one: (one.finished, one.id))
    kept = episodes[-2:]
    database.delete_episodes([episodes[0].id])  # as a prune that died would have left it
    wanted = sum(episode.length + 1 for episode in kept)
    command("prune", "--run", RUN, "--keep-timesteps", str(wanted), "--yes")
    assert {one.id for one in database.episodes_after(RUN, {})} == {one.id for one in kept}
    assert database.counts(RUN).timesteps == wanted
    assert database.next_timestep(timestep_id(episodes[0].id, 0), timestep_id(episodes[0].id + 1, 0) - 1) is None
    assert len(database.episodes_after("other", {})) == len(others)
    assert verify(database, RUN).good
    assert verify(database, "other").good
    explore(database, small_config(), database.run(RUN), 50, "a")
    assert verify(database, RUN).good
