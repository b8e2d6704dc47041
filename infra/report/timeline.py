"""How long a run has worked and what it has used at any moment, from what its sessions noted.

A run may be interrupted and gone on with, on several machines: pauses do not count, time of which several machines
worked counts once, and their processor time adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from infra.session import STARTED, STOPPED, USED

Event = Mapping[str, Any]

_AT_WORK = (USED, STOPPED, "published", "policy_refreshed", "learner_started", "resumed")
"""Kinds of events that say that a session went on; a score may have been made by hand, long after it."""


@dataclass
class Part:
    """One session of `python -m infra run`."""

    started: float
    """Seconds since 1970, as all times here."""
    facts: Mapping[str, Any]
    """That it noted when it started."""
    ended: float = 0.0
    closed: bool = False
    """It ended as it should; else it ended somewhere after `ended`."""
    times: list[float] = field(default_factory=list)
    used: list[Mapping[str, float]] = field(default_factory=list)
    """Processor seconds by process since it began, at each of `times`."""

    @property
    def counted(self) -> bool:
        """Whether its processor time is known: sessions of older code did not note it."""
        return bool(self.times)

    def processor_s(self, moment: float) -> float:
        """Used until then, straight between two notes."""
        totals = [sum(seconds.values()) for seconds in self.used]
        return float(np.interp(moment, [self.started, *self.times], [0.0, *totals]))


class Timeline:
    """The parts of one run."""

    def __init__(self, events: Sequence[Event]) -> None:
        """Of all of the run's events, oldest first. One whose processes were started by hand counts as a single part,
        from its first event to its last."""
        self.parts = _parts(events)
        self.by_hand = not self.parts
        if events and not self.parts:
            self.parts = [Part(_seconds(events[0]), {}, _seconds(events[-1]))]

    def wall_s(self, moment: float | datetime = float("inf")) -> float:
        """Time until then in which the run worked."""
        until = moment.timestamp() if isinstance(moment, datetime) else moment
        total, reached = 0.0, float("-inf")
        for part in sorted(self.parts, key=lambda part: part.started):
            begin, end = max(part.started, reached), min(part.ended, until)
            total += max(0.0, end - begin)
            reached = max(reached, end)
        return total

    def processor_s(self, moment: float | datetime = float("inf")) -> float | None:
        """Processor time used until then; None where a part did not note it."""
        until = moment.timestamp() if isinstance(moment, datetime) else moment
        begun = [part for part in self.parts if part.started <= until]
        if not all(part.counted for part in begun):
            return None
        return sum(part.processor_s(until) for part in begun)

    def by_role(self) -> dict[str, float] | None:
        """All processor time of the run, by what it was used for; None where a part did not note it."""
        if not self.parts or not all(part.counted for part in self.parts):
            return None
        found: dict[str, float] = {}
        for part in self.parts:
            for name, seconds in part.used[-1].items():
                found[role_of(name)] = found.get(role_of(name), 0.0) + seconds
        return found


def role_of(process: str) -> str:
    """`workers` of `worker-0.host`; names of processes are those of `infra/run.py`."""
    kind = process.partition("-")[0]
    return {
        "worker": "workers",
        "explorer": "workers",
        "run": "supervisor",
        "mongod": "services",
        "s3": "services",
    }.get(kind, kind)


def _parts(events: Sequence[Event]) -> list[Part]:
    parts: list[Part] = []
    by_session: dict[str, Part] = {}
    for event in events:
        kind, when, details = event["kind"], _seconds(event), event["details"]
        if kind == STARTED:
            parts.append(Part(when, details, when))
            by_session[_session(details, len(parts))] = parts[-1]
        elif parts and kind in _AT_WORK:
            # Older code named no session; then there was one machine.
            part = by_session.get(_session(details, len(parts)), parts[-1]) if kind in (USED, STOPPED) else parts[-1]
            if not part.closed:
                part.ended, part.closed = when, kind == STOPPED
            if kind == USED:
                part.times.append(when)
                part.used.append(details["seconds"])
    return parts


def _session(details: Mapping[str, Any], number: int) -> str:
    return str(details.get("session", number))


def _seconds(event: Event) -> float:
    time: datetime = event["time"]
    return time.timestamp()
