"""The learner process, as `python -m agents learn` runs it, with a trace of what it draws: `python -m
infra.faults.learning`, its job on standard input, the services in its environment."""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from agents.build import open_replay, open_store
from agents.config import RunConfig
from agents.connections import Connections
from agents.experience import Batch
from agents.replay.mirror import Mirror
from agents.stopping import stop_on_signals
from agents.telemetry import Telemetry, set_up_logging
from agents.training import train_run

_ENTRY = struct.Struct("<I")


@dataclass(frozen=True, kw_only=True)
class LearnerJob:
    """Plain values only: it travels as JSON."""

    run: str
    folder: str
    """Of its status file."""
    trace: str
    """File that gets a checksum for each batch drawn."""


def checksum(batch: Batch) -> int:
    """Of the numbers and weights of what was drawn."""
    assert batch.number is not None
    return zlib.crc32(batch.weight.tobytes(), zlib.crc32(batch.number.tobytes()))


def read_trace(path: Path) -> list[int]:
    """One checksum for each batch that a learner has drawn so far."""
    data = path.read_bytes() if path.exists() else b""
    return [entry[0] for entry in _ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size])]


@contextmanager
def traced(trace: Path) -> Iterator[None]:
    """Every batch that a mirror of this process gives meanwhile leaves a checksum there, at once."""
    descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sample = Mirror.sample

    def told(mirror: Mirror, batch_size: int, generator: np.random.Generator) -> Batch:
        batch = sample(mirror, batch_size, generator)
        os.write(descriptor, _ENTRY.pack(checksum(batch)))
        return batch

    with patch.object(Mirror, "sample", told):
        yield
    os.close(descriptor)


def learn(job: LearnerJob) -> None:
    """Until SIGTERM."""
    stop = stop_on_signals()
    connections = Connections.from_environment()
    replay, store = open_replay(connections), open_store(connections)
    with closing(replay), closing(store), traced(Path(job.trace)):
        run = replay.run(job.run)
        telemetry = Telemetry(Path(job.folder), "learner", scalars=False)
        train_run(run, RunConfig.of(run.config), replay, store, telemetry, stop)
        telemetry.close()


if __name__ == "__main__":
    set_up_logging()
    learn(LearnerJob(**json.load(sys.stdin)))
