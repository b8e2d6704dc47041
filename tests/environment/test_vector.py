"""The vector environment is that many single ones: the same numbers, decision by decision."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics

from environment.actions import ActionOutOfRange
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.terminations import Termination
from environment.vector import ProstheticsVectorEnv
from environment.vector_decision import timesteps

MUSCLES = 19
CASES: dict[str, dict[str, Any]] = {
    "every step": {"frame_skip": 1, "max_steps": 20},
    "every step, original": {"frame_skip": 1, "observation": "original", "max_steps": 20},
    "held, the other reward": {"frame_skip": 4, "reward": "round1", "max_steps": 30},
    "held, to learn to walk": {"frame_skip": 4, "reward": "walk", "max_steps": 30},
    "held, original, on and off": {"frame_skip": 4, "observation": "original", "bins": 2, "max_steps": 30},
    "drawn holds, original, shaped": {
        "frame_skip": (2, 6),
        "observation": "original",
        "shaping": {"lean": 0.5, "hips_square": 1.0, "forward_velocity": 0.1, "feet_apart": 1.0, "knees_bent": 0.3},
    },
    "drawn holds, aborts": {
        "frame_skip": (2, 6),
        "aborts": ("lean", "hips_square", "velocity", "head_within_bounds", "knees_bent"),
        "shaping": {"head_within_bounds": 1.0},
    },
    "drawn integration": {
        "integrator": "RungeKuttaMerson",
        "accuracies": (1e-6, 1e-3),
        "stale_share": 0.5,
        "max_steps": 30,
    },
    "round 1": {"task": "prosthetics-round1", "frame_skip": 3},
    "intact": {"task": "intact-round2", "frame_skip": 5, "observation": "original"},
}


def action(seed: int, decision: int, muscles: int) -> np.ndarray:
    """(M,) float32, of an environment's first seed and the number of its step."""
    return np.random.default_rng([seed, decision]).uniform(-1, 1, muscles).astype(np.float32)


def singles(config: EnvironmentConfig, seed: int, decisions: int, mode: AutoresetMode) -> list[tuple[Any, ...]]:
    """What one environment alone gives for each call, reset as the vector environment does it."""
    env = ProstheticsEnv(config)
    muscles = len(env.physics.muscles)
    found: list[tuple[Any, ...]] = [(*env.reset(seed=seed), 0.0, False, False)]
    over = False
    for decision in range(decisions):
        if over:
            seen, info = env.reset()
            reward, terminated, truncated, over = 0.0, False, False, False
        else:
            seen, reward, terminated, truncated, info = env.step(action(seed, decision, muscles))
            over = terminated or truncated
        if over and mode == AutoresetMode.SAME_STEP:
            final = seen, info
            seen, info = env.reset()
            info = {**info, "final_obs": final[0], "final_info": final[1]}
            over = False
        found.append((seen, info, reward, terminated, truncated))
    return found


def info_of(infos: dict[str, Any], environment: int) -> dict[str, Any]:
    """One environment's part of vector infos, as `ProstheticsEnv` has it."""
    info: dict[str, Any] = {}
    for key, value in infos.items():
        if key.startswith("_") or not infos[f"_{key}"][environment]:
            continue
        if key == "timesteps":
            info[key] = timesteps(value, environment)
        elif key in ("reward_terms", "round_rewards"):
            names = [name for name in value if not name.startswith("_") and value[f"_{name}"][environment]]
            info[key] = {name: value[name][environment] for name in names}
        elif key == "final_info":
            info[key] = info_of(value, environment)
        else:
            info[key] = value[environment]
    return info


def assert_same_info(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for key, value in theirs.items():
        if key == "final_info":
            assert_same_info(ours[key], value)
        elif key == "final_obs":
            assert ours[key].tobytes() == value.tobytes()
        else:
            assert ours[key] == value, key


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("case", CASES)
def test_it_gives_exactly_what_single_environments_give(case: str, mode: AutoresetMode) -> None:
    config, number = EnvironmentConfig(**CASES[case]), 5
    longest = config.frame_skip if isinstance(config.frame_skip, int) else 4
    decisions = 60 if config.max_steps else 240 // longest
    vector = ProstheticsVectorEnv(config, number, autoreset_mode=mode)
    muscles = len(vector.physics.muscles)
    seen, infos = vector.reset(seed=3)
    found: list[tuple[Any, ...]] = [(seen, infos, np.zeros(number), np.zeros(number, bool), np.zeros(number, bool))]
    for decision in range(decisions):
        actions = np.stack([action(3 + i, decision, muscles) for i in range(number)])
        seen, rewards, terminated, truncated, infos = vector.step(actions)
        found.append((seen, infos, rewards, terminated, truncated))
    endings = 0
    for environment in range(number):
        for ours, theirs in zip(found, singles(config, 3 + environment, decisions, mode), strict=True):
            assert ours[0][environment].tobytes() == theirs[0].tobytes()
            assert tuple(column[environment] for column in ours[2:]) == theirs[2:]
            assert_same_info(info_of(ours[1], environment), theirs[1])
            endings += theirs[3] or theirs[4]
    assert endings >= 2 * number


def test_a_new_target_breaks_the_hold_of_its_own_environment_alone() -> None:
    config = EnvironmentConfig(frame_skip=7)
    vector = ProstheticsVectorEnv(config, 2)
    vector.reset(seed=1)
    # A target is made to change at the third control step, which no real seed does.
    vector._episodes._ages_s[0, 3] = 0.0
    *_, infos = vector.step(np.zeros((2, MUSCLES), np.float32))
    assert infos["timesteps"]["taken"].tolist() == [3, 7]
    assert [step.step for step in timesteps(infos["timesteps"], 0)] == [1, 2, 3]
    assert not infos["timesteps"]["state"][0, 3:].any()
    *_, infos = vector.step(np.zeros((2, MUSCLES), np.float32))
    assert infos["timesteps"]["taken"].tolist() == [7, 7]
    assert infos["timesteps"]["last_step"].tolist() == [10, 14]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_failing_simulator_truncates_its_own_environment_alone(mode: AutoresetMode) -> None:
    config = EnvironmentConfig(frame_skip=4, observation="original")
    vector, untouched = (ProstheticsVectorEnv(config, 3, autoreset_mode=mode) for _ in range(2))
    for env in (vector, untouched):
        env.reset(seed=1)
        env.step(np.full((3, MUSCLES), 0.2, np.float32))
    before = vector.observe(vector._recent.swapaxes(0, 1), vector._episodes.target_ages_s())
    vector.physics._engine.bodies.y[1, 0] = np.nan
    actions = np.full((3, MUSCLES), -0.2, np.float32)
    (seen, rewards, terminated, truncated, infos), expected = vector.step(actions), untouched.step(actions)
    assert (terminated.tolist(), truncated.tolist()) == ([False] * 3, [False, True, False])
    told = infos["final_info"] if mode == AutoresetMode.SAME_STEP else infos
    final = infos["final_obs"][1] if mode == AutoresetMode.SAME_STEP else seen[1]
    assert final.tobytes() == before[1].tobytes()
    assert told["ended"][1].startswith("simulator_error: the native engine could not finish control step 5")
    assert timesteps(told["timesteps"], 1) == ()
    assert rewards[1] == 0.0
    assert not told["reward_terms"]["_alive"][1]
    assert not told["round_rewards"]["_round1"][1]
    for other in (0, 2):
        assert seen[other].tobytes() == expected[0][other].tobytes()
        assert rewards[other] == expected[1][other]
    if mode == AutoresetMode.DISABLED:
        with pytest.raises(RuntimeError, match="step of environment 1 without an episode"):
            vector.step(actions)
        seen, infos = vector.reset(options={"reset_mask": truncated})
        assert infos["_timesteps"].tolist() == [False, True, False]
        assert seen[0].tobytes() == expected[0][0].tobytes()
    _, _, terminated, truncated, infos = vector.step(actions)
    assert not (terminated | truncated).any()
    assert infos["timesteps"]["last_step"].tolist() == [12, 0 if mode == AutoresetMode.NEXT_STEP else 4, 12]


def test_a_bad_action_is_refused_by_environment_and_muscle_before_anything_moved() -> None:
    vector, reference = (ProstheticsVectorEnv(EnvironmentConfig(frame_skip=(1, 6)), 3) for _ in range(2))
    good = np.zeros((3, MUSCLES), np.float32)
    for env in (vector, reference):
        env.reset(seed=1)
    for value in (1.1, -1.5, np.nan):
        bad = good.copy()
        bad[2, 4] = value
        with pytest.raises(ActionOutOfRange, match="action of environment 2, muscle 4"):
            vector.step(bad)
    with pytest.raises(ValueError, match=r"actions have shape \(3, 18\)"):
        vector.step(good[:, 1:])
    for _ in range(3):
        ours, theirs = vector.step(good), reference.step(good)
        assert ours[0].tobytes() == theirs[0].tobytes()
        assert ours[4]["timesteps"]["taken"].tolist() == theirs[4]["timesteps"]["taken"].tolist()


def test_the_action_of_an_environment_that_is_being_reset_is_not_looked_at() -> None:
    vector = ProstheticsVectorEnv(EnvironmentConfig(frame_skip=1, max_steps=1), 2)
    vector.reset(seed=1)
    vector.step(np.zeros((2, MUSCLES), np.float32))
    _, rewards, terminated, truncated, infos = vector.step(np.full((2, MUSCLES), np.nan, np.float32))
    assert not rewards.any()
    assert not (terminated | truncated).any()
    assert infos["timesteps"]["last_step"].tolist() == [0, 0]


def test_a_step_before_the_first_reset_is_refused() -> None:
    with pytest.raises(RuntimeError, match="call reset first"):
        ProstheticsVectorEnv(EnvironmentConfig(), 2).step(np.zeros((2, MUSCLES), np.float32))


def test_another_physics_is_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"'opensim' has no batch form.*AsyncVectorEnv"):
        ProstheticsVectorEnv(EnvironmentConfig().on("opensim"), 2)


def test_spaces_and_modes_are_those_gymnasium_expects() -> None:
    vector = ProstheticsVectorEnv(EnvironmentConfig(), 4, autoreset_mode=AutoresetMode.SAME_STEP)
    single = ProstheticsEnv(EnvironmentConfig())
    assert vector.single_observation_space == single.observation_space
    assert vector.single_action_space == single.action_space
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    seen, _ = vector.reset(seed=1)
    assert vector.observation_space.contains(seen)
    vector.action_space.seed(1)
    seen, rewards, terminated, truncated, _ = vector.step(vector.action_space.sample())
    assert vector.observation_space.contains(seen)
    assert rewards.shape == (4,)
    assert rewards.dtype == np.float64
    assert terminated.dtype == truncated.dtype == np.bool_
    vector.close()
    vector.close()


def test_seeds_count_on_or_are_given_one_by_one_and_start_the_same_episodes_again() -> None:
    vector = ProstheticsVectorEnv(EnvironmentConfig(), 3)
    _, infos = vector.reset(seed=7)
    assert infos["seed"].tolist() == [7, 8, 9]
    _, infos = vector.reset()
    drawn = infos["seed"].tolist()
    assert len({7, 8, 9, *drawn}) == 6
    vector.reset(seed=7)
    _, infos = vector.reset(seed=[None, 5, None])
    assert infos["seed"].tolist() == [drawn[0], 5, drawn[2]]
    with pytest.raises(ValueError, match=r"seed \[1, 2\] does not fit 3 environments"):
        vector.reset(seed=[1, 2])
    with pytest.raises(ValueError, match=r"seed 1\.5 does not fit"):
        vector.reset(seed=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"seed 1\.5 must be a whole number"):
        vector.reset(seed=[1, 1.5, 2])  # type: ignore[list-item]


def test_what_was_given_out_does_not_change_later() -> None:
    vector = ProstheticsVectorEnv(EnvironmentConfig(frame_skip=2, observation="original"), 3)
    vector.reset(seed=1)
    actions = np.full((3, MUSCLES), 0.3, np.float32)
    seen, rewards, _, _, infos = vector.step(actions)
    kept = timesteps(infos["timesteps"], 1)
    before = seen.tobytes(), rewards.tobytes(), [step.state.tobytes() for step in kept]
    actions[:] = -0.9
    for _ in range(5):
        vector.step(actions)
    assert (seen.tobytes(), rewards.tobytes(), [step.state.tobytes() for step in kept]) == before
    assert kept[0].policy_action[0] == np.float32(0.3)


def test_gymnasium_s_wrappers_work_on_it() -> None:
    config = EnvironmentConfig(frame_skip=1, max_steps=3)
    vector = DictInfoToList(RecordEpisodeStatistics(ProstheticsVectorEnv(config, 2)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Box observation space")
        _, infos = vector.reset(seed=1)
    assert [info["seed"] for info in infos] == [1, 2]
    infos = []
    for _ in range(3):
        *_, infos = vector.step(np.zeros((2, MUSCLES), np.float32))
    assert [info["episode"]["l"] for info in infos] == [3, 3]
    assert [info["ended"] for info in infos] == ["time_limit", "time_limit"]
    assert infos[1]["timesteps"]["last_step"] == 3


def test_many_states_end_as_they_do_one_by_one() -> None:
    vector = ProstheticsVectorEnv(EnvironmentConfig(), 1)
    ends = Termination(vector.layout, 10, ["lean", "velocity"])
    vector.reset(seed=1)
    states = np.repeat(vector.states, 60, axis=0)
    generator = np.random.default_rng(0)
    for branch in ("body_pos", "body_vel"):
        states[:, vector.layout.where(branch)] += generator.normal(0, 0.5, (60, 1))
    states[:, vector.layout.where("body_pos/head")] += generator.normal(0, 0.5, (60, 3))
    steps = generator.integers(8, 12, 60)
    one_by_one = [ends(state, int(step)) for state, step in zip(states, steps, strict=True)]
    assert [ends.endings[code] for code in ends.batch(states, steps).tolist()] == one_by_one
    assert len({ending and ending.reason for ending in one_by_one}) == 5


def test_environments_that_rest_take_no_steps_and_disturb_no_other() -> None:
    config = EnvironmentConfig(frame_skip=4)
    some, all_of_them = (ProstheticsVectorEnv(config, 3, autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    for env in (some, all_of_them):
        env.reset(seed=1)
    some.rest(np.array([True, False, False]))
    actions = np.full((3, MUSCLES), 0.2, np.float32)
    for env in (some, all_of_them):
        env.step(actions)
    (seen, rewards, _, _, infos), expected = some.step(actions), all_of_them.step(actions)
    assert infos["timesteps"]["taken"].tolist() == [0, 4, 4]
    assert infos["_timesteps"].tolist() == [False, True, True]
    assert rewards[0] == 0.0
    assert seen[1:].tobytes() == expected[0][1:].tobytes()
    assert rewards[1:].tobytes() == expected[1][1:].tobytes()
    first, infos = some.reset(seed=[1, None, None], options={"reset_mask": np.array([True, False, False])})
    assert infos["timesteps"]["last_step"][0] == 0
    assert first[1:].tobytes() == seen[1:].tobytes()
    *_, infos = some.step(actions)
    assert infos["timesteps"]["taken"].tolist() == [4, 4, 4]


def test_environments_rest_only_where_nothing_else_resets_them() -> None:
    vector = ProstheticsVectorEnv(EnvironmentConfig(), 2)
    vector.reset(seed=1)
    with pytest.raises(RuntimeError, match="make them with ONLY_WHEN_ASKED"):
        vector.rest(np.ones(2, dtype=bool))
