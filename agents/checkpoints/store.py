"""Immutable versions and one pointer, over any object store."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from mmap import mmap
from typing import Any

from agents.checkpoints.contract import (
    Blob,
    CheckpointConflict,
    CheckpointCorrupt,
    CheckpointMissing,
    Part,
    Version,
)
from agents.checkpoints.format import decode, encode_aside, sha256
from agents.checkpoints.manifest import PARTS, Manifest, Pointer, StoredPart
from agents.checkpoints.objects import Objects
from agents.checkpoints.pointers import Named, Pointers

log = logging.getLogger(__name__)

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NUMBER = re.compile(r"[0-9]{8,}")


class VersionedCheckpoints:
    """Implements `CheckpointStore`. Safe to share between threads that read.

    Two publishers of one run would take the same number. Each looks for the other just before its manifest and again
    before the pointer, and gives up with CheckpointConflict. A gap of one request remains; the pointer of a publisher
    whose term is over does not count in it (`pointers.py`), and the first version of a term leaves out the number that
    an upload of the term before may still have.
    """

    def __init__(self, objects: Objects, prefix: str = "runs") -> None:
        self._objects = objects
        self._prefix = prefix.strip("/")
        self._pointers = Pointers(objects, self._prefix)
        self._latest: dict[str, tuple[str | None, Manifest]] = {}
        """Run -> what told of news when the pointer was last read, and the manifest it led to."""
        self._first_number: dict[str, int] = {}
        """Run -> the least number of a version in the term that was opened here."""

    def open_term(self, run: str, term: int) -> Version | None:
        """Ends what publishers of lower terms may do; mends a damaged pointer first, and returns its version."""
        mended = self.mend(run)
        newest = self._pointers.newest_term(run)
        if newest >= term:
            raise CheckpointConflict(f"term {term} of run {run!r} can not begin: found term {newest} begun already")
        self._pointers.open(run, term)
        numbers = self._numbers(run)
        # An upload of a former learner's may still take the number after the highest that is there now.
        spare = 1 if newest or numbers else 0
        self._first_number[run] = max(numbers, default=0) + spare + 1
        return mended

    def publish(
        self, run: str, policy: Blob, learner: Blob, metadata: Mapping[str, Any], *, term: int | None = None
    ) -> Version:
        """Writes the next version: both parts, the manifest, then the pointer."""
        check_run_name(run)
        encoded: dict[Part, mmap] = {"policy": encode_aside(policy), "learner": encode_aside(learner)}
        # Looked at before the term: should that be over soon, its successor leaves out the number that follows.
        numbers = self._numbers(run)
        before = self._pointers.read(run)
        if term is not None and before.term != term:
            raise CheckpointConflict(
                f"this publisher's term {term} of run {run!r} is over: found term {before.term}, opened by another "
                "learner; this one was cut off and replaced, and stops"
            )
        number = max(1 + max(numbers, default=0), self._first_number.get(run, 1))
        if before.pointer is not None:
            number = max(number, before.pointer.number + 1)
        version = Version(run, number, datetime.now(UTC), dict(metadata))
        manifest = Manifest(version, {part: StoredPart.of(data) for part, data in encoded.items()}).encode()

        for part, data in encoded.items():
            self._objects.put(self._part_key(run, number, part), data)
        self._refuse_conflict(run, number, before)
        if self._objects.get(self._manifest_key(run, number)) is not None:
            raise _conflict(run, number, f"version {number} appeared")
        self._objects.put(self._manifest_key(run, number), manifest)
        self._refuse_conflict(run, number, before)
        self._pointers.write(run, Pointer(number, sha256(manifest)), before.term)
        return version

    def latest(self, run: str) -> Version | None:
        """The version the pointer names; None before the first. One request without a body while nothing changes."""
        check_run_name(run)
        manifest = self._latest_manifest(run)
        return None if manifest is None else manifest.version

    def load(self, run: str, part: Part, number: int | None = None) -> tuple[Version, Blob]:
        """Downloads and verifies one part of a version (default: the latest)."""
        check_run_name(run)
        if part not in PARTS:
            raise ValueError(f"found part {part!r}, needed one of {', '.join(PARTS)}")
        if number is not None:
            return self._load(self._manifest(run, number), part)
        manifest = self._latest_manifest(run)
        while manifest is not None:
            try:
                return self._load(manifest, part)
            except CheckpointMissing:
                # A slow reader: a newer version was published and this one deleted. Read the newer one.
                newer = self._latest_manifest(run)
                if newer == manifest:
                    raise
                manifest = newer
        runs = ", ".join(self._objects.folders(f"{self._prefix}/")) or "none"
        raise CheckpointMissing(f"run {run!r} has no checkpoint yet; runs with checkpoints: {runs}")

    def versions(self, run: str) -> Sequence[Version]:
        """Complete versions (those with a manifest), oldest first."""
        check_run_name(run)
        found = []
        for number in self._numbers(run):
            key = self._manifest_key(run, number)
            stored = self._objects.get(key)
            if stored is None:
                continue
            try:
                found.append(Manifest.decode(stored.data, key, run=run, number=number).version)
            except CheckpointCorrupt as error:
                # One rotten manifest must not keep a learner from going on from the version before it.
                log.warning("version %d of run %s is left out: %s", number, run, error)
        return found

    def retain(self, run: str, *, last: int, keep: Sequence[int] = ()) -> Sequence[int]:
        """Deletes all but the newest `last` versions and those in `keep`; returns the numbers deleted."""
        check_run_name(run)
        if last < 0:
            raise ValueError(f"found last={last}, needed 0 or more versions to keep")
        pointer = self._pointers.read(run).pointer
        latest = 0 if pointer is None else pointer.number
        numbers = self._numbers(run)
        complete = [n for n in numbers if self._objects.etag(self._manifest_key(run, n)) is not None]
        kept = {latest, *keep, *complete[len(complete) - min(last, len(complete)) :]}
        # A newer leftover may be a publication in progress.
        leftovers = {n for n in numbers if n < latest} - set(complete)
        deleted = sorted((set(complete) - kept) | leftovers)
        for number in deleted:
            # The manifest first: a half-deleted version must not look complete.
            self._objects.delete(self._manifest_key(run, number))
            for part in PARTS:
                self._objects.delete(self._part_key(run, number, part))
        return deleted

    def mend(self, run: str) -> Version | None:
        """Points a damaged pointer at the newest complete version; None when nothing was damaged or can be mended."""
        check_run_name(run)
        try:
            self._latest_manifest(run)
        except (CheckpointCorrupt, CheckpointMissing) as error:
            log.warning("the pointer of run %s is mended: %s", run, error)
        else:
            return None
        versions = self.versions(run)
        if not versions:
            self._pointers.delete(run)
            return None
        stored = self._objects.get(self._manifest_key(run, versions[-1].number))
        if stored is None:
            raise CheckpointMissing(f"version {versions[-1].number} of run {run!r} was deleted while it was looked at")
        pointer = Pointer(versions[-1].number, sha256(stored.data))
        self._pointers.write(run, pointer, self._pointers.newest_term(run))
        return versions[-1]

    def close(self) -> None:
        """Gives back connections."""
        self._objects.close()

    def _latest_manifest(self, run: str) -> Manifest | None:
        cached, news = self._latest.get(run), self._pointers.news(run)
        if news is None:
            return None
        if cached is not None and news == cached[0]:
            return cached[1]
        named = self._pointers.read(run)
        while named.pointer is not None:
            key = self._manifest_key(run, named.pointer.number)
            stored = self._objects.get(key)
            pointer_key = self._pointers.key(run, named.term)
            if stored is not None:
                manifest = _verified(stored.data, key, named.pointer, pointer_key, run)
                self._latest[run] = named.news, manifest
                return manifest
            number, before, named = named.pointer.number, named, self._pointers.read(run)
            if named == before:
                raise CheckpointMissing(
                    f"{key} is gone, but {pointer_key} names version {number} as the latest; "
                    f"likely it was deleted by hand. {self._existing(run)}"
                )
        return None

    def _manifest(self, run: str, number: int) -> Manifest:
        key = self._manifest_key(run, number)
        stored = self._objects.get(key)
        if stored is None:
            raise CheckpointMissing(f"run {run!r} has no version {number}. {self._existing(run)}")
        return Manifest.decode(stored.data, key, run=run, number=number)

    def _load(self, manifest: Manifest, part: Part) -> tuple[Version, Blob]:
        version = manifest.version
        key = self._part_key(version.run, version.number, part)
        stored = self._objects.get(key)
        if stored is None:
            raise CheckpointMissing(
                f"{key} is gone, but its manifest is there; likely it was deleted by hand. "
                f"{self._existing(version.run)}"
            )
        manifest.parts[part].check(stored.data, key)
        return version, decode(stored.data, key)

    def _refuse_conflict(self, run: str, number: int, before: Named) -> None:
        now = self._pointers.read(run)
        if now.term != before.term:
            raise _conflict(run, number, f"term {now.term} was opened")
        if now != before:
            event = "the pointer was deleted" if now.pointer is None else f"version {now.pointer.number} was published"
            raise _conflict(run, number, event)

    def _numbers(self, run: str) -> list[int]:
        """Of all versions, complete or not, ascending."""
        names = self._objects.folders(f"{self._prefix}/{run}/versions/")
        return sorted(int(name) for name in names if _NUMBER.fullmatch(name))

    def _existing(self, run: str) -> str:
        numbers = self._numbers(run)
        complete = [n for n in numbers if self._objects.etag(self._manifest_key(run, n)) is not None]
        return f"Versions that exist: {', '.join(map(str, complete)) or 'none'}"

    def _manifest_key(self, run: str, number: int) -> str:
        return f"{self._prefix}/{run}/versions/{number:08d}/manifest.json"

    def _part_key(self, run: str, number: int, part: Part) -> str:
        return f"{self._prefix}/{run}/versions/{number:08d}/{part}.safetensors"


def check_run_name(run: str) -> None:
    """Raises: ValueError unless the name can be a part of an object's key."""
    if not _RUN.fullmatch(run):
        raise ValueError(
            f"found run name {run!r}, needed 1 to 100 letters, digits, '-', '_' or '.', the first a letter or digit"
        )


def _verified(data: bytes, key: str, pointer: Pointer, pointer_key: str, run: str) -> Manifest:
    found = sha256(data)
    if found != pointer.manifest_sha256:
        raise CheckpointCorrupt(
            f"{key} is corrupt: found SHA-256 {found[:12]}…, {pointer_key} says {pointer.manifest_sha256[:12]}…; "
            "it was not used"
        )
    return Manifest.decode(data, key, run=run, number=pointer.number)


def _conflict(run: str, number: int, event: str) -> CheckpointConflict:
    return CheckpointConflict(
        f"gave up version {number} of run {run!r}: {event} meanwhile; needed to be the only publisher. "
        "Likely two learners train this run, or this one lost its lease"
    )
