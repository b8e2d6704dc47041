"""The learning-rate range test: on a small stored run, on none, and what it shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents import find_lr_report as report
from agents.__main__ import _parser
from agents.find_lr import Curve, Network, find_rates, growing
from agents.replay.memory import MemoryReplay
from tests.learning import random_batch
from tests.runs import RUN, explore, fresh_learner, open_run, small_config

UPDATES = 60


def curves_of(replay: MemoryReplay) -> list[Curve]:
    return list(find_rates(replay, replay.run(RUN), UPDATES, lambda: False))


@pytest.fixture(scope="module")
def replay() -> MemoryReplay:
    stored, config = MemoryReplay(), small_config()
    explore(stored, config, open_run(stored, config), 400)
    return stored


@pytest.fixture(scope="module")
def curves(replay: MemoryReplay) -> list[Curve]:
    return curves_of(replay)


def test_rates_grow_from_far_too_small_to_far_too_large(curves: list[Curve]) -> None:
    critic, actor = curves

    assert (critic.network, actor.network) == ("critic", "actor")
    assert critic.rate[0] == 1e-6
    np.testing.assert_allclose(np.diff(np.log(critic.rate)), np.log(1e6) / (UPDATES - 1))
    assert critic.rate[-1] == pytest.approx(1.0)
    assert len(actor.rate) == UPDATES // 2, "TD3 moves its actor at every second update"
    assert (critic.configured, actor.configured) == (3e-4, 3e-4)


def test_the_critic_learns_at_some_rate_and_blows_up_at_the_largest(curves: list[Curve]) -> None:
    critic = np.array(curves[0].smoothed)

    assert critic.min() < 0.9 * critic[0]
    assert critic[-5:].max() > 3 * critic.min()
    assert curves[0].suggestion is not None
    assert 1e-5 < curves[0].suggestion < 0.3


def test_the_actor_climbs_a_critic_that_has_learned(curves: list[Curve]) -> None:
    actor = np.array(curves[1].smoothed)

    assert actor.min() < actor[0], "its value must rise at some rate"
    assert curves[1].suggestion is not None
    assert 1e-5 < curves[1].suggestion <= 1.0


@pytest.mark.parametrize("network", ["critic", "actor"])
def test_only_the_network_under_test_moves(network: Network, replay: MemoryReplay) -> None:
    config = small_config()
    learner = fresh_learner(config, replay.run(RUN))
    algorithm = growing(config, learner, network, 10)
    before, sizes = algorithm.state().tensors, (algorithm.actor.observation_size, algorithm.actor.action_size)
    for number in range(10):
        algorithm.update(random_batch(number, 16, *sizes))
    after = algorithm.state().tensors
    far = {name for name in before if "/network/" in name and np.abs(after[name] - before[name]).max() > 1e-7}

    assert {name.split("/")[0] for name in far} == {network}


def test_nothing_of_the_run_is_changed(replay: MemoryReplay) -> None:
    def everything() -> tuple[object, ...]:
        return replay.run(RUN), replay.counts(RUN), replay.events(RUN), replay.episodes_after(RUN, {})

    before = everything()
    curves_of(replay)
    assert everything() == before


def test_the_same_run_gives_the_same_curves(replay: MemoryReplay, curves: list[Curve]) -> None:
    assert curves_of(replay) == curves


def test_a_run_without_timesteps_is_told_how_to_get_some() -> None:
    empty = MemoryReplay()
    run = open_run(empty, small_config())
    with pytest.raises(ValueError, match=r"run 'small' stores no timestep .* `python -m agents explore --run small`"):
        list(find_rates(empty, run, UPDATES, lambda: False))


def test_a_stop_leaves_what_was_found_so_far(replay: MemoryReplay) -> None:
    asked = iter(range(10**6))
    found = list(find_rates(replay, replay.run(RUN), UPDATES, lambda: next(asked) >= UPDATES + 30))

    assert [(curve.network, len(curve.rate)) for curve in found] == [("critic", 29)]


def curve(*loss: float) -> Curve:
    return Curve("critic", tuple((10.0 ** np.arange(-len(loss), 0)).tolist()), loss, 1e-3)


def test_the_suggestion_is_where_half_of_the_fall_is_done() -> None:
    found = curve(20, 20, 20, 20, 11, 2, 2, 2, 90, 900, 500, 100)

    assert found.smoothed[3:6] == pytest.approx((17, 11, 5)), "of itself and its two neighbours"
    assert found.suggestion == found.rate[4] == pytest.approx(1e-8)


def test_a_loss_that_only_rises_suggests_nothing() -> None:
    rising = curve(1, 1, 2, 3, 4, 5, 6)

    assert rising.suggestion is None
    assert "no suggestion: nothing fell at any rate" in report.table(rising)


def test_the_table_says_what_to_set(curves: list[Curve]) -> None:
    text = report.table(curves[0])

    assert "\n   1.0e-06  " in text
    assert f"suggested: algorithm.settings.critic_lr = {curves[0].suggestion:.1e}; the run has 0.0003" in text


def test_document_and_plot_are_written(curves: list[Curve], tmp_path: Path) -> None:
    report.write(RUN, curves, tmp_path / "found.json", tmp_path / "found.png")
    found = json.loads((tmp_path / "found.json").read_text())

    assert [one["network"] for one in found["curves"]] == ["critic", "actor"]
    assert found["curves"][0]["suggestion"] == curves[0].suggestion
    assert len(found["curves"][0]["smoothed"]) == UPDATES
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent to write found.png in"):
        report.check_paths(None, tmp_path / "absent" / "found.png")


def test_too_few_updates_for_a_curve_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["find-lr", "--run", "x", "--updates", "3"])
    assert "3 must be at least 20: fewer make no curve" in capsys.readouterr().err
