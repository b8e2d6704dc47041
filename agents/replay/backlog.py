"""Which episodes of the log to take next, in which order, and how many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from agents.replay.contract import Episode, Replay, Timesteps

_FEED_TIMESTEPS = 10_000
"""Read from the log at a time: some 20 MB."""


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
    """The timesteps of each part; the next is read while this one is worked on. None for an empty part."""
    with ThreadPoolExecutor(1, "reader") as pool:
        reads = (pool.submit(replay.read, part) if part else None for part in parts)
        coming = next(reads, None) if parts else None
        for _ in parts:
            following = next(reads, None)
            yield coming.result() if coming is not None else None
            coming = following
