"""What a checkpoint store promises. Implementations, both over `store.py`: `s3.py` (the same code for a local endpoint
and AWS), `memory.py` (tests and one-process runs).

Layout under a run's prefix, every object immutable but the pointer:

    runs/<run>/versions/<00000012>/policy.safetensors     what an actor needs to act
    runs/<run>/versions/<00000012>/learner.safetensors    everything a learner needs to go on
    runs/<run>/versions/<00000012>/manifest.json          sizes, SHA-256 sums, metadata; written after both
    runs/<run>/terms/<00000003>/latest.json               the pointer of the learner's term; written next to last
    runs/<run>/latest.json                                the same, for readers that poll; written last

One process publishes to a run: the learner that holds its lease, whose number is its term. Many may read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]
Part = Literal["policy", "learner"]


@dataclass(frozen=True, slots=True)
class Blob:
    """One safetensors object: named arrays and JSON-able metadata."""

    tensors: Tensors
    """Any shape; bool, integers of 8 to 64 bits, float16, float32 or float64."""
    metadata: Mapping[str, Any]
    """JSON: text keys, no NaN or infinity (use None). Tuples come back as lists."""


@dataclass(frozen=True, slots=True)
class Version:
    """One published checkpoint."""

    run: str
    number: int
    """1, 2, 3, … within a run."""
    published: datetime
    """UTC."""
    metadata: Mapping[str, Any]
    """As given to `publish`: updates, timesteps, scores …"""


class CheckpointCorrupt(ValueError):
    """A stored object does not match its checksum or is no safetensors file. It was not used."""


class CheckpointMissing(LookupError):
    """No such run, version or part. Says what exists."""


class CheckpointStoreUnavailable(ConnectionError):
    """The store cannot be reached, refuses the credentials or has no such bucket. Says which, without the secret."""


class CheckpointConflict(RuntimeError):
    """Another process published to the same run meanwhile. This version was given up; the other's stands."""


class CheckpointStore(Protocol):
    """Versions of the policies and learners of many runs."""

    def open_term(self, run: str, term: int) -> Version | None:
        """Fences off whoever published in a lower term: from now on nothing that it writes, however late, is the
        latest. The latest version stays what it is. A learner that takes a run over does this before it reads.

        A damaged pointer is mended first; returns the version that it names then, as `mend` does.

        Raises: CheckpointConflict when this term or a higher one has begun.
        """

    def publish(
        self, run: str, policy: Blob, learner: Blob, metadata: Mapping[str, Any], *, term: int | None = None
    ) -> Version:
        """Writes the next version: both parts, the manifest, then the pointer.

        A crash in between leaves unreferenced objects, never a half-written version that someone reads; the number
        of such a leftover is not used again.

        Args:
            term: The publisher's, which must still be the highest; None is whichever that is.

        Raises: CheckpointConflict; ValueError when a name, tensor or metadata can not be stored.
        """

    def latest(self, run: str) -> Version | None:
        """The version the pointer names; None before the first. Cheap enough to poll every second.

        Raises: CheckpointCorrupt.
        """

    def load(self, run: str, part: Part, number: int | None = None) -> tuple[Version, Blob]:
        """Downloads and verifies one part of a version (default: the latest). The arrays are the caller's own.

        Raises: CheckpointMissing, CheckpointCorrupt.
        """

    def versions(self, run: str) -> Sequence[Version]:
        """Complete versions (those with a manifest), oldest first.

        One whose manifest can not be read is left out with a warning in the log; `load` says what is wrong with it.
        """

    def retain(self, run: str, *, last: int, keep: Sequence[int] = ()) -> Sequence[int]:
        """Deletes all but the newest `last` versions and those in `keep`; returns the numbers deleted.

        Never deletes the version the pointer names. Leftovers of crashes older than that version go too.
        """

    def mend(self, run: str) -> Version | None:
        """Points a damaged pointer at the newest complete version, and returns that; None when nothing was damaged.

        Only for the one who may publish.
        """

    def close(self) -> None: ...


def as_array(value: float | int) -> NDArray[np.float64]:
    """A scalar as a (1,) array, for storing counters beside tensors."""
    return np.asarray([value], dtype=np.float64)
