"""The lives that one worker process leads in the log: one for each of its bodies, each with a writer of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from agents.config import RunConfig, data_dir
from agents.replay.contract import EpisodeWriter, Replay
from agents.replay.runs import Run
from agents.replay.spool_places import spool_path

_LEAST_SPOOL_BYTES = 1 << 20


def spool_folder(run: str, worker: str) -> Path:
    """Where on this machine a worker's timesteps wait for the store."""
    return spool_path(data_dir(), run, worker)


class Lives:
    """Those of a process's bodies. A single body is the worker itself, one of many is `NAME/0`, `NAME/1`, …

    What a former process of that name left open is closed, body by body.
    """

    def __init__(self, run: Run, config: RunConfig, replay: Replay, name: str) -> None:
        """Raises: SpoolInUse when another process leads one of them."""
        bodies, settings = config.bodies, config.replay
        names = [name] if bodies == 1 else [f"{name}/{body}" for body in range(bodies)]
        room = max((settings.spool_megabytes << 20) // bodies, _LEAST_SPOOL_BYTES)
        self.writers: list[EpisodeWriter] = []
        """One of each body."""
        try:
            for one in names:
                spool = spool_folder(run.name, one)
                self.writers.append(
                    replay.writer(run.name, one, batch=settings.write_batch, spool=spool, spool_bytes=room)
                )
        except BaseException:
            self.close(0.0)
            raise

    @property
    def waited_s(self) -> float:
        """Seconds that they have waited because the store was away; one after the other, so they add up."""
        return sum(writer.waited_s for writer in self.writers)

    def note(self, kind: str, **details: Any) -> None:
        """Notes in `events` what happened to the process, as the first body's."""
        self.writers[0].note(kind, **details)

    def drain(self, wait_s: float) -> int:
        """Waits until the store has everything, at most `wait_s` in all; returns the timesteps it lacks then."""
        ends_s = time.monotonic() + wait_s
        return sum(writer.drain(max(0.0, ends_s - time.monotonic())) for writer in self.writers)

    def close(self, wait_s: float) -> int:
        """Ends them all: `drain`."""
        ends_s = time.monotonic() + wait_s
        return sum(writer.close(max(0.0, ends_s - time.monotonic())) for writer in self.writers)
