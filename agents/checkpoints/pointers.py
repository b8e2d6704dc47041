"""Which version is a run's latest, and who may say so.

Every learner that takes a run over opens a term, with a higher number than all before it. From then on the pointer is
`terms/<term>/latest.json` of the highest term, so that whatever a learner of an earlier one still writes changes
nothing, however late its requests arrive. `latest.json` beside it is written last: readers poll it to hear of news. In
a run without terms it is the pointer itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from agents.checkpoints.manifest import Pointer
from agents.checkpoints.objects import Objects

_TERM = re.compile(r"[0-9]{8,}")
_NOTHING = ""
"""In place of a checksum, with number 0: the term was opened before anything was published."""


@dataclass(frozen=True, slots=True)
class Named:
    """What the pointer said at one moment."""

    pointer: Pointer | None
    """None before the first version."""
    term: int
    """In which it stands; 0 without terms."""
    news: str | None = field(compare=False)
    """ETag of `latest.json` just before: while that stays, so does the pointer."""


class Pointers:
    """Of the runs under a prefix."""

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects, self._prefix = objects, prefix

    def news(self, run: str) -> str | None:
        """ETag of what every publication changes; None before the first one. One request without a body."""
        return self._objects.etag(self.key(run, 0))

    def read(self, run: str) -> Named:
        """Raises: CheckpointCorrupt."""
        news = self._objects.get(self.key(run, 0))
        etag = None if news is None else news.etag
        term = max(self._terms(run), default=0)
        key = self.key(run, term)
        stored = news if term == 0 else self._objects.get(key)
        pointer = None if stored is None else Pointer.decode(stored.data, key)
        if pointer is not None and pointer.manifest_sha256 == _NOTHING:
            pointer = None
        return Named(pointer, term, etag)

    def write(self, run: str, pointer: Pointer, term: int) -> None:
        """Names a version in a term, then tells who polls."""
        data = pointer.encode()
        if term:
            self._objects.put(self.key(run, term), data)
        self._objects.put(self.key(run, 0), data)

    def open(self, run: str, term: int) -> None:
        """Ends all terms before this one; the pointer stays what it is. Whoever reads from now on sees no other."""
        now = self.read(run)
        self._objects.put(self.key(run, term), (now.pointer or Pointer(0, _NOTHING)).encode())
        for older in self._terms(run):
            if older < term:
                self._objects.delete(self.key(run, older))

    def newest_term(self, run: str) -> int:
        """0 when none was opened."""
        return max(self._terms(run), default=0)

    def delete(self, run: str) -> None:
        """The one that counts, when it can not be read and there is nothing to name."""
        self._objects.delete(self.key(run, self.newest_term(run)))

    def key(self, run: str, term: int) -> str:
        """Of the pointer in a term; 0 is the object that readers poll."""
        place = f"terms/{term:08d}/" if term else ""
        return f"{self._prefix}/{run}/{place}latest.json"

    def _terms(self, run: str) -> list[int]:
        names = self._objects.folders(f"{self._prefix}/{run}/terms/")
        return [int(name) for name in names if _TERM.fullmatch(name)]
