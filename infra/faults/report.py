"""The scenarios by name, one after the other, each in a folder and with servers of its own; nothing is left of them."""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from infra.bench.machine import machine
from infra.faults.outcome import Outcome, failed
from infra.faults.scenarios.cut import cut_reset, cut_silent
from infra.faults.scenarios.disk_full import disk_full, spool_full
from infra.faults.scenarios.history_lost import history_lost
from infra.faults.scenarios.killed import killed
from infra.faults.scenarios.learner_killed import learner_killed
from infra.faults.scenarios.sizes import QUICK, Sizes

log = logging.getLogger(__name__)

Scenario = Callable[[Path, Sizes], Outcome]
SCENARIOS: Mapping[str, Scenario] = {
    "killed": killed,
    "history-lost": history_lost,
    "cut-silent": cut_silent,
    "cut-reset": cut_reset,
    "disk-full": disk_full,
    "spool-full": spool_full,
    "learner-killed": learner_killed,
}


def faults(names: Sequence[str] = (), *, quick: bool = False) -> dict[str, Any]:
    """Runs them, all by default. One that breaks is a row as well, with its error.

    Raises: ValueError for a name that there is none of.
    """
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise ValueError(f"no scenario is named {unknown[0]!r}; there are {', '.join(SCENARIOS)}")
    rows = []
    with _terminated_as_interrupted():
        for name in names or SCENARIOS:
            print(f"{name} …", file=sys.stderr, flush=True)
            rows.append(row_of(name, QUICK if quick else Sizes()))
    return {"faults": "replay", "quick": quick, "machine": machine("numpy", "pymongo", "torch"), "rows": rows}


def row_of(name: str, sizes: Sizes) -> dict[str, Any]:
    """What came out of one."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            return SCENARIOS[name](Path(folder), sizes).row()
        except Exception as error:  # whatever it is, the others are still worth running
            log.exception("scenario %s broke", name)
            return failed(name, error, time.monotonic() - started_s)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM cleans up as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
