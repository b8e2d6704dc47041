"""What a process tells about itself: whole status files, curves that TensorBoard reads, and signs of life."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from agents.telemetry import Telemetry, read_statuses
from tests.clock import Clock
from tests.curves import curves_in


def test_facts_are_added_and_replaced(tmp_path: Path) -> None:
    before = time.time()
    telemetry = Telemetry(tmp_path, "worker-0.host", scalars=False)
    telemetry.status(episodes=1, version=2)
    telemetry.status(episodes=3)
    status = read_statuses(tmp_path)["worker-0.host"]
    assert (status["process"], status["pid"]) == ("worker-0.host", os.getpid())
    assert (status["episodes"], status["version"]) == (3, 2)
    assert before <= status["started"] <= status["updated"] <= time.time()
    assert "ended" not in status
    telemetry.close()
    assert read_statuses(tmp_path)["worker-0.host"]["ended"] >= status["updated"]


def test_processes_with_similar_names_do_not_share_a_file(tmp_path: Path) -> None:
    for name in ("worker-0.host", "worker-0.hostb", "worker-0", "learner"):
        Telemetry(tmp_path, name, scalars=False).status(name=name)
    statuses = read_statuses(tmp_path)
    assert {name: status["name"] for name, status in statuses.items()} == {
        name: name for name in ("worker-0.host", "worker-0.hostb", "worker-0", "learner")
    }


def test_there_is_nothing_to_read_before_anyone_wrote(tmp_path: Path) -> None:
    assert read_statuses(tmp_path) == {}


def test_a_reader_never_sees_half_a_status(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path, "w", scalars=False)
    telemetry.status(text="", number=0)
    path = tmp_path / "status" / "w.json"
    ended = threading.Event()
    broken: list[str] = []
    seen: set[int] = set()

    def read() -> None:
        while not ended.is_set():
            text = path.read_text()
            try:
                status = json.loads(text)
            except json.JSONDecodeError:
                broken.append(text)
            else:
                seen.add(status["number"])
                if len(status["text"]) != 50 * status["number"]:
                    broken.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1_000_000):
        number = turn % 400
        telemetry.status(text="x" * (50 * number), number=number)
        if turn >= 400 and len(seen) > 10:  # a busy machine may let the reader wait
            break
    ended.set()
    reader.join()
    assert broken == []
    assert len(seen) > 10
    assert [found.name for found in path.parent.iterdir()] == ["w.json"]


def test_a_beat_is_rare_and_keeps_the_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("agents.telemetry.time", clock)
    telemetry = Telemetry(tmp_path, "w", scalars=False)
    telemetry.status(episodes=7)
    path = tmp_path / "status" / "w.json"
    written = path.stat().st_ino
    for _ in range(499):
        clock.sleep(0.01)
        telemetry.beat()
    assert path.stat().st_ino == written, "a beat at every control step must not write a file each time"
    clock.sleep(0.02)
    telemetry.beat()
    status = read_statuses(tmp_path)["w"]
    assert (status["updated"], status["episodes"]) == (clock.time(), 7)


def test_scalars_are_what_tensorboard_reads(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path, "learner")
    for step in (10, 20, 30):
        telemetry.scalars({"learner/critic/loss": step / 4, "learner/updates_per_s": 100.0}, step)
    telemetry.close()
    drawn = curves_in(tmp_path / "tensorboard" / "learner")
    assert sorted(drawn) == ["learner/critic/loss", "learner/updates_per_s"]
    assert drawn["learner/critic/loss"] == [(10, 2.5), (20, 5.0), (30, 7.5)]


def test_without_scalars_no_curves_are_written(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path, "w", scalars=False)
    telemetry.scalars({"a": 1.0}, 1)
    telemetry.close()
    assert not (tmp_path / "tensorboard").exists()
