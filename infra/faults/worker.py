"""A worker process that writes until it is told to stop: `python -m infra.faults.worker`, its job on standard input.

Imports no simulator, so that it starts in half a second.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.replay.contract import SPOOL_BYTES, EpisodeWriter
from agents.replay.ids import episode_id, timestep_id
from agents.replay.mongo import MongoReplay
from infra.faults.content import Content, block_of, pieces
from infra.faults.marks import Mark, Marks

_BLOCK = 40
"""Timesteps handed over at once, in every other episode."""
_CONNECT_S = 60.0
_ASK_EVERY = 5
"""Episodes between two questions to the spool whether the database has everything."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one life of a worker does. Plain values only: it travels as JSON."""

    uri: str
    database: str
    run: str
    name: str
    content: str
    marks: str
    spool: str | None
    spool_bytes: int = SPOOL_BYTES
    rest_s: float = 0.0
    """After every episode; 0 is as fast as it can."""
    episodes: int | None = None
    """After so many it ends by itself."""
    patience_s: float = 120.0
    """What the database may take for the rest, at the end."""


def write(job: Job) -> int:
    """Returns how many timesteps and documents the database lacks at the end."""
    content, marks = Content.load(Path(job.content)), Marks(Path(job.marks))
    log = MongoReplay(job.uri, job.database, connect_s=_CONNECT_S)
    spool = Path(job.spool) if job.spool else None
    writer = log.writer(job.run, job.name, spool=spool, spool_bytes=job.spool_bytes)
    marks[Mark.WRITER] = writer.writer
    number = 0
    while not marks[Mark.STOP] and number != job.episodes:
        _write_episode(writer, content, marks, number)
        number += 1
        # Without a spool, what `end` returned from is durable; with one, it is on this machine's disk.
        if spool is None or (number % _ASK_EVERY == 0 and writer.drain(0.05) == 0):
            marks[Mark.ACKNOWLEDGED] = marks[Mark.HANDED]
        time.sleep(job.rest_s)
    left = writer.close(job.patience_s)
    if left == 0:
        marks[Mark.ACKNOWLEDGED] = marks[Mark.HANDED]
        log.close()
    return left


def _write_episode(writer: EpisodeWriter, content: Content, marks: Marks, number: int) -> None:
    """Episode `number` of this life, timestep by timestep or in blocks."""
    episode = episode_id(writer.writer, number)
    steps = content.episode(episode)
    block, size = block_of(steps), _BLOCK if number % 2 else 1
    marks[Mark.TRYING] = timestep_id(episode, 0)
    writer.begin(content.start(episode), block.timestep(0, 0))
    marks[Mark.HANDED] = timestep_id(episode, 0)
    for rows in pieces(len(block), size):
        marks[Mark.TRYING] = timestep_id(episode, rows.stop - 1)
        if size == 1:
            writer.add(block.timestep(rows.start, rows.start))
        else:
            writer.add_many(block[rows])
        marks[Mark.HANDED] = timestep_id(episode, rows.stop - 1)
    ended = "fall" if steps.terminated[-1] else "time_limit"
    writer.end(ended=ended, reward_terms={"all": float(steps.reward.sum())}, step_ms_mean=1.0)


def main() -> None:
    """Exit status 0 when the database has everything, 1 when some is left in the spool."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    job: dict[str, Any] = json.load(sys.stdin)
    sys.exit(1 if write(Job(**job)) else 0)


if __name__ == "__main__":
    main()
