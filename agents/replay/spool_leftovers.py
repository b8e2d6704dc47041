"""What a killed worker had handed over, but not sent: the next life sends it before anything else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from agents.replay.codec import TimestepCodec
from agents.replay.contract import WriterConflict
from agents.replay.documents import utc_now
from agents.replay.ids import STEP_BITS
from agents.replay.spool_file import Kind, Record, SpoolFile
from agents.replay.spool_folder import SpoolFolder
from agents.replay.spool_records import Call, calls, decoded
from agents.replay.storage import Life, Storage

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sent:
    """What became of the files of some lives."""

    writers: list[int] = field(default_factory=list)
    """Of the lives, those that the log knows."""
    count: int = 0
    """Timesteps and documents that were handed to the store; it may have had some."""
    aside: dict[Path, str] = field(default_factory=dict)
    """Files that must not be sent, under their new names, and why."""


def send_leftovers(storage: Storage, codec: TimestepCodec, run: str, folder: SpoolFolder) -> Sent:
    """Sends all whole records, oldest first, and deletes their files. What is there already is left alone.

    What must not be sent is set aside and noted as an event: records of a life that this log does not know (it was
    another database), of an episode that was closed without them, or behind a damaged record.
    """
    lives = {life.writer: life for life in storage.lives(run)}
    sent = Sent()
    for _, paths in groupby(folder.leftovers(), key=lambda path: path.name.split("-")[0]):
        _Leftover(storage, codec, run, folder, list(paths)).send(lives, sent)
    return sent


class _Leftover:
    """The files of one life."""

    def __init__(
        self, storage: Storage, codec: TimestepCodec, run: str, folder: SpoolFolder, paths: Sequence[Path]
    ) -> None:
        self._storage, self._codec, self._run, self._folder, self._paths = storage, codec, run, folder, paths
        self._sent = 0
        self._aside: dict[Path, str] = {}
        """Files that are kept, and why."""
        self._closed: dict[int, set[Path]] = {}
        """Episodes that the log has a document of, and the files with records of them, until the documents agree."""

    def send(self, lives: dict[int, Life], sent: Sent) -> None:
        """Adds to `sent` what became of them."""
        life: Life | None = None
        for number, path in enumerate(self._paths):
            file = SpoolFile(path)
            try:
                found = _life_of(file, lives)
                life = life or found
                if found is None and not file.is_cut_off(0):
                    self._aside[path] = "this log does not know the worker's life that wrote it"
                elif found is not None and not self._send_file(file, is_last=number == len(self._paths) - 1):
                    self._aside |= dict.fromkeys(self._paths[number + 1 :], "it follows a damaged file")
                    break
            finally:
                file.close()
        for paths in self._closed.values():
            self._aside |= dict.fromkeys(paths, "a newer life of the worker has closed its episode without it")
        sent.aside |= self._tidy(life)
        sent.count += self._sent
        if life is not None:
            sent.writers.append(life.writer)

    def _send_file(self, file: SpoolFile, *, is_last: bool) -> bool:
        """False when a damaged record stands before others."""
        for call in calls(self._records(file), self._codec):
            if call.kind is not Kind.LIFE:
                self._make(call, file.path)
        end = file.first
        if end == file.end:
            return True
        if is_last and file.is_cut_off(end):
            _log.warning("%s: the last record was not written to its end and is left out", file.path)
            return True
        self._aside[file.path] = f"a record is damaged at byte {end}"
        return False

    def _records(self, file: SpoolFile) -> Iterator[Record]:
        """Notes in `file.first` how far the whole ones reach."""
        file.first = 0
        for record in file.records(0, file.end):
            yield record
            file.first = record.end

    def _make(self, call: Call, path: Path) -> None:
        episode = _episode_of(call)
        if call.kind is Kind.EPISODE:
            assert episode is not None
            try:
                call.make(self._storage, again=True)
            except WriterConflict as error:
                self._aside[path] = str(error)
                return
            self._closed.pop(episode, None)
        elif episode is not None and (episode in self._closed or self._storage.has_episode(episode)):
            # With its document the log has all its timesteps; or it was closed without these, and they came too late.
            self._closed.setdefault(episode, set()).add(path)
            return
        else:
            call.make(self._storage, again=True)
        self._sent += call.count

    def _tidy(self, life: Life | None) -> dict[Path, str]:
        kept: dict[Path, str] = {}
        for path in self._paths:
            if path in self._aside:
                aside = self._folder.set_aside(path, self._aside[path])
                kept[aside] = self._aside[path]
                _log.error("%s is kept as %s: %s", path, aside.name, self._aside[path])
            else:
                path.unlink()
        if life is not None:
            for path, reason in kept.items():
                self._note(life, "spool_set_aside", file=str(path), reason=reason)
            if self._sent:
                self._note(life, "spool_sent", count=self._sent)
        return kept

    def _note(self, life: Life, kind: str, **details: object) -> None:
        event = {"run": self._run, "process": life.worker, "kind": kind, "time": utc_now()}
        self._storage.insert_event({**event, "details": {"writer": life.writer, **details}})


def _life_of(file: SpoolFile, lives: dict[int, Life]) -> Life | None:
    """The life that wrote the file, if the log knows it."""
    first = next(file.records(0, file.end), None)
    if first is None or first.kind is not Kind.LIFE:
        return None
    told = decoded(first.payload)
    life = lives.get(told["writer"])
    known = life is not None and (life.worker, life.started) == (told["worker"], told["started"])
    return life if known else None


def _episode_of(call: Call) -> int | None:
    match call.kind:
        case Kind.EPISODE:
            return int(call.document["_id"])
        case Kind.TRUNCATED:
            return int(call.document["timestep"]) >> STEP_BITS
        case Kind.TIMESTEPS | Kind.TIMESTEPS_AGAIN:
            assert call.rows is not None
            return int(call.rows["episode"][0])
    return None
