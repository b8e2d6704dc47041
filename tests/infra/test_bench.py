"""The benchmarks: what they measure is compared right, and the real simulator gives sane figures."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from environment.physics.settings import OpenSimSettings
from infra.bench.machine import machine
from infra.bench.players import PEER, Played, actions, in_turns, ours
from infra.bench.report import save, table
from infra.bench.simulator import REFERENCE, compare, measure


def straight(length: int, *, off_m: float = 0.0, reward: float = 10.0, seconds: float = 1.0) -> Played:
    """A centre of mass that goes up a line, `off_m` beside it at the last step."""
    center = np.zeros((length, 3))
    center[:, 1] = np.arange(length)
    center[-1, 2] = off_m
    return Played(center, np.full(length, reward), seconds)


def a_result() -> dict[str, Any]:
    row = {"name": "ours", "value": 80.25, "unit": "steps/s", "peer": "theirs", "peer_value": 40.0, "ratio": 2.00625}
    other = row | {"name": "a longer name", "value": 3.14159, "error_mm": None}
    return {
        "bench": "demo",
        "about": "What it is.",
        "machine": machine("numpy"),
        "rows": [row | {"error_mm": 0.5}, other],
    }


def test_errors_are_those_of_the_worst_seed_over_common_steps() -> None:
    truths = [straight(10), straight(20)]
    played = [straight(10, off_m=0.003, seconds=2.0), straight(12, reward=9.0, seconds=1.0)]
    found = compare("x", played, truths)
    assert found.error_mm == pytest.approx(3.0)
    assert found.median_error_mm == 0.0
    assert found.return_error_percent == pytest.approx(10.0)
    assert found.length_difference_steps == -8
    assert found.steps == 22
    assert found.steps_per_s == pytest.approx(22 / 3)


def test_actions_are_on_or_off_held_four_steps_and_the_same_for_a_seed() -> None:
    first = np.array(list(itertools.islice(actions(5), 40)))
    again = np.array(list(itertools.islice(actions(5), 40)))
    other = np.array(list(itertools.islice(actions(6), 40)))
    assert set(np.unique(first)) == {0.0, 1.0}
    assert (first.reshape(10, 4, 19) == first[::4, None]).all()
    assert len(np.unique(first[::4], axis=0)) == 10
    assert (first == again).all()
    assert (first != other).any()


def test_table_shows_every_row_and_measure_under_its_heading() -> None:
    lines = table(a_result()).splitlines()
    assert lines[0].startswith("demo (")
    heads, *rows = lines[3:]
    assert "times theirs" in heads
    assert "error mm" in heads
    assert [line.split("  ")[0] for line in rows] == ["ours", "a longer name"]
    assert "80.2" in rows[0]
    assert rows[1].endswith("-")
    assert len({line.index("steps/s") for line in rows}) == 1


def test_saved_result_is_plain_json_and_refuses_what_is_no_number(tmp_path: Path) -> None:
    result = a_result()
    save(result, tmp_path / "deep" / "result.json")
    assert json.loads((tmp_path / "deep" / "result.json").read_text()) == result
    result["rows"][0]["value"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        save(result, tmp_path / "bad.json")
    assert not (tmp_path / "bad.json").exists()


def test_machine_says_what_it_is() -> None:
    found = machine("numpy", "osim-rl")
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0.1
    assert found["packages"] == {"numpy": np.__version__, "osim-rl": "2.1.5"}
    assert found["processor"]


@pytest.mark.opensim
def test_the_tighter_the_closer_and_osim_rl_equals_us_at_its_own_settings() -> None:
    own = OpenSimSettings("RungeKuttaMerson", 5e-5, stale_controls=True)
    loose = OpenSimSettings("SemiExplicitEuler2", 1e-2)
    peer, same, fast = measure((own, loose), seeds=(2,), most_steps=25)
    assert [peer.name, same.name, fast.name] == [PEER, own.name, loose.name]
    assert peer.error_mm == pytest.approx(same.error_mm, abs=1e-5)
    assert peer.return_error_percent == pytest.approx(same.return_error_percent, abs=1e-6)
    assert 0 < same.error_mm < 0.5 * fast.error_mm
    assert {one.steps for one in (peer, same, fast)} == {25}


@pytest.mark.opensim
def test_an_episode_is_played_until_the_fall_and_again_the_same() -> None:
    fast = ours(OpenSimSettings("SemiExplicitEuler2", 1e-2))
    (first,), (again,) = in_turns([fast], 1, 300), in_turns([fast], 1, 300)
    assert 50 < len(first.rewards) < 150
    assert (first.mass_center_m == again.mass_center_m).all()
    assert (first.rewards == again.rewards).all()
    assert first.mass_center_m[-1, 1] < first.mass_center_m[0, 1] - 0.2
    assert REFERENCE.accuracy < 1e-6


def test_a_benchmark_with_a_bound_exceeded_ends_with_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from infra import __main__ as cli
    from infra.bench.choice import BENCHES

    good, bad = a_result(), a_result()
    good["rows"][0]["within"], bad["rows"][0]["within"] = True, False
    monkeypatch.setitem(BENCHES, "fidelity", lambda quick: good)
    cli.bench(cli._parser().parse_args(["bench", "fidelity"]))
    monkeypatch.setitem(BENCHES, "fidelity", lambda quick: bad)
    with pytest.raises(SystemExit, match="1"):
        cli.bench(cli._parser().parse_args(["bench", "fidelity"]))
    assert "demo" in capsys.readouterr().out
