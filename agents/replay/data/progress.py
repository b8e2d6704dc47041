"""How far a long command is, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

_EVERY_S = 1.0


class Interrupted(ValueError):
    """The command was asked to stop before it was done. Says how far it came."""


class ProgressLine:
    """A `Progress` that tells at most every second, and stops the work when asked to."""

    def __init__(self, what: str, stop: Callable[[], bool], unit: str = "timesteps") -> None:
        self._what, self._stop, self._unit = what, stop, unit
        self._begun_s = time.monotonic()
        self._next_s = self._begun_s + _EVERY_S
        self._told = False

    def __call__(self, done: int, total: int) -> None:
        """Raises: Interrupted."""
        if self._stop():
            raise Interrupted(f"stopped after {done:,} of {total:,} {self._unit}")
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s, self._told = now_s + _EVERY_S, True
        rate = done / (now_s - self._begun_s)
        text = f"{self._what}: {done:,} of {total:,} {self._unit}, {rate:,.0f}/s"
        print(
            f"\r{text:<78}" if sys.stderr.isatty() else text, end="" if sys.stderr.isatty() else "\n", file=sys.stderr
        )

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._told and sys.stderr.isatty():
            print(file=sys.stderr)
