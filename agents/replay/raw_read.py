"""Documents of a range as one stretch of bytes, without making an object of each.

pymongo's raw batches still make one Python object for every document on the way (2.3-3.2 µs of processor time for a
timestep, most of it under the interpreter's lock, against 1.3-1.6 here), so the server's replies are taken apart here.
A reply is ordinary BSON: `{cursor: {firstBatch | nextBatch: [document, …], id, ns}, …}`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from numpy.typing import NDArray
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

Bytes = NDArray[np.uint8]

_RAW = CodecOptions(document_class=RawBSONDocument)
_ARRAY, _INT64 = 0x04, 0x12
_FIXED = {0x01: 8, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, _INT64: 8}
"""Bytes of a value, by BSON type: double, bool, date, null, int32, timestamp, int64."""
_SIZED = {0x02: 4, 0x03: 0, _ARRAY: 0}
"""Bytes beyond the length that stands in front of a string, document or array."""


def documents_between(
    collection: Collection[dict[str, Any]], session: ClientSession, first: int, last: int, *, at_a_time: int
) -> Bytes:
    """Those with `_id` in first..last, one after the other in that order.

    The session keeps the cursor; the collection's read concern holds. Raises: what pymongo's `command` raises.
    """
    database, concern = collection.database, collection.read_concern.document
    find = {
        "find": collection.name,
        "filter": {"_id": {"$gte": first, "$lte": last}},
        "sort": {"_id": 1},
        "batchSize": at_a_time,
        "readConcern": concern,
    }
    parts: list[Bytes] = []
    command: dict[str, Any] = find
    while True:
        reply = database.command(command, codec_options=_RAW, session=session)
        batch, cursor = _taken_apart(reply)
        parts += _contents(batch)
        if cursor == 0:
            break
        command = {"getMore": cursor, "collection": collection.name, "batchSize": at_a_time}
    return _joined(parts)


def _taken_apart(reply: RawBSONDocument) -> tuple[memoryview, int]:
    """The array of documents, as BSON, and the cursor's id; 0 when nothing follows."""
    # Not `reply["cursor"]["id"]`: that would make all the objects.
    inside = memoryview(reply["cursor"].raw)
    batch, cursor = None, 0
    for kind, name, value in _elements(inside):
        if kind == _ARRAY and name in (b"firstBatch", b"nextBatch"):
            batch = value
        elif kind == _INT64 and name == b"id":
            (cursor,) = struct.unpack("<q", value)
    if batch is None:
        raise RuntimeError("the server's reply to a query has no batch of documents")
    return batch, cursor


def _elements(document: memoryview) -> Iterator[tuple[int, bytes, memoryview]]:
    """(type, name, value) of each element."""
    at, end = 4, len(document) - 1
    while at < end:
        kind = document[at]
        head = bytes(document[at + 1 : at + 65])
        name = head[: head.index(0)]
        at += len(name) + 2
        size = _FIXED[kind] if kind in _FIXED else _SIZED[kind] + struct.unpack_from("<i", document, at)[0]
        yield kind, name, document[at : at + size]
        at += size


def _contents(array: memoryview) -> list[Bytes]:
    """The documents of a BSON array, as (n, width) views of it: one for each number of digits that their keys have."""
    at, end, digits = 4, len(array) - 1, 1
    data = np.frombuffer(array, np.uint8)
    found: list[Bytes] = []
    while at < end:
        head = 1 + digits + 1  # type, key, its end
        if end - at < head + 4:
            return _one_by_one(array)
        (width,) = struct.unpack_from("<i", array, at + head)
        keys = 10 if digits == 1 else 9 * 10 ** (digits - 1)
        count = min((end - at) // (head + width), keys) if width > 0 else 0
        rows = data[at : at + count * (head + width)].reshape(count, head + width)[:, head:]
        lengths = np.ascontiguousarray(rows[:, :4]).view("<i4")
        if count == 0 or (lengths != width).any():
            return _one_by_one(array)
        found.append(rows)
        at, digits = at + count * (head + width), digits + 1
    return found


def _one_by_one(array: memoryview) -> list[Bytes]:
    """The same of documents of any length."""
    return [np.frombuffer(value, np.uint8)[None] for _, _, value in _elements(array)]


def _joined(parts: list[Bytes]) -> Bytes:
    """One after the other."""
    joined = np.empty(sum(part.size for part in parts), np.uint8)
    at = 0
    for part in parts:
        joined[at : at + part.size].reshape(part.shape)[:] = part
        at += part.size
    return joined
