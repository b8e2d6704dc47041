"""The worker benchmark: what it compares, and a real worker process that it counts; nothing here judges a speed."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import pytest

from infra.bench.machine import machine
from infra.bench.replay.store import bench_store
from infra.bench.report import table
from infra.bench.worker.report import PEER, Sizes, Turn, _turn, _working, measure, rows

TINY = Sizes(bodies=(3,), rounds=1, turn_s=0.5, warm_up_s=0.1)


def test_rates_are_medians_and_compared_with_one_body() -> None:
    one = [Turn(1000, 10, 1.0, 1.0), Turn(3000, 30, 2.0, 2.0), Turn(1200, 10, 1.0, 1.0)]
    many = [Turn(9600, 50, 2.0, 1.0)]
    first, second = rows({1: one, 16: many})
    assert (first["name"], first["value"], first["ratio"]) == (PEER, 1200.0, 1.0)
    assert first["slowest"] == 1000.0
    assert (second["name"], second["value"], second["ratio"], second["peer_value"]) == ("16 bodies", 4800, 4.0, 1200)
    assert second["cpu_us_per_step"] == pytest.approx(1e6 / 9600)
    assert (second["core_had_percent"], second["episodes_per_s"]) == (50.0, 25.0)
    shown = table({"bench": "worker", "about": "x", "machine": machine("numpy"), "rows": [first, second]})
    assert "times 1 body" in shown


@pytest.mark.mongo
def test_a_real_worker_s_stored_steps_are_counted_and_nothing_of_it_is_left(
    mongodb_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    with bench_store(mongodb_uri) as store:
        ((bodies, (turn,)),) = measure(store, TINY).items()
        replay = store.open()
        episodes = replay.episodes_after("bodies-3-0", {})
        timesteps = replay.counts("bodies-3-0").timesteps
        replay.close()
    assert bodies == 3
    assert {episode.worker for episode in episodes} == {"worker/0", "worker/1", "worker/2"}
    assert {episode.start.policy_version for episode in episodes} == {1}
    assert 0 < turn.steps < timesteps
    assert 0.0 < turn.cpu_s <= turn.seconds * 1.5
    assert 0.5 <= turn.seconds < 5.0
    assert math.isfinite(turn.steps / turn.seconds)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.mongo
def test_a_worker_that_dies_is_no_slow_worker(
    mongodb_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    with (
        bench_store(mongodb_uri) as store,
        closing(store.open()) as replay,
        _working(store, "no-run") as process,
        pytest.raises(RuntimeError, match="stored nothing in 120 s, or died"),
    ):
        _turn(replay, "no-run", process, TINY)
