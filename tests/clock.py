"""Time for tests that passes only when somebody sleeps, so that a busy machine can not change their result."""

from __future__ import annotations


class Clock:
    """Stands in for `time` in one module: `monkeypatch.setattr("agents.lease.time", clock)`."""

    def __init__(self) -> None:
        self._now_s = 1000.0

    def monotonic(self) -> float:
        return self._now_s

    perf_counter = monotonic

    def time(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Lets the time pass at once."""
        self._now_s += seconds
