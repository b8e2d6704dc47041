"""The oplog loses the place of the change stream while the reader looks away, by being written over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bson import Timestamp
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from infra.faults.crew import ScenarioFailed
from infra.faults.outcome import Outcome
from infra.faults.scenarios.sizes import Sizes
from infra.faults.server import DATABASE
from infra.faults.stage import stage

_OPLOG_MB = 990
"""The least that mongod takes."""
_NOTE_BYTES = 4 << 20
_MOST_NOTES = 750
_AT_A_TIME = 10
_OFTEN_CHECKPOINTED = ("--syncdelay", "1")
"""The oplog is never cut beyond the last checkpoint, which is otherwise up to a minute old."""
_HISTORY_LOST = 286
_SOME = 300
"""Timesteps that every worker writes before, meanwhile and after."""
_REST_S = 0.2
"""After each episode, so that all of them can be compared soon."""


def history_lost(folder: Path, sizes: Sizes) -> Outcome:
    """A second change stream, which is to go on from the same place, tells whether the oplog has lost it."""
    with stage(folder, options=_OFTEN_CHECKPOINTED) as here, here.reader() as reader, here.server.client() as client:
        crew = here.crew
        client.admin.command("replSetResizeOplog", 1, size=float(_OPLOG_MB))
        for name in ("one", "two"):
            crew.start(name, rest_s=_REST_S)
        crew.wait_for(_SOME)
        reader.wait_for(1)
        episodes = client[DATABASE]["episodes"]
        with episodes.watch() as stream:
            stream.try_next()
            token = stream.resume_token
        assert token is not None
        reader.look_away()
        place = _newest(client)
        crew.wait_for(_SOME)
        written = _write_over(client, place)
        code = _failure(episodes, token)
        heard = len(reader.stream_failures)
        reader.look_again()
        reader.wait_until(lambda: len(reader.stream_failures) > heard, "the reader's stream failed")
        told = reader.stream_failures[heard]
        here.shown |= {
            f"the place of a change stream was lost (code {code})": code == _HISTORY_LOST,
            f"the reader's own said: {told}": "OperationFailure" in told,
        }
        crew.wait_for(_SOME)
        found = here.settle(reader)
        done = f"{written >> 20:,} MiB written over an oplog of {_OPLOG_MB} MB"
        return here.outcome("history-lost", done, found, reader.mirror)


def _newest(client: MongoClient[dict[str, Any]]) -> Timestamp:
    """When the oplog's last entry was made."""
    entry = client["local"]["oplog.rs"].find_one(sort=[("$natural", -1)])
    assert entry is not None
    found: Timestamp = entry["ts"]
    return found


def _write_over(client: MongoClient[dict[str, Any]], place: Timestamp) -> int:
    """Until the oplog begins after `place`; returns the bytes that it took."""
    for count in range(1, _MOST_NOTES + 1):
        client.admin.command("appendOplogNote", 1, data={"zeros": bytes(_NOTE_BYTES)})
        if count % _AT_A_TIME == 0:
            first = client["local"]["oplog.rs"].find_one({}, {"ts": True}, sort=[("$natural", 1)])
            if first is not None and first["ts"] > place:
                return count * _NOTE_BYTES
    raise ScenarioFailed(f"{_MOST_NOTES * _NOTE_BYTES:,} bytes did not write over the oplog")


def _failure(episodes: Collection[dict[str, Any]], token: Mapping[str, Any]) -> int | None:
    """The code with which a change stream fails that goes on from `token`; None when it does not."""
    try:
        with episodes.watch(resume_after=token, max_await_time_ms=100) as stream:
            stream.try_next()
    except OperationFailure as error:
        return error.code
    return None
