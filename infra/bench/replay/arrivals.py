"""A worker of its own process that writes episodes at an even pace, when it is told to."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.synchronize import Event
from types import TracebackType
from typing import Self

from infra.bench.replay.data import Source
from infra.bench.replay.store import Store, codec_of

_PAUSED_S = 0.02
"""Between two looks whether to go on."""


class Arrivals:
    """Episodes that come from elsewhere, paused at first."""

    def __init__(self, store: Store, run: str, source: Source, per_s: float) -> None:
        """`per_s`: episodes."""
        context = multiprocessing.get_context("spawn")
        self._ready, self._going, self._ended = context.Event(), context.Event(), context.Event()
        self._pool = context.Pool(1, initializer=_keep, initargs=(self._ready, self._going, self._ended))
        self._started_s = self._pool.apply_async(_write, (store, run, source, per_s))

    def __enter__(self) -> Self:
        """Returns when the process can write at once. Raises: what kept it from that."""
        try:
            while not self._ready.wait(_PAUSED_S):
                self.check()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def go(self) -> None:
        """Writes from now on."""
        self._going.set()

    def pause(self) -> None:
        """Ends with the episode that is being written."""
        self._going.clear()

    def check(self) -> None:
        """Raises what stopped the writing."""
        if self._started_s.ready():
            self._started_s.get()
            raise RuntimeError("the writer ended before it was told to")

    def end(self) -> list[float]:
        """When each episode's insert began, on this machine's monotonic clock."""
        self._ended.set()
        return self._started_s.get()

    def _end(self) -> None:
        self._ended.set()
        self._pool.terminate()
        self._pool.join()


def _keep(ready: Event, going: Event, ended: Event) -> None:
    globals().update(_ready=ready, _going=going, _ended=ended)


def _write(store: Store, name: str, source: Source, per_s: float) -> list[float]:
    ready: Event = globals()["_ready"]
    going: Event = globals()["_going"]
    ended: Event = globals()["_ended"]
    log = store.open()
    codec, writer = codec_of(log.run(name)), log.claim_writer(name, "arrivals")
    started_s: list[float] = []
    due_s = 0.0
    ready.set()
    while not ended.is_set():
        if not going.wait(_PAUSED_S):
            continue
        now_s = time.monotonic()
        if now_s < due_s:
            time.sleep(min(due_s - now_s, _PAUSED_S))
            continue
        # Late ones are not made up for in a burst.
        due_s = max(due_s, now_s - 1.0 / per_s) + 1.0 / per_s
        number = len(started_s)
        started_s.append(time.monotonic())
        log.insert_timesteps(source.rows(codec, writer, number, 1), again=False)
        log.insert_episode(source.document(name, writer, number))
    log.close()
    return started_s
