"""Motions and policies as runs to learn from, and runs that begin with what they show."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.__main__ import main
from agents.analysis import impossible_values
from agents.build import build_environment, build_learner, create_run, open_replay, open_store
from agents.checkpoints.memory import MemoryCheckpoints
from agents.config import AlgorithmChoice, RunConfig
from agents.connections import Connections
from agents.imitation.cloning import CLONED, clone, cloned
from agents.imitation.demonstrations import SOLVED, show_motion, show_policy, solved, states_of, tells_muscles
from agents.imitation.inverse import InverseDynamics, Sight
from agents.imitation.regression import FitConfig
from agents.memory import build_memory, layout_of
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.policy import Policy
from agents.replay.memory import MemoryReplay
from agents.replay.mixture import Mixture
from agents.replay.runs import Run
from agents.replay_config import ReplayConfig
from agents.round_returns import wrong_returns
from agents.training import resume
from environment.config import EnvironmentConfig
from environment.imitation.build import reward_of
from environment.motions.read import read_motion
from environment.osim_file import read_model
from tests.gaits import WALKER, actions, gait, gait_file, walked, walker
from tests.motions import MODEL, columns, write_csv
from tests.runs import quiet_telemetry

HELD = 4
CONFIG = RunConfig(
    environment=EnvironmentConfig(frame_skip=HELD, max_steps=160),
    replay=ReplayConfig(capacity_timesteps=5_000, explore_timesteps=0),
    algorithm=AlgorithmChoice(settings={"hidden": (128, 128)}),
)


def some_inverse(run: Run) -> InverseDynamics:
    """One that has learned nothing; what it says is the same for the same states."""
    sight = Sight(layout_of(run), muscles=True)
    return InverseDynamics(sight, Normaliser.identity(sight.size), Actor(sight.size, len(run.action_names), (8,)))


def shown(replay: MemoryReplay, name: str = "demo") -> Run:
    run = create_run(name, CONFIG, replay)
    layout = layout_of(run)
    writer = replay.writer(name, "demonstrator")
    reward = reward_of(CONFIG.environment, layout)
    shown = list(show_motion(gait(), layout, reward, some_inverse(run), HELD, writer))
    assert len(shown) == HELD
    for episode in shown:
        assert episode.round_returns["round2"] == pytest.approx(episode.episode_return)
        assert not list(wrong_returns(layout, episode, replay.timesteps(episode).state))
    return run


def played(replay: MemoryReplay, name: str = "demo", episodes: int = 4) -> Run:
    run = create_run(name, CONFIG, replay)
    with closing(build_environment(CONFIG.environment, run)) as environment:
        writer = replay.writer(name, "demonstrator")
        found = list(show_policy(walker(), environment, writer, episodes, 0, lambda: False))
    assert {episode.start.purpose for episode in found} == {"demonstrate"}
    return run


def test_a_motion_is_shown_once_for_every_row_that_it_can_decide_at() -> None:
    replay = MemoryReplay()
    run = shown(replay)
    layout, whole = layout_of(run), states_of(gait(), layout_of(run))
    inverse = some_inverse(run)
    for offset, episode in enumerate(replay.episodes_after("demo", {})):
        steps = replay.timesteps(episode)
        assert (steps.state == whole[offset : offset + episode.length + 1]).all()
        assert np.flatnonzero(steps.decision).tolist() == list(range(1, episode.length + 1, HELD))
        action = inverse(whole[offset : offset + 1], whole[offset + HELD : offset + HELD + 1])[0]
        for held in range(1, HELD + 1):
            np.testing.assert_allclose(2 * steps.excitation[held] - 1, action, atol=1e-6)
        assert (episode.terminated, episode.truncated, episode.start.physics) == (False, True, "motion/walk")
    assert list(impossible_values(replay, run, replay.episodes_after("demo", {}))) == []
    forward = whole[:, layout.index["target_vel/x"]]
    assert (forward == forward[0]).all()
    assert forward[0] == pytest.approx(np.diff(whole[[0, -1], layout.index["body_pos/pelvis/x"]])[0] / 1.2, rel=1e-5)


def test_a_motion_at_another_rate_is_shown_at_the_control_steps() -> None:
    layout = walked()[0].with_target()
    at_100_hz, motion = states_of(gait(), layout), gait()
    slower = replace(motion, times_s=motion.times_s[::2], states=motion.states[::2], rate_hz=50.0)
    found = states_of(slower, layout)
    assert found.shape == at_100_hz.shape
    assert (found[::2] == at_100_hz[::2]).all()
    np.testing.assert_allclose(found[1::2], 0.5 * (found[:-1:2] + found[2::2]), rtol=1e-4, atol=1e-5)


def test_whether_a_file_tells_of_muscles_is_known(tmp_path: Path) -> None:
    assert tells_muscles(read_motion(gait_file(tmp_path / "walk.csv"), MODEL))
    assert not tells_muscles(replace(gait(), completed=("muscles/vasti_l/activation",)))


def test_actions_are_solved_for_where_a_motion_tells_activations() -> None:
    """Who made the walk is known, so what was done is: decisions every four rows from the start."""
    layout, whole = walked()[0].with_target(), states_of(gait(slice(0, 201)), walked()[0].with_target())
    between = solved(read_model(MODEL), layout, HELD)
    found = between(whole[:-HELD:HELD], whole[HELD::HELD])
    done = actions()[: len(found)]
    off = np.abs(found - done)
    # osim-rl's late controls hold the action before for a part of every first step.
    assert np.median(off) < 0.01
    assert off.mean() < 0.1 < np.abs(done - done.mean(axis=0)).mean()


def test_demonstrations_are_a_partition_that_is_paid_by_the_learning_run(tmp_path: Path) -> None:
    replay = MemoryReplay()
    demo = shown(replay)
    settings = CONFIG.plain()
    settings["replay"] |= {"partitions": {"demo": 0.5}, "fade_updates": {"demo": 100}}
    settings["environment"] |= {"motion": str(gait_file(tmp_path / "walk.csv")), "imitation": 0.7, "reward": "walk"}
    config = RunConfig.of(settings)
    run = create_run("learns", config, replay)
    memory = build_memory(config, run, [demo])
    memory.follow(replay, "learns")
    assert isinstance(memory, Mixture)
    batch = memory.sample(200, np.random.default_rng(0))
    assert batch.observation.shape[1] == len(build_environment(config.environment, run).observe.names)
    # Nearly the motion itself: most of the best that a decision can earn, 0.7 and 0.3 * 1.2 a control step.
    assert np.median(batch.reward) / config.learner.reward_scale > 0.8 * HELD


def test_an_actor_does_in_seconds_what_is_demonstrated_and_its_target_too() -> None:
    replay = MemoryReplay()
    demo = played(replay)
    run = create_run("learns", CONFIG, replay)
    learner, fitted = cloned(run, CONFIG, demo, replay, FitConfig(updates=400))
    assert fitted.ratio < 0.75
    blob = learner.algorithm.state()
    own = {name: array for name, array in blob.tensors.items() if name.startswith("actor/network/")}
    assert own
    for name, array in own.items():
        assert (blob.tensors[name.replace("network", "target")] == array).all()
    states = replay.read(replay.episodes_after("demo", {}))
    assert learner.normaliser.count == states.decision.sum()


@pytest.mark.parametrize("mean_updates", [None, 100])
def test_a_run_begins_with_a_cloned_version_and_a_learner_goes_on_from_it(
    tmp_path: Path, mean_updates: int | None
) -> None:
    replay, store = MemoryReplay(), MemoryCheckpoints()
    demo = played(replay, episodes=2)
    config = replace(CONFIG, algorithm=AlgorithmChoice(settings={"hidden": (128, 128), "mean_updates": mean_updates}))
    run = create_run("learns", config, replay)
    version, fitted = clone(run, config, demo, replay, store, FitConfig(updates=60), "cloner")
    assert version.number == 1
    (noted,) = replay.events("learns", CLONED)
    assert noted["details"]["demonstrations"] == "demo"
    assert noted["details"]["error"] == pytest.approx(fitted.error)
    policy = Policy.from_blob(store.load("learns", "policy", 1)[1], version=1)
    explorer = Policy.from_blob(store.load("learns", "policy", 1)[1], version=1, explores=True)
    learner = build_learner(config, run)
    assert resume(learner, replay, store, "learns", quiet_telemetry(tmp_path)) is not None
    seen = np.random.default_rng(0).normal(0, 1, (5, policy.contract.observation_size)).astype(np.float32)
    now = Policy.from_blob(learner.policy(), version=1)
    assert (now(seen) == policy(seen)).all()
    assert (explorer(seen) == policy(seen)).all()
    with pytest.raises(ValueError, match="this is what a run begins with"):
        clone(run, config, demo, replay, store, FitConfig(updates=60), "cloner")


def test_the_commands_on_real_services(
    mongodb_uri: str, database_name: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (
        ("MONGODB_URI", mongodb_uri),
        ("MONGODB_DATABASE", database_name),
        ("S3_BUCKET", s3_bucket),
        ("DATA_DIR", str(tmp_path)),
    ):
        monkeypatch.setenv(name, value)
    file = gait_file(tmp_path / "walk.csv")
    assert main(["create", "--run", "explored", "--set", "replay.explore_timesteps=300"]) == 0
    assert main(["explore", "--run", "explored"]) == 0
    fast = ("--updates", "50")
    assert main(["demonstrate", "--run", "demo", "--motion", str(file), "--from", "explored", *fast]) == 0
    assert main(["demonstrate", "--run", "demo", "--policy", str(WALKER), "--episodes", "1"]) == 1  # holds some already
    assert main(["demonstrate", "--run", "solved", "--motion", str(file)]) == 0
    still = write_csv(tmp_path / "still.csv", columns(leaves="vs"))
    assert main(["demonstrate", "--run", "without", "--motion", str(still)]) == 1
    partitions = json.dumps({"demo": 0.25})
    wanted = ["--set", f"replay.partitions={partitions}", "--set", 'replay.fade_updates={"demo":1000}']
    small = ["--set", "replay.capacity_timesteps=5000", "--set", "replay.explore_timesteps=0"]
    assert main(["create", "--run", "learns", *wanted, *small]) == 0
    assert main(["clone", "--run", "learns", "--demonstrations", "demo", *fast]) == 0
    connections = Connections.from_environment()
    with closing(open_replay(connections)) as replay, closing(open_store(connections)) as store:
        assert len(replay.episodes_after("demo", {})) == HELD
        (noted,) = replay.events("demo", "demonstrated")
        assert noted["details"]["motions"] == ["walk"]
        assert noted["details"]["error"] < noted["details"]["error_of_the_mean"]
        assert {one.start.exploration["kind"] for one in replay.episodes_after("solved", {})} == {SOLVED}
        assert [version.number for version in store.versions("learns")] == [1]


def test_options_that_do_not_fit_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--motion", "walk.csv", "--episodes", "3"], "--episodes is of a policy"),
        (["--policy", "walk.safetensors", "--from", "explored"], "a policy has its own"),
    ):
        with pytest.raises(SystemExit):
            main(["demonstrate", "--run", "demo", *arguments])
        assert message in capsys.readouterr().err
