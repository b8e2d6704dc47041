"""The replay contract over any storage: what does not depend on where the documents lie."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.replay.codec import Rows, TimestepCodec
from agents.replay.columns import EpisodeTimesteps, Timesteps
from agents.replay.contract import SPOOL_BYTES, Replay
from agents.replay.documents import episode_of, plain, run_document, run_of, utc_now
from agents.replay.ids import STEP_BITS, timestep_id
from agents.replay.recovery import close_open_episodes
from agents.replay.runs import Episode, Run
from agents.replay.spool import Spool
from agents.replay.spool_folder import SpoolFolder
from agents.replay.spool_leftovers import Sent, send_leftovers
from agents.replay.storage import Life, Storage
from agents.replay.writer import LogWriter

_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UNCHANGEABLE = ("layout_sha256", "task", "reward", "model_sha256")


class Log(Storage, Replay):
    """The half of `Replay` that `MongoReplay` and `MemoryReplay` share."""

    def __init__(self) -> None:
        self._codecs: dict[str, TimestepCodec] = {}

    def open_run(self, run: Run) -> Run:
        if not _RUN_NAME.fullmatch(run.name):
            raise ValueError(
                f"run name: found {run.name!r}, needed 1 to 100 letters, digits, dots, dashes or underscores, the "
                "first a letter or digit: it also names folders and objects"
            )
        if self.insert_run(run_document(run)):
            return self.run(run.name)
        stored = self.run(run.name)
        for name in _UNCHANGEABLE:
            found, needed = getattr(stored, name), getattr(run, name)
            if found != needed:
                raise ValueError(
                    f"run {run.name!r} exists with {name} {found!r}, needed {needed!r}: its timesteps would not mix "
                    "with new ones; choose another run name"
                )
        return stored

    def run(self, name: str) -> Run:
        document = self.run_document(name)
        if document is None:
            raise KeyError(f"no run {name!r}; there are: {', '.join(self.runs()) or 'none'}")
        return run_of(document)

    def runs(self) -> Sequence[str]:
        return self.run_names()

    def writer(
        self, run: str, worker: str, *, batch: int = 150, spool: Path | None = None, spool_bytes: int = SPOOL_BYTES
    ) -> LogWriter:
        codec = self._codec(run)
        if spool is None:
            number = self._begin_life(run, worker).writer
            return LogWriter(self, codec, run=run, worker=worker, writer=number, batch=batch)
        folder = SpoolFolder(spool)
        try:
            send_leftovers(self, codec, run, folder)
            life = self._begin_life(run, worker)
            sink = Spool(self, codec, folder, life, batch=batch, most_bytes=spool_bytes)
        except BaseException:
            folder.release()
            raise
        # Every timestep goes to the disk at once; it is the spool that gathers them.
        return LogWriter(sink, codec, run=run, worker=worker, writer=life.writer, batch=batch, write_every_s=0.0)

    def send_spool(self, run: str, spool: Path) -> tuple[Sent, Sequence[Episode]]:
        """Sends what lives that are over left in the folder `spool`, and closes the episodes they left open.

        Raises: KeyError naming the runs that exist; SpoolInUse when a process uses the folder.
        """
        codec = self._codec(run)
        folder = SpoolFolder(spool)
        try:
            sent = send_leftovers(self, codec, run, folder)
            over = [life for life in self.lives(run) if life.writer in sent.writers]
            return sent, close_open_episodes(self, codec, run, over)
        finally:
            folder.release()

    def _begin_life(self, run: str, worker: str) -> Life:
        former = [life for life in self.lives(run) if life.worker == worker]
        close_open_episodes(self, self._codec(run), run, former)
        number = self.claim_writer(run, worker)
        return next(life for life in self.lives(run) if life.writer == number)

    def close_abandoned(self, run: str) -> Sequence[Episode]:
        return close_open_episodes(self, self._codec(run), run, self.lives(run))

    def event(self, run: str, process: str, kind: str, **details: Any) -> None:
        self.insert_event({"run": run, "process": process, "kind": kind, "time": utc_now(), "details": plain(details)})

    def episode(self, id: int) -> Episode:
        document = self.episode_document(id)
        if document is None:
            raise KeyError(f"no episode {id} is stored; `python -m agents replay episodes --run NAME` lists a run's")
        return episode_of(document)

    def timesteps(self, episode: Episode) -> EpisodeTimesteps:
        return self.read([episode]).episode(0)

    def timesteps_of(self, episodes: Sequence[Episode]) -> Sequence[EpisodeTimesteps]:
        if not episodes:
            return []
        found = self.read(episodes)
        places = {episode.id: number for number, episode in enumerate(found.episodes)}
        return [found.episode(places[episode.id]) for episode in episodes]

    def read(self, episodes: Sequence[Episode]) -> Timesteps:
        ordered = sorted(episodes, key=lambda episode: episode.id)
        rows, first = self._read(ordered)
        return Timesteps(
            episodes=ordered,
            first=first,
            state=rows["state"],
            excitation=rows["action"],
            policy_action=rows["policy_action"],
            decision=rows["decision"],
            reward=rows["reward"],
            terminated=rows["terminated"],
            truncated=rows["truncated"],
            policy_version=rows["policy_version"],
        )

    def rows(self, episodes: Sequence[Episode]) -> Rows:
        """Every stored field of some episodes of one run, by id and step; as much at a time as `read`.

        Raises: LookupError when the log has gaps: says which steps are missing.
        """
        return self._read(sorted(episodes, key=lambda episode: episode.id))[0]

    def _read(self, ordered: Sequence[Episode]) -> tuple[Rows, NDArray[np.int64]]:
        """The rows of episodes sorted by id, and where each begins."""
        (run,) = {episode.run for episode in ordered}
        parts = [
            self.read_timesteps(timestep_id(group[0].id, 0), timestep_id(group[-1].id, group[-1].length))
            for group in _neighbours(ordered)
        ]
        rows = self._codec(run).read(parts[0] if len(parts) == 1 else b"".join(parts))
        lengths = np.array([episode.length + 1 for episode in ordered])
        first = np.cumsum(lengths) - lengths
        ids = np.repeat([timestep_id(episode.id, 0) for episode in ordered], lengths)
        ids += np.arange(len(ids)) - np.repeat(first, lengths)
        if not np.array_equal(rows["_id"], ids):
            rows = rows[_places(ordered, rows["_id"], ids)]
        return rows, first

    def _codec(self, run: str) -> TimestepCodec:
        if run not in self._codecs:
            stored = self.run(run)
            self._codecs[run] = TimestepCodec(run, len(stored.state_names), len(stored.action_names))
        return self._codecs[run]


def _neighbours(episodes: Sequence[Episode]) -> Iterator[list[Episode]]:
    """Groups whose timesteps follow one another in the log: consecutive episodes of one writer."""
    group: list[Episode] = []
    for episode in sorted(episodes, key=lambda e: e.id):
        if group and (episode.id != group[-1].id + 1 or episode.run != group[0].run):
            yield group
            group = []
        group.append(episode)
    if group:
        yield group


def _places(episodes: Sequence[Episode], found: NDArray[np.int64], needed: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where the `needed` timesteps lie among those `found`, which hold others as well: what a late write left.

    Raises: LookupError naming the first episode that lacks some.
    """
    places = np.minimum(np.searchsorted(found, needed), len(found) - 1)
    missing = needed[found[places] != needed] if len(found) else needed
    if len(missing) == 0:
        return places
    (episode,) = (one for one in episodes if one.id == missing[0] >> STEP_BITS)
    steps = (missing[missing >> STEP_BITS == episode.id] & ((1 << STEP_BITS) - 1)).tolist()
    shown = ", ".join(map(str, steps[:10])) + (", …" if len(steps) > 10 else "")
    raise LookupError(
        f"episode {episode.id} of run {episode.run!r}: found {episode.length + 1 - len(steps)} timesteps, needed "
        f"{episode.length + 1}; missing steps {shown}; likely timesteps were deleted by hand"
    )
