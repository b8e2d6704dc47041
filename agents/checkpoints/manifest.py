"""The two small JSON objects that make a version: its manifest, and the pointer that names the latest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from mmap import mmap
from typing import Any

from agents.checkpoints.contract import CheckpointCorrupt, Part, Version
from agents.checkpoints.format import from_json, sha256, to_json

_FORMAT = 1
PARTS: tuple[Part, ...] = ("policy", "learner")


@dataclass(frozen=True, slots=True)
class StoredPart:
    """What one part of a version must be."""

    size: int
    """Bytes."""
    sha256: str

    @classmethod
    def of(cls, data: bytes | mmap) -> StoredPart:
        return cls(len(data), sha256(data))

    def check(self, data: bytes | mmap, key: str) -> None:
        """Raises: CheckpointCorrupt when these are not the bytes that were published."""
        found = StoredPart.of(data)
        if found != self:
            raise CheckpointCorrupt(
                f"{key} is corrupt: found {found.size} bytes with SHA-256 {found.sha256[:12]}…, "
                f"its manifest says {self.size} bytes with {self.sha256[:12]}…; it was not used"
            )


@dataclass(frozen=True, slots=True)
class Manifest:
    """`manifest.json`: written when both parts are there; with it the version is complete."""

    version: Version
    parts: Mapping[Part, StoredPart]

    def encode(self) -> bytes:
        """Raises: ValueError when the version's metadata are not JSON."""
        version = self.version
        return to_json(
            {
                "format": _FORMAT,
                "run": version.run,
                "number": version.number,
                "published": version.published.isoformat(),
                "metadata": dict(version.metadata),
                "parts": {name: {"bytes": part.size, "sha256": part.sha256} for name, part in self.parts.items()},
            },
            f"the metadata of version {version.number} of run {version.run!r}",
        )

    @classmethod
    def decode(cls, data: bytes, key: str, *, run: str, number: int) -> Manifest:
        """Raises: CheckpointCorrupt, also when it is the manifest of another run or version."""
        values = _document(data, key)
        try:
            published = datetime.fromisoformat(values["published"])
            version = Version(str(values["run"]), int(values["number"]), published, dict(values["metadata"]))
            parts = {name: _part(values["parts"][name]) for name in PARTS}
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(key, error) from error
        if (version.run, version.number) != (run, number):
            raise CheckpointCorrupt(
                f"{key}: found the manifest of version {version.number} of run {version.run!r}; it was not used. "
                "Likely somebody copied objects between runs"
            )
        if published.utcoffset() != timedelta(0):
            raise CheckpointCorrupt(f"{key}: found the time {values['published']!r}, needed UTC; it was not used")
        return cls(version, parts)


@dataclass(frozen=True, slots=True)
class Pointer:
    """`latest.json`: the only object of a run that ever changes."""

    number: int
    manifest_sha256: str

    def encode(self) -> bytes:
        return to_json(
            {"format": _FORMAT, "number": self.number, "manifest_sha256": self.manifest_sha256}, "the pointer"
        )

    @classmethod
    def decode(cls, data: bytes, key: str) -> Pointer:
        """Raises: CheckpointCorrupt."""
        values = _document(data, key)
        try:
            return cls(int(values["number"]), str(values["manifest_sha256"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(key, error) from error


def _document(data: bytes, key: str) -> dict[str, Any]:
    values = from_json(data, key)
    if values.get("format") != _FORMAT:
        raise CheckpointCorrupt(
            f"{key}: found format {values.get('format')!r}, needed {_FORMAT}; it was not used. "
            "Likely it was written by another version of this code"
        )
    return values


def _part(entry: Mapping[str, Any]) -> StoredPart:
    return StoredPart(int(entry["bytes"]), str(entry["sha256"]))


def _unreadable(key: str, error: Exception) -> CheckpointCorrupt:
    return CheckpointCorrupt(f"{key}: an entry is missing or wrong ({type(error).__name__}: {error}); it was not used")
