"""Runs that imitate: the learner sees and pays what the actor saw and was paid, whoever played, and so do scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.analysis import impossible_values
from agents.build import build_environment, build_resimulator, contract_of, create_run
from agents.config import RunConfig
from agents.memory import build_derivation
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.official.native import score_natively
from agents.official.rules import check_fits, environment_of, on_native
from agents.plain import ConfigError
from agents.policy import Policy, PolicyMismatch
from agents.policy_file import policy_bytes, read_policy
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode, Run
from agents.resimulation import Divergence, resimulate
from agents.starts import start_source
from agents.starts_config import StartsConfig
from agents.worker import Rollouts
from environment.config import EnvironmentConfig
from environment.imitation.reward import NAMES
from environment.prosthetics import ProstheticsEnv
from tests.agents.test_new_run import asked
from tests.gaits import gait_file
from tests.runs import quiet_telemetry


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gait_file(tmp_path_factory.mktemp("gait") / "walk.csv")


@pytest.fixture(scope="module")
def config(file: Path) -> RunConfig:
    environment = EnvironmentConfig(
        imitation=0.7, reward="walk", aborts=("imitation",), frame_skip=(2, 5), max_steps=60
    )
    return RunConfig(environment=environment, starts=StartsConfig(motion_share=0.8, motions=(str(file),)))


def played(run: Run, config: RunConfig, replay: MemoryReplay, episodes: int, folder: Path) -> list[Episode]:
    work = Rollouts(run, config, replay, None, quiet_telemetry(folder))
    work.work(0, 1, lambda: False, lambda: work.episodes >= episodes)
    return list(replay.episodes_after(run.name, {}))


def test_the_motion_that_episodes_start_from_is_imitated(config: RunConfig, file: Path) -> None:
    assert config.environment.motion == str(file)
    assert RunConfig.of(config.plain()) == config
    with pytest.raises(ValueError, match=r"need one motion to imitate, found \[\]: name it with --motion FILE"):
        replace(config, environment=replace(config.environment, motion=None), starts=StartsConfig())


def test_a_stored_run_is_seen_and_paid_as_its_episodes_were_and_split_by_term(
    config: RunConfig, tmp_path: Path
) -> None:
    replay = MemoryReplay()
    run = create_run("alike", config, replay)
    episodes = played(run, config, replay, 6, tmp_path)
    assert {episode.start.start.get("kind", "default") for episode in episodes} == {"motion", "default"}
    derive = build_derivation(config, run)
    # The same states, as if they had been stored with another reward: it is computed from them again.
    again = build_derivation(config, run, replace(run, name="other", reward="another"))
    environment = build_environment(config.environment, run)
    environment.starts = start_source(run, config, replay)
    for episode, steps in zip(episodes, replay.timesteps_of(episodes), strict=True):
        assert set(NAMES) <= set(episode.reward_terms)
        assert sum(episode.reward_terms.values()) == pytest.approx(episode.episode_return)
        stored = replay.read([episode])
        points = derive(stored)
        np.testing.assert_allclose(again(stored).reward, points.reward, atol=1e-6)  # states are stored as float32
        shown, _ = environment.reset(seed=episode.start.seed)
        seen = [shown]
        for row in np.flatnonzero(steps.decision):
            shown, *_ = environment.step(steps.policy_action[row])
            seen.append(shown)
        assert points.observation.tobytes() == np.stack(seen).tobytes()


def test_a_run_that_was_played_without_a_motion_is_learned_from_with_one(config: RunConfig, tmp_path: Path) -> None:
    """Neither the phase nor the reward needs anything but the stored states."""
    replay, plain = MemoryReplay(), RunConfig(environment=EnvironmentConfig(max_steps=40))
    other = create_run("plain", plain, replay)
    episode = played(other, plain, replay, 1, tmp_path)[0]
    run = create_run("alike", config, replay)
    points = build_derivation(config, run, other)(replay.read([episode]))
    environment = build_environment(replace(config.environment, frame_skip=4, aborts=()), run)
    shown, _ = environment.reset(seed=episode.start.seed)
    steps = replay.timesteps_of([episode])[0]
    for point, row in enumerate(np.flatnonzero(steps.decision)):
        assert points.observation[point].tobytes() == shown.tobytes()
        shown, _, _, _, info = environment.step(steps.policy_action[row])
        gamma, scale = config.replay.gamma, config.learner.reward_scale
        wanted = sum(gamma**i * scale * step.reward for i, step in enumerate(info["timesteps"]))
        assert points.reward[point] == pytest.approx(wanted, abs=1e-5)


def test_a_policy_carries_the_clock_by_which_it_is_scored_without_the_motion(config: RunConfig) -> None:
    replay = MemoryReplay()
    run = create_run("alike", config, replay)
    contract = contract_of(run, config)
    assert contract.observation == "compact/1+phase/1"
    assert contract.clock is not None
    official = on_native(environment_of(contract, "prosthetics-round2"))
    assert (official.motion, official.clock, official.imitation) == (None, contract.clock, 0.0)
    scoring, learned = ProstheticsEnv(official), build_environment(config.environment.scored(), run)
    check_fits(contract, scoring)
    assert scoring.reset(seed=3)[0].tobytes() == learned.reset(seed=3)[0].tobytes()
    elsewhere = replace(contract, clock=(contract.clock[0], 0.123))
    with pytest.raises(PolicyMismatch, match="another motion that is imitated"):
        check_fits(elsewhere, scoring)


def test_a_policy_with_a_clock_is_the_same_after_a_file(config: RunConfig, tmp_path: Path) -> None:
    contract = contract_of(create_run("alike", config, MemoryReplay()), config)
    size, actions = contract.observation_size, contract.action_size
    normaliser = Normaliser(np.zeros(size, np.float32), np.ones(size, np.float32), 10.0)
    policy = Policy(Actor(size, actions, (8,)), normaliser, contract, version=2)
    (tmp_path / "policy.safetensors").write_bytes(policy_bytes(policy, {}))
    assert read_policy(tmp_path / "policy.safetensors")[0].contract == contract
    scores = score_natively(policy, [11, 22], max_steps=60)
    assert [score.length for score in scores] == [60, 60]


def test_a_motion_that_changed_since_the_run_was_made_is_refused(tmp_path: Path) -> None:
    file = gait_file(tmp_path / "walk.csv")
    config = RunConfig(environment=EnvironmentConfig(imitation=0.7, motion=str(file)))
    run = create_run("alike", config, MemoryReplay())
    file.write_text(file.read_text() + "\n")
    with pytest.raises(ValueError, match=r"has .*walk\.csv been changed since the run was made"):
        build_environment(config.environment, run)
    build_environment(config.environment.scored(), run)


def test_stored_rewards_of_a_motion_are_found_to_be_what_their_states_earn(config: RunConfig, tmp_path: Path) -> None:
    replay = MemoryReplay()
    run = create_run("alike", config, replay)
    episodes = played(run, config, replay, 3, tmp_path)
    assert list(impossible_values(replay, run, episodes)) == []


def test_a_reference_physics_is_paid_by_the_motion_too(config: RunConfig, tmp_path: Path) -> None:
    replay = MemoryReplay()
    run = create_run("alike", config, replay)
    episodes = played(run, config, replay, 2, tmp_path)
    resimulator = build_resimulator(config, run, physics="native")
    found = list(resimulate(replay, episodes, resimulator, lambda: False))
    for one in found:
        assert isinstance(one, Divergence)
        assert one.return_reference == pytest.approx(one.return_stored, rel=1e-3)


def test_the_share_of_a_recipe_s_file_stands_above_the_default_of_motion(tmp_path: Path, file: Path) -> None:
    recipe = tmp_path / "some.toml"
    recipe.write_text("[environment]\nimitation = 0.6\n[starts]\nmotion_share = 0.75\n")
    found = asked("--config", str(recipe), "--motion", str(file)).configuration("new", MemoryReplay())
    assert (found.starts.motion_share, found.environment.motion, found.environment.imitation) == (0.75, str(file), 0.6)
    found = asked("--config", str(recipe), "--motion", f"{file}=0.5").configuration("new", MemoryReplay())
    assert found.starts.motion_share == 0.5
    with pytest.raises(ConfigError):
        asked("--config", str(recipe)).configuration("new", MemoryReplay())
