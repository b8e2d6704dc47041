"""How old what the learner samples is: in versions, and in seconds since the version that acted was published."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_BATCHES = 64
"""The newest that are looked at."""


class SampleAges:
    """Told of every version and every batch; the figures are made only when they are asked for."""

    def __init__(self, published_s: Mapping[int, float]) -> None:
        """`published_s`: when the versions so far came out, in seconds since 1970."""
        self._published_s = dict(published_s)
        self._lock = threading.Lock()
        self._batches: deque[Integers] = deque(maxlen=_BATCHES)

    def published(self, version: int, when_s: float) -> None:
        """A new version; from any thread."""
        with self._lock:
            self._published_s[version] = when_s

    def sampled(self, versions: Integers) -> None:
        """(B,) with which the decisions of a batch were acted. Keeps the array."""
        self._batches.append(versions)

    def metrics(self) -> dict[str, float]:
        """Of the newest batches; empty before the first.

        `sample/age_versions_…`: versions published since (p50, p95); `sample/age_s_…`: seconds since the version that
        acted was published, of those with one; `sample/share_version_0`: from before the first. Decisions of other runs
        count by the numbers of their own versions.
        """
        if not self._batches:
            return {}
        versions, count = np.unique(np.concatenate(self._batches), return_counts=True)
        with self._lock:
            known = np.array(sorted(self._published_s), np.int64)
            when_s = np.array([self._published_s[number] for number in known.tolist()])
        behind = len(known) - np.searchsorted(known, versions, side="right")
        found = {
            "sample/share_version_0": float(count[versions == 0].sum() / count.sum()),
            "sample/age_versions_p50": _percentile(behind, count, 50),
            "sample/age_versions_p95": _percentile(behind, count, 95),
        }
        told = np.isin(versions, known)
        if told.any():
            age_s = time.time() - when_s[np.searchsorted(known, versions[told])]
            found["sample/age_s_p50"] = _percentile(age_s, count[told], 50)
            found["sample/age_s_p95"] = _percentile(age_s, count[told], 95)
        return found


def _percentile(values: NDArray[Any], count: Integers, percent: float) -> float:
    """The smallest value that so many of all are not above, each of `values` counted `count` times."""
    order = np.argsort(values)
    reached = np.cumsum(count[order]) >= percent / 100 * count.sum()
    return float(values[order][np.argmax(reached)])
