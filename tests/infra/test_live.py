"""What a run shows while it goes on, in a terminal and without one."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from agents.checkpoints.memory import MemoryCheckpoints
from agents.evaluator import EVALUATED
from agents.replay.memory import MemoryReplay
from agents.round_returns import Means
from infra.disk_room import DiskRoom
from infra.fleet.local import LocalFleet, ProcessSpec
from infra.live import View, one_line, totals
from infra.progress import Snapshot
from infra.summary import as_text, look_before, summarise
from tests.runs import RUN


def snapshot(replay: MemoryReplay, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "episodes": replay.counts(RUN).episodes,
        "timesteps": replay.counts(RUN).timesteps,
        "version": 0,
        "statuses": {},
        "inserts_per_s": 0.0,
        "evaluated": None,
    }
    return Snapshot(**(values | changes))


def test_totals_say_whether_the_run_still_explores(replay: MemoryReplay) -> None:
    assert "exploring, 1,000 wanted" in totals(snapshot(replay), 1000)["timesteps"]
    assert "exploring" not in totals(snapshot(replay), 0)["timesteps"]


def test_totals_say_how_the_learner_does_and_what_the_newest_score_is(replay: MemoryReplay) -> None:
    learner = {"updates": 1234, "updates_per_s": 56.0, "waited_s": 2.5, "running_s": 10.0}
    score = {"version": 3, "mean": 1500.0, "spread": 20.0, "fall_rate": 0.75, "physics": "native/default"}
    line = one_line(snapshot(replay, version=4, statuses={"learner": learner}, evaluated=score), 0)
    assert "updates 1,234 at 56/s" in line
    assert "learner waited 25%" in line
    assert "version 4" in line
    assert "evaluation version 3: 1,500 ± 20 on native, 75% fell" in line


def test_returns_are_means_of_recent_episodes_by_both_rounds_too_with_their_length_beside(replay: MemoryReplay) -> None:
    statuses = {
        f"worker-{n}": {"timesteps_per_s": 1.0, "recent": Means(count, value, steps, rounds).document()}
        for n, (count, value, steps, rounds) in enumerate(
            [
                (100, 60.0, 40.0, {"round1": -100.0, "round2": 300.0}),
                (50, 90.0, 70.0, {"round1": -160.0, "round2": 600.0}),
            ]
        )
    }
    line = one_line(snapshot(replay, statuses=statuses | {"worker-2": {"timesteps_per_s": 1.0, "recent": None}}), 0)
    assert ", returns 70 per episode of 50 steps (round 1: -120, round 2: 400), " in line
    assert totals(snapshot(replay), 0)["returns"] == "-"


def test_both_engines_scores_are_shown_and_whether_the_reference_agrees(
    replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path
) -> None:
    here = {"spread": 0.0, "fall_rate": 1.0, "mean_length": 150.0, "reference": "opensim/x"}
    reference = here | {"mean": 1214.0, "physics": "opensim/x", "episodes": 3, "seeds": [11], "confirmed": True}
    facts: dict[str, Any] = here | {
        "version": 16, "mean": 1217.0, "physics": "native/y", "episodes": 10, "seeds": [11, 22],
    }  # fmt: skip
    newest = facts | {"version": 17, "mean": 1300.0, "confirmation": reference | {"mean": 900.0, "confirmed": False}}
    replay.event(RUN, "e", EVALUATED, **(facts | {"confirmation": reference}))
    line = one_line(snapshot(replay, evaluated=facts | {"confirmation": reference}), 0)
    assert "version 16: 1,217 ± 0 on native, 1,214 ± 0 on opensim, 100% fell" in line
    replay.event(RUN, "e", EVALUATED, **newest)
    line = one_line(snapshot(replay, evaluated=newest), 0)
    assert "version 17: 1,300 ± 0 on native, 900 ± 0 on opensim (not confirmed), 100% fell" in line
    assert "version 15: 800 ± 0 on native, 100% fell" in one_line(
        snapshot(replay, evaluated=facts | {"version": 15, "mean": 800.0, "confirmation": None}), 0
    )
    store = MemoryCheckpoints()
    found = summarise(RUN, replay, store, tmp_path, fleet, look_before(RUN, replay, store), 1.0)
    text = as_text(found)
    assert "best       version 16: 1,217 ± 0 on native over 10 seeds, 1,214 ± 0 on opensim over 3 seeds, 100%" in text
    assert "newest     version 17: 1,300 ± 0 on native over 10 seeds, 900 ± 0 on opensim over 3 seeds (not conf" in text


def test_a_view_that_is_no_terminal_prints_a_line_now_and_then(replay: MemoryReplay, fleet: LocalFleet) -> None:
    text = io.StringIO()
    with redirect_stdout(text):
        view = View(RUN, 2.0)
        with view:
            for _ in range(5):
                view.show(snapshot(replay, version=7), fleet, 1000)
            view.say("waiting: [not markup] a very long sentence " + "x" * 200)
    first, second = text.getvalue().splitlines()
    assert first.startswith("00:00/2 min  timesteps 0 (exploring, 1,000 wanted)")
    assert "version 7" in first
    assert second == "waiting: [not markup] a very long sentence " + "x" * 200


def test_a_view_tells_the_room_on_the_disk_and_warns_when_it_is_nearly_full(
    replay: MemoryReplay, fleet: LocalFleet, tmp_path: Path
) -> None:
    text = io.StringIO()
    with redirect_stdout(text), View(RUN, None, DiskRoom(tmp_path, lambda _: 2_000_000_000)) as view:
        view.show(snapshot(replay), fleet, 0)
        view.show(snapshot(replay), fleet, 0)
    warning, line = text.getvalue().splitlines()
    assert warning.startswith(f"the disk of {tmp_path} has 2.0 GB left; free some space")
    assert line.endswith(", disk 2 GB free")


def test_a_view_in_a_terminal_shows_every_process(
    replay: MemoryReplay, fleet: LocalFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    fleet.start(ProcessSpec("worker-0.here", ("-c", "import time; time.sleep(60)")))
    fleet.start(ProcessSpec("learner", ("-c", "import time; time.sleep(60)")))
    noise = {"kind": "ornstein_uhlenbeck", "sigma": 0.25}
    status = {"timesteps_per_s": 88.0, "last_return": 321.0, "last_ended": "fall", "exploration": noise}
    status["last_round_returns"] = {"round1": -4567.0, "round2": 987.0}
    text = io.StringIO()
    with redirect_stdout(text):
        view = View(RUN, None)
        with view:
            view.show(snapshot(replay, statuses={"worker-0.here": status}), fleet, 0)
    shown = text.getvalue()
    for word in (
        "worker-0.here",
        "learner",
        "running",
        "88",
        "321",
        "-4,567",
        "987",
        "fall",
        "ornstein_uhlenbeck 0.25",
    ):
        assert word in shown, word
