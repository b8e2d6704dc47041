"""Sample blobs, and object stores that are interrupted or watched. Each passes everything on to a real one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from mmap import mmap

import numpy as np

from agents.checkpoints.contract import Blob
from agents.checkpoints.objects import Objects, StoredObject


def policy_blob(number: int = 0) -> Blob:
    """A small policy; another `number`, other weights."""
    weights = np.random.default_rng(number).normal(size=(4, 3)).astype(np.float32)
    return Blob({"actor.weight": weights, "actor.bias": np.zeros(3, np.float32)}, {"layout": "0" * 64, "net": [4, 3]})


def learner_blob(number: int = 0) -> Blob:
    """Every kind of array that a learner keeps, among them numbers that are not finite."""
    random = np.random.default_rng(number + 1000)
    return Blob(
        {
            "critic.weight": random.normal(size=(7, 5)).astype(np.float32).T,
            "normaliser.sum": np.array([np.nan, np.inf, -0.0, 1e-320]),
            "replay.watermarks": np.array([[1 << 62, -1]], dtype=np.int64),
            "random.state": random.integers(0, 256, 50, dtype=np.uint8),
            "frozen": np.array(True),
        },
        {"updates": number, "seed": 2**100, "note": None},
    )


def assert_equal_to_the_bit(found: Blob, needed: Blob) -> None:
    assert set(found.tensors) == set(needed.tensors)
    for name, array in needed.tensors.items():
        other = found.tensors[name]
        assert (other.dtype, other.shape, other.tobytes()) == (array.dtype, array.shape, array.tobytes()), name
    assert dict(found.metadata) == dict(needed.metadata)


class Died(Exception):
    """The process ended here."""


class Watched(Objects):
    """Notes every operation, and calls `before` ahead of each: to look, to die, or to let another process act."""

    def __init__(self, objects: Objects, before: Callable[[str, str], None] | None = None) -> None:
        self._objects = objects
        self._before = before
        self.operations: list[tuple[str, str]] = []
        """Name of the operation and the key's last part, e.g. `("put", "latest.json")`."""

    def put(self, key: str, data: bytes | mmap) -> None:
        self._note("put", key)
        self._objects.put(key, data)

    def get(self, key: str) -> StoredObject | None:
        self._note("get", key)
        return self._objects.get(key)

    def etag(self, key: str) -> str | None:
        self._note("etag", key)
        return self._objects.etag(key)

    def folders(self, prefix: str) -> Sequence[str]:
        self._note("folders", prefix)
        return self._objects.folders(prefix)

    def delete(self, key: str) -> None:
        self._note("delete", key)
        self._objects.delete(key)

    def close(self) -> None:
        self._objects.close()

    def _note(self, operation: str, key: str) -> None:
        name = key.rpartition("/")[2]
        if self._before is not None:
            self._before(operation, name)
        self.operations.append((operation, name))


def dying_after(objects: Objects, count: int, operation: str) -> Watched:
    """The same objects, in the hands of a process that dies before operation number `count` (from 0) of this kind."""
    left = count

    def before(found: str, _: str) -> None:
        nonlocal left
        if found == operation:
            if left == 0:
                raise Died
            left -= 1

    return Watched(objects, before)


def interrupted(objects: Objects, operation: str, name: str, action: Callable[[], object]) -> Watched:
    """The same objects; the first time this operation reaches for `name`, `action` happens just before."""
    waiting = True

    def before(found: str, key: str) -> None:
        nonlocal waiting
        if waiting and (found, key) == (operation, name):
            waiting = False
            action()

    return Watched(objects, before)
