"""Workers integrate every episode in its own way, say how, and it can be simulated again; scores are all alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.build import build_resimulator, confirming_environment, create_run, evaluation_environment
from agents.config import RunConfig
from agents.replay.memory import MemoryReplay
from agents.resimulation import Divergence, Refused, resimulate
from agents.worker import Rollouts
from environment.physics.build import build_physics
from tests.runs import RUN, quiet_telemetry

ENVIRONMENT = {
    "integrator": "RungeKuttaMerson",
    "accuracies": [1e-5, 1e-3],
    "stale_share": 0.5,
    "max_steps": 12,
}
DRAWN = "native/RungeKuttaMerson/1e-05..0.001/stale-controls:0.5"
ALIKE = "native/RungeKuttaMerson/5e-05/stale-controls"
COARSE = "native/RungeKuttaMerson/0.001/stale-controls"


@pytest.mark.parametrize("bodies", [1, 4])
def test_a_worker_s_episodes_tell_what_was_drawn_and_are_simulated_again_to_the_bit(
    tmp_path: Path, bodies: int
) -> None:
    replay = MemoryReplay()
    starts = {"pushed_share": 0.5, "push_m_per_s": [0.5, 1.0]}
    config = RunConfig.of({"environment": ENVIRONMENT, "rollout": {"bodies": bodies}, "starts": starts})
    run = create_run(RUN, config, replay)
    assert run.physics == DRAWN
    work = Rollouts(run, config, replay, None, quiet_telemetry(tmp_path, "w"))
    work.work(0, 1, lambda: False, lambda: work.episodes >= 8)
    episodes = [one for one in replay.episodes_after(RUN, {}) if one.ended != "aborted"]
    drawn = [episode.start.integration for episode in episodes]
    assert {episode.start.physics for episode in episodes} == {DRAWN}
    assert len({one.accuracy for one in drawn if one}) == len(episodes)
    assert {one.stale_controls for one in drawn if one} == {False, True}
    assert {episode.start.in_default_pose for episode in episodes} == {False, True}
    body = build_physics(config.environment)
    for episode in episodes:
        stored = replay.timesteps(episode)
        body.integrate_as(episode.start.integration)
        in_pose = episode.start.in_default_pose
        states = [body.reset() if in_pose else body.start_at(stored.state[0, :-3])]
        states += [body.step(excitation.astype(np.float64)) for excitation in stored.excitation[1:]]
        assert np.stack(states).astype(np.float32).tobytes() == np.ascontiguousarray(stored.state[:, :-3]).tobytes()
    body.close()
    own, otherwise = build_resimulator(config, run), build_resimulator(config, run, accuracy=1e-3)
    again, apart = (list(resimulate(replay, episodes, one, lambda: False)) for one in (own, otherwise))
    for same, other in zip(again, apart, strict=True):
        assert isinstance(same, Divergence), same
        assert isinstance(other, Divergence), other
        assert (same.reference_physics, other.reference_physics) == (DRAWN, COARSE)
        assert same.worst_relative < 1e-6 < other.worst_relative


def test_an_episode_for_which_nothing_was_drawn_is_not_simulated_as_if_it_were(tmp_path: Path) -> None:
    replay = MemoryReplay()
    config = RunConfig.of({"environment": ENVIRONMENT | {"accuracies": None, "stale_share": None}})
    run = create_run(RUN, config, replay)
    work = Rollouts(run, config, replay, None, quiet_telemetry(tmp_path, "w"))
    work.work(0, 1, lambda: False, lambda: work.episodes >= 1)
    drawn = build_resimulator(RunConfig.of({"environment": ENVIRONMENT}), run)
    (found,) = resimulate(replay, replay.episodes_after(RUN, {}), drawn, lambda: False)
    assert isinstance(found, Refused)
    assert "it was played on native/RungeKuttaMerson/1e-05, and nothing was drawn for it" in found.reason


def test_versions_are_scored_and_confirmed_with_all_episodes_integrated_alike() -> None:
    evaluation = {"confirm_physics": "native", "confirm_accuracy": 1e-6}
    config = RunConfig.of({"environment": ENVIRONMENT, "evaluation": evaluation})
    run = create_run(RUN, config, MemoryReplay())
    scored, confirming = evaluation_environment(config, run), confirming_environment(config, run)
    assert confirming is not None
    assert (scored.physics.name, confirming.physics.name) == (ALIKE, "native/BogackiShampine32/1e-06")
    for environment in (scored, confirming):
        _, info = environment.reset(seed=1)
        assert "start" not in info
        assert environment.physics.snapshot().integration is None


def test_own_is_refused_beside_another_integration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("resimulate", "--run", "walk", "--own", "--accuracy", "1e-6")) != 0
    assert "leave out --accuracy" in capsys.readouterr().err
