"""Walks everything that one writer has stored, whether or not it should be there, in blocks of whole episodes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.ids import STEP_BITS, timesteps_of_writer
from agents.replay.storage import Storage

PAGE_TIMESTEPS = 10_000
"""In memory at a time, about: some 20 MB."""
_ID = b"\x12_id\0"
"""How every timestep begins, after its length: MongoDB keeps `_id` in front."""

Malformed = Callable[[int, str], None]
"""Hears the id of a document of another shape, and what is wrong with it."""


def blocks(
    storage: Storage, codec: TimestepCodec, writer: int, malformed: Malformed, *, page: int = PAGE_TIMESTEPS
) -> Iterator[Rows]:
    """Everything with one of the writer's ids, sorted; all of an episode's timesteps lie in one block."""
    begun = b""
    for data in _pages(storage, *timesteps_of_writer(writer), page):
        data = begun + _readable(codec, data, malformed)
        rows = codec.read(data)
        # The last episode may go on in the next page.
        whole = np.searchsorted(rows["_id"], rows["_id"][-1] >> STEP_BITS << STEP_BITS) if len(rows) else 0
        begun = data[int(whole) * codec.width :]
        if whole:
            yield rows[:whole]
    if begun:
        yield codec.read(begun)


def _pages(storage: Storage, first: int, last: int, page: int) -> Iterator[bytes]:
    """The next one is read while this one is looked at."""
    with ThreadPoolExecutor(1, "reader") as pool:
        coming = pool.submit(storage.read_some, first, last, page)
        while data := coming.result():
            coming = pool.submit(storage.read_some, _last_id(data) + 1, last, page)
            yield data


def _readable(codec: TimestepCodec, data: bytes, malformed: Malformed) -> bytes:
    """The documents that are timesteps of the run; tells of the others."""
    try:
        codec.read(data)
    except ValueError:
        return b"".join(one for one in _split(data) if _is_readable(codec, one, malformed))
    return data


def _is_readable(codec: TimestepCodec, document: bytes, malformed: Malformed) -> bool:
    try:
        codec.read(document)
    except ValueError as error:
        malformed(_id(document), str(error))
        return False
    return True


def _split(data: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(data):
        (size,) = struct.unpack_from("<i", data, begin)
        yield data[begin : begin + size]
        begin += size


def _last_id(data: bytes) -> int:
    begin = end = 0
    while end < len(data):
        begin, end = end, end + struct.unpack_from("<i", data, end)[0]
    return _id(data[begin:])


def _id(document: bytes) -> int:
    if document[4:9] != _ID:
        raise ValueError(
            f"a timestep begins with {document[4:9]!r}, needed an int64 `_id`; it was written by other code: delete it "
            "by hand"
        )
    return int(struct.unpack_from("<q", document, 9)[0])
