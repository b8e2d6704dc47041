"""A writer's calls as records of a spool, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import bson
import numpy as np
from bson.codec_options import CodecOptions

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.spool_file import Kind, Payload, Record
from agents.replay.storage import Sink

MOST_ROWS = 1000
"""Timesteps that go to the store in one write: above some 500 it takes no more per second."""
_AWARE: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
_TIMESTEPS = (Kind.TIMESTEPS, Kind.TIMESTEPS_AGAIN)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a `Sink`."""

    kind: Kind
    rows: Rows | None
    """Of the timesteps."""
    document: dict[str, Any]
    """Of everything else."""
    count: int
    """Timesteps and documents."""
    end: int
    """Where the next record starts in the file."""

    def make(self, sink: Sink, *, again: bool = False) -> None:
        """Makes the call; with `again` it may have been made before."""
        document = self.document
        match self.kind:
            case Kind.TIMESTEPS | Kind.TIMESTEPS_AGAIN:
                assert self.rows is not None
                sink.insert_timesteps(self.rows, again=again or self.kind is Kind.TIMESTEPS_AGAIN)
            case Kind.OPEN:
                sink.note_open(document["writer"], document["open"])
            case Kind.TRUNCATED:
                sink.mark_truncated(document["timestep"])
            case Kind.EPISODE:
                sink.insert_episode(document)
            case Kind.EVENT:
                sink.insert_event(document)
            case Kind.REFUSED:
                sink.insert_refused(document)
            case Kind.LIFE:
                return


def encoded(document: dict[str, Any]) -> bytes:
    return bson.encode(document)


def decoded(payload: bytes | memoryview) -> dict[str, Any]:
    return bson.decode(bytes(payload), _AWARE)


def calls(records: Iterable[Record], codec: TimestepCodec) -> Iterator[Call]:
    """One call per record; timesteps that follow one another are one call, of at most `MOST_ROWS` if there are many."""
    waiting: list[Record] = []
    rows = 0
    for record in records:
        if waiting and (record.kind != waiting[0].kind or rows >= MOST_ROWS):
            yield _timesteps(waiting, codec)
            waiting, rows = [], 0
        if record.kind in _TIMESTEPS:
            waiting.append(record)
            rows += len(record.payload) // codec.width
        else:
            yield Call(record.kind, None, decoded(record.payload), 1, record.end)
    if waiting:
        yield _timesteps(waiting, codec)


def call_of(kind: Kind, payload: Payload, codec: TimestepCodec) -> Call:
    """The call that one record stands for, which lies in no file."""
    (call,) = calls([Record(kind, memoryview(payload), 0)], codec)
    return call


def _timesteps(records: list[Record], codec: TimestepCodec) -> Call:
    data: bytes | memoryview = records[0].payload if len(records) == 1 else b"".join(r.payload for r in records)
    rows = np.frombuffer(data, dtype=codec.dtype)
    return Call(records[0].kind, rows, {}, len(rows), records[-1].end)
