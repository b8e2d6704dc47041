"""What is refused is kept where a person can look at it, and not without bound."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymongo import MongoClient

from agents.replay.contract import RefusedTimestep
from agents.replay.log import Log
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.quarantine import MOST_KEPT
from agents.replay.runs import EpisodeStart
from agents.replay.writer import LogWriter
from environment.timestep import TimeStep
from tests.agents.spools import block_of
from tests.contracts.replay_samples import later_step, reset_step, sample_episode, sample_run

START = EpisodeStart(seed=7, policy_version=3)
FIRST = reset_step(np.random.default_rng(1))
GOOD = later_step(np.random.default_rng(5), 1)
BAD = dataclasses.replace(GOOD, state=np.array([1, np.nan, 3, np.inf, 5], np.float32))


@pytest.fixture(params=["memory", pytest.param("mongo", marks=pytest.mark.mongo)])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    if request.param == "memory":
        store: Log = MemoryReplay()
    else:
        store = MongoReplay(request.getfixturevalue("mongodb_uri"), request.getfixturevalue("database_name"))
    store.open_run(sample_run())
    yield store
    store.close()


@pytest.fixture(params=["directly", "by the spool"])
def writer(request: pytest.FixtureRequest, log: Log, tmp_path: Path) -> Iterator[LogWriter]:
    life = log.writer("run", "w", spool=None if request.param == "directly" else tmp_path / "spool")
    yield life
    life.close(60.0)


def refuse(writer: LogWriter, timestep: TimeStep) -> str:
    with pytest.raises(RefusedTimestep) as refusal:
        writer.add(timestep)
    return str(refusal.value)


def test_a_refused_timestep_is_kept_with_its_reason_and_its_values(log: Log, writer: LogWriter) -> None:
    episode = writer.begin(START, FIRST)
    message = refuse(writer, BAD)
    assert writer.drain(60.0) == 0
    (kept,) = log.quarantine("run")
    assert (kept["run"], kept["worker"], kept["writer"]) == ("run", "w", writer.writer)
    assert (kept["episode"], kept["step"], kept["reason"], kept["message"]) == (episode, 1, "not_finite", message)
    assert kept["state"][0::2] == [1.0, 3.0, 5.0]
    assert math.isnan(kept["state"][1])
    assert math.isinf(kept["state"][3])
    assert kept["action"] == GOOD.excitation.tolist()
    assert kept["policy_action"] == GOOD.policy_action.tolist()
    assert (kept["decision"], kept["reward"], kept["terminated"]) == (True, GOOD.reward, False)


def test_a_refused_reset_belongs_to_no_episode(log: Log, writer: LogWriter) -> None:
    with pytest.raises(RefusedTimestep):
        writer.begin(START, dataclasses.replace(FIRST, reward=1.0))
    writer.drain(60.0)
    (kept,) = log.quarantine("run")
    assert (kept["episode"], kept["reason"], kept["reward"]) == (None, "action_at_reset", 1.0)


def test_the_bad_row_of_a_block_is_kept_as_the_step_it_would_have_been(log: Log, writer: LogWriter) -> None:
    steps = sample_episode(5, 9)[1:]
    steps[4] = dataclasses.replace(steps[4], reward=math.inf)
    writer.begin(START, FIRST)
    with pytest.raises(RefusedTimestep):
        writer.add_many(block_of(steps))
    writer.drain(60.0)
    (kept,) = log.quarantine("run")
    assert (kept["step"], kept["reward"], kept["state"]) == (5, math.inf, steps[4].state.tolist())


def test_of_one_reason_so_many_are_kept_and_all_are_counted(log: Log, writer: LogWriter) -> None:
    writer.begin(START, FIRST)
    skipped = dataclasses.replace(GOOD, step=5)
    for _ in range(MOST_KEPT + 20):
        refuse(writer, BAD)
    for _ in range(3):
        refuse(writer, skipped)
    writer.abort()
    writer.drain(60.0)
    assert Counter(kept["reason"] for kept in log.quarantine("run")) == {"not_finite": MOST_KEPT, "out_of_order": 3}
    counts = {event["details"]["reason"]: event["details"]["count"] for event in log.events("run", "refused")}
    assert counts == {"not_finite": MOST_KEPT + 20, "out_of_order": 3}


def test_every_life_keeps_its_own(log: Log) -> None:
    for _ in range(2):
        writer = log.writer("run", "w")
        writer.begin(START, FIRST)
        for _ in range(MOST_KEPT + 1):
            refuse(writer, BAD)
        writer.abort()
    assert len(log.quarantine("run")) == 2 * MOST_KEPT
    assert log.quarantine("other") == []


def test_a_vector_of_absurd_size_is_cut_to_what_a_document_holds(log: Log, writer: LogWriter) -> None:
    writer.begin(START, FIRST)
    message = refuse(writer, dataclasses.replace(GOOD, state=np.zeros((3_000, 1_000), np.float32)))
    writer.drain(60.0)
    (kept,) = log.quarantine("run")
    assert "(3000, 1000)" in message
    assert kept["message"] == message
    assert kept["state"] == [0.0] * 10_000


@pytest.mark.mongo
def test_a_stranger_finds_the_quarantine_by_its_name(mongodb_uri: str, database_name: str) -> None:
    replay = MongoReplay(mongodb_uri, database_name)
    replay.open_run(sample_run())
    writer = replay.writer("run", "w")
    writer.begin(START, FIRST)
    refuse(writer, BAD)
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        found = client[database_name].quarantine.find_one({"reason": "not_finite"})
    assert found is not None
    assert found["state"][2] == 3.0
    assert "likely an integration that diverged" in found["message"]
    replay.close()
