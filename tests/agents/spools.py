"""Stores that are away, workers that were killed, and blocks, for the tests of the writing side."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.replay.columns import TimestepBlock
from agents.replay.contract import ReplayUnavailable
from agents.replay.log import Log
from agents.replay.memory import MemoryReplay
from agents.replay.runs import EpisodeStart
from agents.replay.spool import Spool
from agents.replay.spool_folder import SpoolFolder
from agents.replay.storage import Sink
from agents.replay.writer import LogWriter
from environment.timestep import TimeStep
from tests.contracts.replay_samples import sample_run

START = EpisodeStart(seed=11, policy_version=4, purpose="explore", exploration={"kind": "gaussian", "sigma": 0.25})
CALLS = ("note_open", "insert_timesteps", "mark_truncated", "insert_episode", "insert_event", "insert_refused")


class Away(MemoryReplay):
    """A store in memory that does not answer writers while it is away. Notes who called what."""

    def __init__(self) -> None:
        super().__init__()
        self.open_run(sample_run())
        self.back = threading.Event()
        self.back.set()
        self.called: list[tuple[str, int]] = []
        """Name of the call, and how many timesteps it brought."""
        for name in CALLS:
            setattr(self, name, self._waiting(name, getattr(self, name)))

    def _waiting(self, name: str, call: Callable[..., None]) -> Callable[..., None]:
        def wait_and_call(*arguments: Any, **named: Any) -> None:
            self.back.wait()
            self.called.append((name, len(arguments[0]) if name == "insert_timesteps" else 0))
            call(*arguments, **named)

        return wait_and_call


class Dead(Sink):
    """A store that never answered before the worker was killed."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def _never(self, *arguments: Any, **named: Any) -> None:
        self.over.wait()
        raise ReplayUnavailable("gone")

    note_open = insert_timesteps = mark_truncated = insert_episode = insert_event = insert_refused = _never


def killed(log: Log, folder: Path, work: Callable[[LogWriter], object], *, most_bytes: int = 1 << 20) -> None:
    """What is in `folder` when a worker is killed that did this `work` while its store was away."""
    store, alive = Dead(), folder.with_name(f"{folder.name}-alive")
    codec, life = log._codec("run"), log._begin_life("run", "w")
    spool = Spool(store, codec, SpoolFolder(alive), life, most_bytes=most_bytes)
    work(LogWriter(spool, codec, run="run", worker="w", writer=life.writer, batch=10, write_every_s=0.0))
    folder.mkdir()
    for path in files(alive):
        shutil.copy(path, folder)
    store.over.set()


def files(folder: Path, kind: str = "spool") -> list[Path]:
    return sorted(folder.glob(f"*.{kind}"))


def begin_and_add(writer: LogWriter, steps: list[TimeStep]) -> None:
    writer.begin(START, steps[0])
    for step in steps[1:]:
        writer.add(step)


def block_of(steps: Sequence[TimeStep]) -> TimestepBlock:
    columns = [field.name for field in dataclasses.fields(TimestepBlock)]
    return TimestepBlock(*(np.array([getattr(step, name) for step in steps]) for name in columns))
