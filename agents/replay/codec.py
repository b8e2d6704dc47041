"""A timestep as BSON bytes, and back: every document of a run has the same width, so a batch of them is one array.

The documents are ordinary BSON (any driver and Compass read them); only the way to and from numpy is short.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray

from agents.replay.columns import TimestepBlock
from agents.replay.ids import timestep_id
from environment.timestep import TimeStep

Rows = NDArray[np.void]
"""(N,) one structured row per document; the bytes between the fields hold the names and types.

Slice them, but never copy them: numpy copies the fields and leaves out what lies between."""

_DOUBLE, _STRING, _BINARY, _BOOL, _DATE, _INT64 = 0x01, 0x02, 0x05, 0x08, 0x09, 0x12
_VECTOR_SUBTYPE = 9
_FLOAT32_VECTOR = b"\x27\x00"
"""Element type float32, no padding bits."""


class TimestepCodec:
    """The byte layout of one run's timestep documents.

    Fields: `_id`, `run`, `episode`, `step`, `state` (S,), `action` (M,) excitations, `policy_action` (M,), `decision`,
    `reward`, `terminated`, `truncated`, `policy_version`, `time`. Integers are int64 whatever their value.
    """

    def __init__(self, run: str, state_size: int, action_size: int) -> None:
        self.run = run
        self.state_size = state_size
        self.action_size = action_size
        layout = _Layout()
        layout.field(_INT64, "_id", "<i8")
        layout.text("run", run)
        layout.field(_INT64, "episode", "<i8")
        layout.field(_INT64, "step", "<i8")
        layout.vector("state", state_size)
        layout.vector("action", action_size)
        layout.vector("policy_action", action_size)
        layout.field(_BOOL, "decision", "?")
        layout.field(_DOUBLE, "reward", "<f8")
        layout.field(_BOOL, "terminated", "?")
        layout.field(_BOOL, "truncated", "?")
        layout.field(_INT64, "policy_version", "<i8")
        layout.field(_DATE, "time", "<i8")
        self._template = layout.finish()
        self.width = len(self._template)
        """Bytes of every document."""
        self.dtype = layout.dtype(self.width)
        self._constant = layout.constant(self.width)
        self._words = _words(self._template, self._constant)
        self._struct = layout.struct(self.width)
        self._parts: list[object] = [b""] * (2 * len(self._constant) - 1)
        """What `_struct` packs: the bytes between the fields, and places for the fields."""
        self._parts[::2] = [self._template[part] for part in self._constant]

    def blank(self, size: int) -> Rows:
        """(size,) writable rows with everything but the values filled in."""
        return np.frombuffer(bytearray(self._template * size), dtype=self.dtype)

    def write(
        self, rows: Rows, index: int, timestep: TimeStep, *, episode: int, policy_version: int, time: datetime
    ) -> None:
        """Fills one row in place."""
        id = timestep_id(episode, timestep.step)
        parts = self._parts.copy()
        parts[1::2] = (
            id,
            episode,
            timestep.step,
            _float32(timestep.state, self.state_size),
            _float32(timestep.excitation, self.action_size),
            _float32(timestep.policy_action, self.action_size),
            timestep.decision,
            timestep.reward,
            timestep.terminated,
            timestep.truncated,
            policy_version,
            round(time.timestamp() * 1000),
        )
        # Three times as fast as to assign the fields of a structured array one by one.
        self._struct.pack_into(rows.view(np.uint8).data, index * self.width, *parts)

    def write_block(
        self, rows: Rows, block: TimestepBlock, *, first_step: int, episode: int, policy_version: int, time: datetime
    ) -> None:
        """Fills as many rows as the block has timesteps, of which the first is step `first_step`."""
        timestep_id(episode, first_step + len(rows) - 1)
        steps = np.arange(first_step, first_step + len(rows), dtype=np.int64)
        rows["_id"] = steps + timestep_id(episode, 0)
        rows["episode"] = episode
        rows["step"] = steps
        rows["state"] = block.state
        rows["action"] = block.excitation
        rows["policy_action"] = block.policy_action
        rows["decision"] = block.decision
        rows["reward"] = block.reward
        rows["terminated"] = block.terminated
        rows["truncated"] = block.truncated
        rows["policy_version"] = policy_version
        rows["time"] = round(time.timestamp() * 1000)

    def read(self, documents: bytes | memoryview) -> Rows:
        """Views concatenated documents as rows.

        Raises: ValueError when a document has another shape: another field, order, type or vector length.
        """
        count, rest = divmod(len(documents), self.width)
        if rest:
            raise ValueError(
                f"timesteps of run {self.run!r}: found {len(documents)} bytes, needed a multiple of {self.width} "
                f"(state {self.state_size}, action {self.action_size}); some document was edited or is not this run's"
            )
        rows = np.frombuffer(documents, dtype=self.dtype)
        words = np.frombuffer(documents, dtype=self._words.dtype)
        if any((words[name] != self._words[name]).any() for name in self._words.dtype.names or ()):
            raise ValueError(self._difference(np.frombuffer(documents, dtype=np.uint8).reshape(count, self.width)))
        return rows

    def _difference(self, raw: NDArray[np.uint8]) -> str:
        """Where the (N, width) bytes of documents are not as every timestep's are."""
        template = np.frombuffer(self._template, dtype=np.uint8)
        wrong = [(raw[:, part] != template[part]).any(axis=1) for part in self._constant]
        index, where = (int(found) for found in np.argwhere(np.stack(wrong, axis=1))[0])
        part = self._constant[where]
        return (
            f"timestep {index} of {len(raw)} read for run {self.run!r}: found bytes {raw[index, part].tobytes()!r} at "
            f"{part.start}, needed {template[part].tobytes()!r}; it was edited or written by other code"
        )


def documents(rows: Rows) -> list[bytes]:
    """One BSON document per row."""
    data = rows.view(np.uint8).tobytes()
    width = rows.dtype.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]


def _words(template: bytes, parts: list[slice]) -> np.void:
    """The same bytes of a document as few and large numbers, each of at most 8: five times as fast to compare."""
    names, formats, offsets = [], [], []
    for part in parts:
        at = part.start
        while at < part.stop:
            size = next(size for size in (8, 4, 2, 1) if size <= part.stop - at)
            names.append(str(at))
            formats.append(f"<u{size}")
            offsets.append(at)
            at += size
    dtype = np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": len(template)})
    return cast(np.void, np.frombuffer(template, dtype)[0])


def _float32(values: NDArray[np.float32], size: int) -> bytes:
    data = (values if values.dtype == np.float32 else values.astype("<f4")).tobytes()
    if len(data) != 4 * size:
        raise ValueError(f"found {len(data) // 4} numbers, needed {size}")  # struct would cut or pad without a word
    return data


class _Layout:
    """Grows a document with zero values and remembers where the values lie."""

    def __init__(self) -> None:
        self._bytes = bytearray(4)
        self._fields: list[tuple[str, str | tuple[str, int], int, int]] = []

    def field(self, kind: int, name: str, format: str | tuple[str, int], head: bytes = b"") -> None:
        self._bytes += bytes([kind]) + name.encode() + b"\0" + head
        size = np.dtype(format).itemsize
        self._fields.append((name, format, len(self._bytes), size))
        self._bytes += bytes(size)

    def vector(self, name: str, size: int) -> None:
        head = struct.pack("<iB", len(_FLOAT32_VECTOR) + 4 * size, _VECTOR_SUBTYPE) + _FLOAT32_VECTOR
        self.field(_BINARY, name, ("<f4", size), head)

    def text(self, name: str, value: str) -> None:
        encoded = value.encode()
        self._bytes += bytes([_STRING]) + name.encode() + b"\0"
        self._bytes += struct.pack("<i", len(encoded) + 1) + encoded + b"\0"

    def finish(self) -> bytes:
        self._bytes.append(0)
        struct.pack_into("<i", self._bytes, 0, len(self._bytes))
        return bytes(self._bytes)

    def dtype(self, width: int) -> np.dtype[np.void]:
        return np.dtype(
            {
                "names": [field[0] for field in self._fields],
                "formats": [(f[1][0], (f[1][1],)) if isinstance(f[1], tuple) else f[1] for f in self._fields],
                "offsets": [field[2] for field in self._fields],
                "itemsize": width,
            }
        )

    def struct(self, width: int) -> struct.Struct:
        """The whole document: bytes, field, bytes, field, …, bytes."""
        codes = {"<i8": "q", "<f8": "d", "?": "?"}
        format, end = "<", 0
        for _, kind, offset, size in self._fields:
            format += f"{offset - end}s" + (f"{size}s" if isinstance(kind, tuple) else codes[kind])
            end = offset + size
        return struct.Struct(f"{format}{width - end}s")

    def constant(self, width: int) -> list[slice]:
        """The stretches of bytes between the values."""
        stops = [offset for _, _, offset, _ in self._fields] + [width]
        starts = [0] + [offset + size for _, _, offset, size in self._fields]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
