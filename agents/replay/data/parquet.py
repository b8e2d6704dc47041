"""Episodes and timesteps as Parquet columns, and back: every field, bit for bit.

A timestep's `_id` is `episode << 20 | step` and its run is the export's, so neither is a column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.documents import episode_document, episode_of
from agents.replay.runs import Episode, Run

_MILLISECONDS = pa.timestamp("ms", tz="UTC")
_VECTORS = ("state", "action", "policy_action")
_SCALARS = {
    "decision": pa.bool_(),
    "reward": pa.float64(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
    "policy_version": pa.int64(),
    "time": _MILLISECONDS,
}
# Measured on 30,000 states: byte-stream splitting makes the files larger, and takes twice as long.
TIMESTEP_OPTIONS = {"compression": "zstd", "compression_level": 1, "use_dictionary": False}
"""For `pyarrow.parquet.ParquetWriter`."""

_SUMS = ("reward_terms", "round_returns")
EPISODES = pa.schema(
    [
        pa.field("episode", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("run", "worker")),
        *(pa.field(name, pa.int64(), nullable=False) for name in ("writer", "number", "seed", "policy_version")),
        pa.field("purpose", pa.string(), nullable=False),
        pa.field("exploration", pa.string(), nullable=False, metadata={"is": "JSON"}),
        pa.field("physics", pa.string(), nullable=False),
        pa.field("start", pa.string(), nullable=False, metadata={"is": "JSON"}),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("return", pa.float64(), nullable=False),
        *(pa.field(name, pa.map_(pa.string(), pa.float64()), nullable=False) for name in _SUMS),
        pa.field("ended", pa.string(), nullable=False),
        *(pa.field(name, pa.bool_(), nullable=False) for name in ("terminated", "truncated")),
        pa.field("step_ms_mean", pa.float64(), nullable=False),
        *(pa.field(name, _MILLISECONDS, nullable=False) for name in ("started", "finished")),
    ]
)
_DATES = ("started", "finished")
_JSON = ("exploration", "start")


def codec_of(run: Run, name: str | None = None) -> TimestepCodec:
    """Of the run's timesteps, or of another run's with the same layout."""
    return TimestepCodec(name or run.name, len(run.state_names), len(run.action_names))


def timestep_schema(run: Run) -> pa.Schema:
    """One column per field; vectors are fixed-size lists."""
    sizes = {"state": len(run.state_names), "action": len(run.action_names), "policy_action": len(run.action_names)}
    fields = [pa.field(name, pa.int64(), nullable=False) for name in ("episode", "step")]
    fields += [pa.field(name, _vector(sizes[name]), nullable=False) for name in _VECTORS]
    return pa.schema(fields + [pa.field(name, kind, nullable=False) for name, kind in _SCALARS.items()])


def timestep_batch(rows: Rows, schema: pa.Schema) -> pa.RecordBatch:
    """Stored rows as columns."""
    columns = []
    for field in schema:
        values = np.ascontiguousarray(rows[field.name])
        if field.name in _VECTORS:
            columns.append(pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=field.type))
        else:
            columns.append(pa.array(values).cast(field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def timestep_columns(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Columns of a `timestep_batch`, by the names of the stored fields; the time in milliseconds."""
    found = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if name in _VECTORS:
            found[name] = column.flatten().to_numpy().reshape(len(column), column.type.list_size)
        else:
            found[name] = (column.cast(pa.int64()) if name == "time" else column).to_numpy(zero_copy_only=False)
    return found


def episodes_table(episodes: Sequence[Episode]) -> pa.Table:
    """Raises: ValueError when documents of episodes have fields that this format does not know."""
    return pa.Table.from_pylist([_flat(episode_document(episode)) for episode in episodes], schema=EPISODES)


def episodes_of(table: pa.Table) -> list[Episode]:
    """The inverse of `episodes_table`."""
    return [episode_of(_document(row)) for row in table.to_pylist()]


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    row = {"episode": document["_id"], **document}
    del row["_id"]
    if set(row) != set(EPISODES.names):
        # pyarrow would leave out what the schema does not name.
        raise ValueError(
            f"fields of an episode's document: found {sorted(row)}, needed {sorted(EPISODES.names)}; this export's "
            "format is older than the documents: give it a column"
        )
    row |= {name: json.dumps(row[name]) for name in _JSON}
    row |= {name: list(row[name].items()) for name in _SUMS}
    return row


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    dates: dict[str, datetime] = {name: row[name].astimezone(UTC) for name in _DATES}
    # An older export has no column for the start, and none for what both rounds paid.
    maps = {name: json.loads(row.get(name, "{}")) for name in _JSON}
    sums = {name: dict(row.get(name, ())) for name in _SUMS}
    return {**row, "_id": row["episode"], **maps, **sums, **dates}


def _vector(size: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float32(), nullable=False), size)
