"""Wall-clock and processor time of a run, from what its sessions noted: pauses, deaths, older code, machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.report.timeline import Timeline, role_of
from infra.session import STARTED, STOPPED, USED


def at(when_s: float, kind: str, **details: Any) -> Mapping[str, Any]:
    """An event so many seconds after noon."""
    return {"time": datetime.fromtimestamp(NOON + when_s, UTC), "kind": kind, "process": "p", "details": details}


NOON = 1_795_000_000.0


def used(when_s: float, session: str, **by_process: float) -> Mapping[str, Any]:
    return at(when_s, USED, session=session, seconds=by_process)


TWO_PARTS = (
    at(0, STARTED, session="a"),
    used(60, "a", learner=40.0, **{"worker-0": 50.0}),
    at(90, "published", version=1),
    used(100, "a", learner=80.0, **{"worker-0": 60.0}),
    at(100, STOPPED, session="a"),
    at(5000, "evaluated", version=1),
    at(9000, STARTED, session="b"),
    used(9050, "b", learner=10.0, mongod=5.0),
    at(9050, STOPPED, session="b"),
)


def test_pauses_between_two_parts_do_not_count() -> None:
    line = Timeline(TWO_PARTS)
    assert line.wall_s() == 150.0
    assert [line.wall_s(NOON + when) for when in (-5, 30, 100, 4000, 9000, 9010)] == [0, 30, 100, 100, 100, 110]
    assert line.wall_s(datetime.fromtimestamp(NOON + 30, UTC)) == 30.0
    assert not line.by_hand


def test_processor_time_goes_straight_between_two_notes_and_adds_up_over_the_parts() -> None:
    line = Timeline(TWO_PARTS)
    assert line.processor_s() == 155.0
    assert [line.processor_s(NOON + when) for when in (0, 30, 60, 80, 4000, 9025)] == [0, 45, 90, 115, 140, 147.5]
    assert line.by_role() == {"learner": 90.0, "workers": 60.0, "services": 5.0}


def test_a_part_that_was_killed_lasts_as_long_as_it_said_something() -> None:
    events = [*TWO_PARTS[:3], at(5000, "evaluated", version=1), *TWO_PARTS[6:]]
    line = Timeline(events)
    assert line.wall_s() == 90.0 + 50.0, "a score that was made by hand later is no work of the run"
    assert line.processor_s() == 90.0 + 15.0


def test_parts_of_older_code_have_a_wall_clock_and_no_processor_time() -> None:
    old = [at(0, STARTED, host="h"), at(50, "published", version=1), at(70, STOPPED, killed=[])]
    assert (Timeline(old).wall_s(), Timeline(old).processor_s(), Timeline(old).by_role()) == (70.0, None, None)
    mixed = Timeline([*old, *TWO_PARTS[6:]])
    assert mixed.wall_s() == 120.0
    assert mixed.processor_s() is None, "a sum without the first part would be no sum"


def test_time_in_which_two_machines_worked_counts_once_and_their_processors_both() -> None:
    events = [
        at(0, STARTED, session="here"),
        at(40, STARTED, session="there"),
        used(100, "here", learner=100.0),
        at(100, STOPPED, session="here"),
        used(160, "there", **{"worker-0": 30.0}),
        at(160, STOPPED, session="there"),
    ]
    line = Timeline(events)
    assert line.wall_s() == 160.0
    assert line.wall_s(NOON + 70) == 70.0
    assert line.processor_s() == 130.0
    assert line.processor_s(NOON + 100) == pytest.approx(100.0 + 15.0)


@pytest.mark.parametrize("events", [[], [at(0, "worker_started"), at(30, "published", version=1)]])
def test_processes_that_were_started_by_hand_are_one_part(events: Sequence[Mapping[str, Any]]) -> None:
    line = Timeline(events)
    assert line.by_hand
    assert line.wall_s() == (30.0 if events else 0.0)
    assert line.by_role() is None


def test_processes_are_known_by_what_they_do() -> None:
    names = ("worker-3", "explorer", "learner", "evaluator", "run", "mongod", "s3")
    roles = ["workers", "workers", "learner", "evaluator", "supervisor", "services", "services"]
    assert [role_of(name) for name in names] == roles
