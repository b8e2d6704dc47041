"""Environments that imitate: the policy sees the phase, and one body alone and many together give the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from environment.config import EnvironmentConfig
from environment.imitation.build import fixed_clock_of, reference_of
from environment.imitation.reward import NAMES
from environment.motions.motion import MotionRefused
from environment.motions.read import read_motion
from environment.motions.starts import MotionStarts
from environment.prosthetics import ProstheticsEnv
from environment.vector import ProstheticsVectorEnv
from tests.environment.test_vector import action, assert_same_info, info_of
from tests.gaits import gait_file
from tests.motions import MODEL, columns, write_csv


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gait_file(tmp_path_factory.mktemp("gait") / "walk.csv")


@pytest.fixture(scope="module")
def config(file: Path) -> EnvironmentConfig:
    return EnvironmentConfig(motion=str(file), imitation=0.7, reward="walk", aborts=("imitation",), max_steps=80)


def starts(file: Path) -> MotionStarts:
    return MotionStarts(ProstheticsEnv(EnvironmentConfig()).layout, [read_motion(file, MODEL)], slow_share=0.5)


@pytest.mark.parametrize("held", [1, (2, 6)])
def test_a_vector_environment_gives_exactly_what_single_ones_give(
    config: EnvironmentConfig, file: Path, held: Any
) -> None:
    config, number, decisions = replace(config, frame_skip=held), 4, 90 if held == 1 else 30
    source = starts(file)
    vector = ProstheticsVectorEnv(config, number, autoreset_mode=AutoresetMode.NEXT_STEP, starts=source)
    found = [(*vector.reset(seed=5), np.zeros(number), np.zeros(number, bool), np.zeros(number, bool))]
    for decision in range(decisions):
        actions = np.stack([action(5 + i, decision, 19) for i in range(number)])
        seen, rewards, terminated, truncated, infos = vector.step(actions)
        found.append((seen, infos, rewards, terminated, truncated))
    reasons = set()
    for one in range(number):
        env, over = ProstheticsEnv(config, starts=source), False
        theirs: tuple[Any, ...] = (*env.reset(seed=5 + one), 0.0, False, False)
        for decision, ours in enumerate(found):
            if decision:
                if over:
                    theirs = (*env.reset(), 0.0, False, False)
                else:
                    outcome = env.step(action(5 + one, decision - 1, 19))
                    theirs = (outcome[0], outcome[4], *outcome[1:4])
            over = theirs[3] or theirs[4]
            assert ours[0][one].tobytes() == theirs[0].tobytes()
            assert tuple(column[one] for column in ours[2:]) == theirs[2:]
            assert_same_info(info_of(ours[1], one), theirs[1])
            reasons.add(theirs[1]["ended"])
    assert ("fall" if held == 1 else "abort: imitation") in reasons


def test_the_policy_sees_sine_and_cosine_of_a_phase_that_goes_on_with_time(config: EnvironmentConfig) -> None:
    env, plain = ProstheticsEnv(replace(config, frame_skip=3)), ProstheticsEnv(EnvironmentConfig())
    assert env.observe.name == "compact/1+phase/1"
    assert env.observe.names == (*plain.observe.names, "phase/sin", "phase/cos")
    assert env.observation_space.shape == (len(env.observe.names),)
    reference = reference_of(config)
    assert reference is not None
    seen, info = env.reset(seed=1)
    start = reference.start_phase(info["timesteps"][0].state)
    for decision in range(12):
        angle = 2 * np.pi * (start + 0.03 * decision / reference.period_s)
        np.testing.assert_allclose(seen[-2:], (np.sin(angle), np.cos(angle)), atol=1e-6)
        seen, _, terminated, truncated, info = env.step(action(1, decision, 19))
        if terminated or truncated:
            break
    assert decision > 5


def test_an_episode_that_starts_in_a_row_of_the_motion_earns_what_the_motion_earns_there(
    config: EnvironmentConfig, file: Path
) -> None:
    source = MotionStarts(ProstheticsEnv(EnvironmentConfig()).layout, [read_motion(file, MODEL)])
    env = ProstheticsEnv(replace(config, frame_skip=1), starts=source)
    first = []
    for seed in range(6):
        env.reset(seed=seed)
        _, _, _, _, info = env.step(action(0, 0, 19))
        assert set(NAMES) <= set(info["reward_terms"])
        first.append(sum(info["reward_terms"][name] for name in NAMES))
    assert min(first) > 0.3
    assert 0.5 < max(first) <= 0.7


def test_a_score_is_without_imitation_but_shows_the_policy_the_same(config: EnvironmentConfig) -> None:
    scored = config.scored()
    env, learned = ProstheticsEnv(scored), ProstheticsEnv(config)
    by_clock = ProstheticsEnv(replace(scored, motion=None, clock=fixed_clock_of(config)))
    assert env.reward.name == by_clock.reward.name == "round2/1"
    all_seen = [one.reset(seed=3)[0] for one in (env, learned, by_clock)]
    for decision in range(10):
        assert all_seen[0].tobytes() == all_seen[1].tobytes() == all_seen[2].tobytes()
        all_seen = [one.step(action(3, decision, 19))[0] for one in (env, learned, by_clock)]


@pytest.mark.opensim
def test_opensim_starts_at_the_phase_that_the_native_engine_starts_at(config: EnvironmentConfig) -> None:
    env = ProstheticsEnv(config.scored().on("opensim"))
    seen, _ = env.reset(seed=3)
    clock = fixed_clock_of(config)
    assert clock is not None
    angle = 2 * np.pi * clock[1]
    assert seen[-2:].tolist() == np.array([np.sin(angle), np.cos(angle)], np.float32).tolist()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = gait_file(tmp_path / "walk.csv")
    config = EnvironmentConfig(motion=str(file), imitation=0.7)
    before = ProstheticsEnv(config).reward.name
    assert before.startswith("0.3*round2/1+0.7*imitate/1:walk@")
    file.write_text(file.read_text() + "\n\n")
    assert ProstheticsEnv(config).reward.name != before


def test_a_motion_that_can_not_be_repeated_is_refused_when_the_environment_is_made(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "fall.csv", columns())
    with pytest.raises(MotionRefused, match=r"motion 'fall' can not be repeated"):
        ProstheticsEnv(EnvironmentConfig(motion=str(file), imitation=0.7))
    with pytest.raises(MotionRefused, match="there is no such file"):
        ProstheticsEnv(EnvironmentConfig(motion=str(tmp_path / "no.csv")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"imitation": 1.2}, "must be in 0..1"),
        ({"clock": (0.0, 0.5)}, "positive seconds of a cycle"),
        ({"clock": (1.0, 1.0)}, "a phase in"),
        ({"clock": (1.0, 0.5), "motion": "walk.csv"}, "it goes without motion"),
        ({"clock": (1.0, 0.5), "aborts": ("imitation",)}, "it goes without motion"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnvironmentConfig(**settings)


@pytest.mark.parametrize("settings", [{"imitation": 0.5}, {"aborts": ("imitation",)}])
def test_imitation_without_a_motion_is_refused_when_the_environment_is_made(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"need a motion to imitate; name its file"):
        ProstheticsEnv(EnvironmentConfig(**settings))
