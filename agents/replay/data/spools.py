"""What waits on this machine for the database, in the spool folders of its workers; and sending what dead ones left."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agents.replay.data.text import columns
from agents.replay.log import Log
from agents.replay.spool_file import Kind, SpoolFile
from agents.replay.spool_folder import SpoolInUse, is_in_use, leftovers_in, refused_in
from agents.replay.spool_places import Place, spool_places


@dataclass(frozen=True, slots=True)
class Contents:
    """What lies in some files."""

    bytes: int = 0
    timesteps: int = 0
    """In whole records; the database may have some of them."""
    documents: int = 0
    """Everything else, but for who wrote it."""
    unread_bytes: int = 0
    """From the first damaged or cut-off record of a file on."""

    def __add__(self, other: Contents) -> Contents:
        return Contents(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that must not be sent."""

    file: str
    reason: str
    contents: Contents


@dataclass(frozen=True, slots=True)
class Waiting:
    """One worker's spool folder, at one moment."""

    run: str
    worker: str
    folder: str
    in_use: bool
    """By a living process, which sends what lies there."""
    files: int
    contents: Contents
    refused: Sequence[Refused]

    @property
    def to_send(self) -> bool:
        """Whether there are files that nobody will send."""
        return self.files > 0 and not self.in_use

    @property
    def is_left(self) -> bool:
        """Whether there is something in them."""
        inside = self.contents
        return self.to_send and inside.timesteps + inside.documents + inside.unread_bytes > 0

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"is_left": self.is_left}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `send` did with one folder."""

    run: str
    worker: str
    count: int = 0
    """Timesteps and documents that were handed to the database; it may have had some."""
    aborted: int = 0
    """Episodes that were closed because their worker had died in the middle."""
    refused: int = 0
    """Files that are kept."""
    problem: str | None = None
    """Why nothing was done."""

    def text(self) -> str:
        """As a person reads it."""
        if self.problem:
            return f"{self.run}/{self.worker}: left as it is: {self.problem}"
        return (
            f"{self.run}/{self.worker}: {self.count:,} timesteps and documents sent, {self.aborted} episodes closed as "
            f"aborted, {self.refused} files refused"
        )


def look(data: Path, run: str | None = None) -> list[Waiting]:
    """The spool folders under DATA_DIR, those of one run or all; needs no database."""
    return [_look_at(place) for place in spool_places(data) if run in (None, place.run)]


def send(replay: Log, found: Sequence[Waiting], stop: Callable[[], bool]) -> list[Outcome]:
    """Sends what lies in folders that no process uses, as the next life of the worker would; ends early at `stop`."""
    outcomes = []
    for one in found:
        if stop():
            break
        if one.to_send:
            outcomes.append(_send(replay, one))
    return outcomes


def spools_text(found: Sequence[Waiting]) -> str:
    """One line for each folder, and one for each refused file."""
    if not found:
        return "no worker has had a spool on this machine"
    lines = [columns(_HEADER, map(_row, found))]
    for one in found:
        for refused in one.refused:
            lines.append(f"refused: {refused.file} ({refused.contents.timesteps:,} timesteps): {refused.reason}")
    return "\n".join(lines)


def waiting_text(found: Sequence[Waiting]) -> list[str]:
    """One line if dead workers left something unsent, or files were refused; else none."""
    left, refused = [one for one in found if one.is_left], [file for one in found for file in one.refused]
    parts = []
    if left:
        timesteps = sum(one.contents.timesteps for one in left)
        parts.append(
            f"{timesteps:,} timesteps of {len(left)} dead workers may not have been sent (`replay spool --send`)"
        )
    if refused:
        timesteps = sum(file.contents.timesteps for file in refused)
        parts.append(f"{timesteps:,} timesteps in {len(refused)} files were refused (`replay spool` says why)")
    return ["on this machine: " + ", ".join(parts)] if parts else []


_HEADER = ("run/worker", "state", "files", "timesteps", "documents", "bytes", "refused files")


def _row(one: Waiting) -> tuple[str, ...]:
    state = "in use" if one.in_use else "left" if one.is_left else "empty"
    inside = one.contents
    numbers = (one.files, inside.timesteps, inside.documents, inside.bytes, len(one.refused))
    return (f"{one.run}/{one.worker}", state, *(f"{number:,}" for number in numbers))


def _look_at(place: Place) -> Waiting:
    in_use = is_in_use(place.path)
    files = [contents for path in leftovers_in(place.path) if (contents := _contents(path)) is not None]
    return Waiting(
        run=place.run,
        worker=place.worker,
        folder=str(place.path),
        in_use=in_use,
        files=len(files),
        contents=sum(files, Contents()),
        refused=[Refused(str(path), why, _contents(path) or Contents()) for path, why in refused_in(place.path)],
    )


def _contents(path: Path) -> Contents | None:
    """None when the file is gone: a living worker had sent it."""
    try:
        file = SpoolFile(path)
    except FileNotFoundError:
        return None
    timesteps = documents = read = 0
    for record in file.records(0, file.end):
        read = record.end
        if record.kind in (Kind.TIMESTEPS, Kind.TIMESTEPS_AGAIN):
            # All are BSON documents of one size, which stands in front.
            timesteps += len(record.payload) // struct.unpack_from("<i", record.payload)[0]
        elif record.kind is not Kind.LIFE:
            documents += 1
    file.close()
    return Contents(file.end, timesteps, documents, file.end - read)


def _send(replay: Log, one: Waiting) -> Outcome:
    try:
        sent, aborted = replay.send_spool(one.run, Path(one.folder))
    except (KeyError, SpoolInUse) as error:
        return Outcome(one.run, one.worker, problem=str(error.args[0]))
    return Outcome(one.run, one.worker, sent.count, len(aborted), len(sent.aside))
