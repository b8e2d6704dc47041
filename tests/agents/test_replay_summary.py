"""Stored runs in figures, and their episodes in lines: hand-made ones, and what the commands print of a database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from agents.replay.contract import RefusedTimestep
from agents.replay.data.selection import Selection
from agents.replay.data.summary import summarise
from agents.replay.data.text import columns, episode_facts, episodes_text
from agents.replay.documents import episode_document
from agents.replay.ids import episode_id
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode, EpisodeStart
from tests.contracts.replay_samples import later_step, reset_step, sample_run
from tests.replay_runs import command, fill
from tests.runs import RUN

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def an_episode(
    number: int, value: float, ended: str = "fall", *, worker: str = "a", purpose: Any = "train", version: int = 0
) -> Episode:
    """Starts in minute `number` after noon, takes half a minute and `number` control steps."""
    return Episode(
        id=episode_id(1, number),
        run="run",
        worker=worker,
        writer=1,
        start=EpisodeStart(seed=number, policy_version=version, purpose=purpose),
        length=number,
        episode_return=value,
        reward_terms={"all": value},
        # Of before both rounds were logged is the first one.
        round_returns={"round1": -10.0 * number, "round2": 1000.0 * number} if number > 1 else {},
        ended=ended,
        terminated=ended == "fall",
        truncated=ended != "fall",
        step_ms_mean=1.0,
        started=NOON + timedelta(minutes=number),
        finished=NOON + timedelta(minutes=number, seconds=30),
    )


EPISODES = (
    an_episode(1, 10.0, purpose="explore"),
    an_episode(2, 30.0, "time_limit", worker="b", version=1),
    an_episode(3, -5.0, "simulator_error: step 3", worker="b", version=20),
    an_episode(4, 900.0, "aborted", version=40),
    an_episode(5, 40.0, purpose="evaluate", version=40),
)


@pytest.fixture
def replay() -> MemoryReplay:
    found = MemoryReplay()
    found.open_run(sample_run())
    for episode in EPISODES:
        found.insert_episode(episode_document(episode))
    return found


def test_a_summary_counts_by_purpose_worker_and_policy_version(replay: MemoryReplay) -> None:
    found = summarise(replay, "run").document()
    assert found["all"] == {
        "name": "all",
        "episodes": 5,
        "timesteps": 20,
        "aborted": 1,
        "returns": (-5.0, 20.0, 40.0),
        "length": 2.5,
        "round_returns": {"round1": -30.0, "round2": 3000.0},
    }, "the return of an aborted episode says nothing"
    assert [(one["name"], one["episodes"], one["aborted"]) for one in found["workers"]] == [("a", 3, 1), ("b", 2, 0)]
    assert {one["name"]: one["timesteps"] for one in found["purposes"]} == {"explore": 2, "train": 12, "evaluate": 6}
    ranges = {one["name"]: one["episodes"] for one in found["policy_versions"]}
    assert ranges == {"policy 0..5": 2, "policy 18..23": 1, "policy 36..40": 2}
    assert found["ended"] == {"fall": 2, "time_limit": 1, "simulator_error": 1, "aborted": 1}
    assert (found["first"], found["last"]) == ("2026-01-01T12:01:00.000+00:00", "2026-01-01T12:05:30.000+00:00")
    assert json.loads(json.dumps(found))["counts"]["episodes"] == 5


def test_what_both_rounds_paid_stands_beside_the_returns_and_the_steps_that_they_took(replay: MemoryReplay) -> None:
    header, everything, *_, explored, _ = summarise(replay, "run").text().splitlines()[2:7]
    assert header.split("  ")[-3:] == ["median steps", "median round 1", "median round 2"]
    assert everything.split()[-6:] == ["-5", "20", "40", "2.5", "-30", "3,000"]
    assert explored.split()[-6:] == ["10", "10", "10", "1", "-", "-"], "it was not logged"


def test_few_policy_versions_are_told_one_by_one(replay: MemoryReplay) -> None:
    replay.delete_episodes([EPISODES[2].id, EPISODES[3].id, EPISODES[4].id])
    assert [one.name for one in summarise(replay, "run").policy_versions] == ["policy 0", "policy 1"]


def test_a_run_without_episodes_has_a_summary() -> None:
    replay = MemoryReplay()
    replay.open_run(sample_run())
    found = summarise(replay, "run")
    assert found.all.returns is None
    assert (found.first, found.last) == (None, None)
    assert found.all.length is None
    assert "0 timesteps stored" in found.text()


def test_an_unknown_run_names_those_that_exist(replay: MemoryReplay) -> None:
    with pytest.raises(KeyError, match="there are: run"):
        summarise(replay, "walk")


def test_what_was_refused_is_counted() -> None:
    replay = MemoryReplay()
    replay.open_run(sample_run())
    writer = replay.writer("run", "w")
    rng = np.random.default_rng(0)
    writer.begin(EpisodeStart(seed=1, policy_version=0), reset_step(rng))
    bad = later_step(rng, 1)
    bad.state[0] = np.nan
    for _ in range(3):
        with pytest.raises(RefusedTimestep):
            writer.add(bad)
    writer.abort()
    found = summarise(replay, "run")
    assert found.refused == {"not_finite": 3}
    assert sum(found.quarantined.values()) == 3
    assert "refused: not_finite 3" in found.text()


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"purposes": ("explore", "evaluate")}, [1, 5]),
        ({"ended": "fall"}, [1, 5]),
        ({"ended": "simulator_error"}, [3]),
        ({"ended": "simulator"}, []),
        ({"worker": "b"}, [2, 3]),
        ({"min_return": 10.0, "max_return": 40.0}, [1, 2, 5]),
        ({"since": NOON + timedelta(minutes=4, seconds=30)}, [4, 5]),
        ({"newest": 2}, [4, 5]),
        ({"newest": 1, "worker": "b"}, [3]),
        ({"newest": 0}, []),
    ],
)
def test_every_condition_has_to_be_met(conditions: dict[str, Any], numbers: list[int]) -> None:
    assert [episode.length for episode in Selection(**conditions).of(EPISODES)] == numbers


def test_a_return_that_is_no_number_lies_in_no_range() -> None:
    broken = [an_episode(1, float("nan"))]
    assert Selection().of(broken) == broken
    assert Selection(min_return=-1e9).of(broken) == Selection(max_return=1e9).of(broken) == []


def test_each_episode_is_one_line_of_aligned_columns() -> None:
    lines = episodes_text(EPISODES).splitlines()
    assert len(lines) == 1 + len(EPISODES)
    assert len({len(line) for line in lines}) == 1
    assert lines[3].split()[-1] == "3"
    assert lines[1].split()[-4:] == ["10", "-", "-", "fall"]
    assert lines[2].split()[-4:] == ["30", "-20", "2,000", "time_limit"]
    assert [(one["return"], one["round1"]) for one in map(episode_facts, EPISODES[:2])] == [(10.0, None), (30.0, -20.0)]
    assert columns(("a", "b"), [("long", "1"), ("x", "22")]) == "a      b\nlong   1\nx     22"


@pytest.fixture
def database(mongodb_uri: str, database_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MongoReplay]:
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database_name)
    monkeypatch.setenv("S3_BUCKET", "unused")
    replay = MongoReplay(mongodb_uri, database_name)
    fill(replay, timesteps=100)
    fill(replay, "other", timesteps=100)
    yield replay
    replay.close()


@pytest.mark.mongo
def test_the_commands_tell_of_a_database(database: MongoReplay, capsys: pytest.CaptureFixture[str]) -> None:
    command("summary")
    text = capsys.readouterr().out
    assert "run other:" in text
    assert f"run {RUN}:" in text
    assert "on disk, all runs and indexes:" in text
    command("summary", "--run", RUN, "--json")
    plain = json.loads(capsys.readouterr().out)
    (run,) = plain["runs"]
    assert run["counts"]["timesteps"] == run["all"]["timesteps"] == database.counts(RUN).timesteps
    assert plain["bytes_on_disk"]["timesteps"] > 0
    command("episodes", "--run", RUN, "--newest", "2", "--json")
    found = json.loads(capsys.readouterr().out)
    newest = Selection(newest=2).of(database.episodes_after(RUN, {}))
    assert [one["episode"] for one in found] == [episode.id for episode in newest]
    command("episodes", "--run", RUN, "--worker", "nobody")
    assert len(capsys.readouterr().out.splitlines()) == 1
    with pytest.raises(KeyError, match="no run 'wal'"):
        command("episodes", "--run", "wal")
