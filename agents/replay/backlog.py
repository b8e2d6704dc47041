"""Which episodes of the log to take next, in which order, and how many at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from agents.replay.columns import Timesteps
from agents.replay.contract import Replay
from agents.replay.freed_memory import keep_freed_memory
from agents.replay.runs import Episode

_FEED_TIMESTEPS = 3_500
"""Read from the log at a time: some 7 MB. Less has more ways to go."""
_AHEAD = 3
"""Reads under way while another is worked on."""


def is_experience(episode: Episode) -> bool:
    """Whether it may be learned from: evaluations never are."""
    return episode.start.purpose != "evaluate"


def by_age(episodes: Sequence[Episode]) -> list[Episode]:
    """By the time they finished, each writer's in order even if its clock was set back: the watermarks rely on it."""
    latest: dict[int, datetime] = {}
    aged: list[tuple[datetime, int, Episode]] = []
    for episode in episodes:
        latest[episode.writer] = max(latest.get(episode.writer, episode.finished), episode.finished)
        aged.append((latest[episode.writer], episode.id, episode))
    return [episode for _, _, episode in sorted(aged, key=lambda item: item[:2])]


def newest_that_fit(episodes: Sequence[Episode], capacity: int) -> set[int]:
    """Ids of the newest episodes that a memory of `capacity` timesteps could still hold when all are taken.

    Raises: ValueError when one alone does not fit.
    """
    kept: set[int] = set()
    rows = 0
    for episode in reversed(episodes):
        if episode.length + 1 > capacity:
            raise ValueError(f"episode {episode.id} has {episode.length + 1} timesteps, the mirror room for {capacity}")
        rows += episode.length + 1
        if rows > capacity:
            break
        kept.add(episode.id)
    return kept


def chunks(episodes: Iterable[Episode], timesteps: int = _FEED_TIMESTEPS) -> Iterator[list[Episode]]:
    """Some at a time, in order: as many as have about so many timesteps."""
    chunk: list[Episode] = []
    rows = 0
    for episode in episodes:
        chunk.append(episode)
        rows += episode.length + 1
        if rows >= timesteps:
            yield chunk
            chunk, rows = [], 0
    if chunk:
        yield chunk


def read_ahead(replay: Replay, parts: Sequence[Sequence[Episode]]) -> Iterator[Timesteps | None]:
    """The timesteps of each part, in order; the next ones are read while one is worked on. None for an empty part."""
    if len(parts) == 1:  # read sooner than a thread starts
        yield replay.read(parts[0]) if parts[0] else None
        return
    keep_freed_memory()
    with ThreadPoolExecutor(_AHEAD, "reader") as pool:
        reads: deque[Future[Timesteps] | None] = deque()
        for part in parts:
            reads.append(pool.submit(replay.read, part) if part else None)
            if len(reads) > _AHEAD:
                yield _result(reads.popleft())
        while reads:
            yield _result(reads.popleft())


def _result(read: Future[Timesteps] | None) -> Timesteps | None:
    return None if read is None else read.result()
