"""The Gymnasium environment, on the fake body unless a claim is about OpenSim."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from environment.actions import ActionOutOfRange
from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from environment.targets import age_s, poisson_changes
from environment.timestep import TimeStep
from tests.fakes import MUSCLES, FakePhysics

STAND = np.array([0.2, 0.0, 0.1, 0.0], np.float32)
"""Carries the fake body's weight."""
SINK = np.array([-0.98, 0.0, 0.0, 0.0], np.float32)
"""Lets it sink by 4.9 mm a step, from 0.94 m."""
FALLS_AT = 70
"""The control step at which it is then below 0.6 m."""
SKIP = 7


def first_change(seed: int) -> int:
    """The control step at which an episode's target first changes; 0 when it never does."""
    return int((*np.flatnonzero(age_s(poisson_changes(seed, 1000)) == 0.0), 0)[1])


EARLY = next(seed for seed in range(10_000) if 0 < first_change(seed) < 270 and first_change(seed) % SKIP == 3)
"""An episode seed whose target changes early, and in the middle of a hold of 7."""
CHANGE = first_change(EARLY)


def make(physics: FakePhysics | None = None, **settings: Any) -> ProstheticsEnv:
    return ProstheticsEnv(EnvironmentConfig(**settings), physics or FakePhysics())


def play(
    env: ProstheticsEnv, action: NDArray[np.float32], *, seed: int = 1, decisions: int = 10_000
) -> tuple[list[TimeStep], list[dict[str, Any]]]:
    """The timesteps of an episode of one action, and the infos of its decisions."""
    _, info = env.reset(seed=seed)
    timesteps = list(info["timesteps"])
    infos: list[dict[str, Any]] = []
    while info["ended"] is None and len(infos) < decisions:
        *_, info = env.step(action)
        timesteps += info["timesteps"]
        infos.append(info)
    return timesteps, infos


def check_as_gymnasium_does(env: ProstheticsEnv) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*A Box observation space (minimum|maximum) value is -?infinity")
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"task": "prosthetics-round1", "observation": "original", "frame_skip": 1},
        {"observation": "original", "frame_skip": (1, 5), "bins": 2, "shaping": {"lean": 0.5}},
        {"aborts": ("lean", "velocity"), "max_steps": 30, "bins": 3},
    ],
)
def test_gymnasium_s_own_checker_is_content(settings: dict[str, Any]) -> None:
    env = make(**settings)
    check_as_gymnasium_does(env)  # raises what it dislikes
    assert env.observation_space.contains(env.reset(seed=1)[0])


@pytest.mark.opensim
def test_gymnasium_s_own_checker_is_content_with_the_real_body() -> None:
    env = ProstheticsEnv()
    check_as_gymnasium_does(env)
    assert env.observation_space.contains(env.reset(seed=1)[0])


@pytest.mark.opensim
def test_the_same_seed_gives_the_same_real_episode_bit_for_bit() -> None:
    env = ProstheticsEnv(EnvironmentConfig(max_steps=12))
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 19)).astype(np.float32)
    episodes = []
    for _ in range(2):
        _, info = env.reset(seed=5)
        timesteps = list(info["timesteps"])
        for action in actions:
            *_, info = env.step(action)
            timesteps += info["timesteps"]
        episodes.append(timesteps)
    assert episodes[0] == episodes[1]
    assert len(episodes[0]) == 13
    assert episodes[0][0].state.shape == (415,)


def test_spaces_fit_the_body_and_the_observation() -> None:
    env = make(observation="original")
    seen, _ = env.reset(seed=1)
    assert env.action_space.shape == (len(MUSCLES),)
    assert env.observation_space.shape == seen.shape == (len(env.observe.names),)
    assert seen.dtype == np.float32


@pytest.mark.parametrize("frame_skip", [1, 4, 7, (1, 5)])
def test_an_episode_of_t_steps_is_t_plus_one_timesteps_numbered_from_zero(frame_skip: int | tuple[int, int]) -> None:
    timesteps, infos = play(make(frame_skip=frame_skip, max_steps=50), STAND)
    assert [timestep.step for timestep in timesteps] == list(range(51))
    assert infos[-1]["ended"] == "time_limit"


def test_the_first_timestep_has_a_state_and_nothing_else() -> None:
    env = make()
    _, info = env.reset(seed=1)
    (first,) = info["timesteps"]
    assert (first.step, first.decision, first.reward, first.terminated, first.truncated) == (
        0,
        False,
        0.0,
        False,
        False,
    )
    assert not first.excitation.any()
    assert not first.policy_action.any()
    assert np.array_equal(first.state, env.state.astype(np.float32))
    assert (info["reward_terms"], info["ended"], info["seed"]) == ({}, None, 1)
    assert info["round_rewards"] == {}


def test_timesteps_carry_float32_and_what_was_asked_and_what_was_done() -> None:
    env = make(bins=2, frame_skip=2)
    env.reset(seed=1)
    action = np.array([0.9, -0.2, 0.3, -1.0], np.float32)
    *_, info = env.step(action)
    for timestep in info["timesteps"]:
        assert timestep.state.dtype == timestep.excitation.dtype == timestep.policy_action.dtype == np.float32
        assert np.array_equal(timestep.policy_action, action)
        assert timestep.excitation.tolist() == [1.0, 0.0, 1.0, 0.0]


def test_a_caller_may_use_its_action_array_again() -> None:
    env = make()
    env.reset(seed=1)
    action = STAND.copy()
    *_, info = env.step(action)
    action[:] = 1.0
    assert np.array_equal(info["timesteps"][0].policy_action, STAND)


def test_a_decision_is_marked_on_its_first_step_only() -> None:
    timesteps, infos = play(make(frame_skip=4, max_steps=10), STAND)
    assert [len(info["timesteps"]) for info in infos] == [4, 4, 2]
    assert [t.step for t in timesteps if t.decision] == [1, 5, 9]


def test_a_held_action_is_broken_at_the_very_step_of_a_new_target() -> None:
    env = make(frame_skip=SKIP)
    timesteps, infos = play(env, STAND, seed=EARLY, decisions=CHANGE // SKIP + 2)
    assert [len(info["timesteps"]) for info in infos] == [SKIP] * (CHANGE // SKIP) + [3, SKIP]
    target = env.layout.where("target_vel")
    assert not np.array_equal(timesteps[CHANGE].state[target], timesteps[CHANGE - 1].state[target])
    assert timesteps[CHANGE + 1].decision
    assert not timesteps[CHANGE].decision


def test_the_policy_sees_how_long_the_target_has_stood() -> None:
    env = make(frame_skip=SKIP)
    seen, _ = env.reset(seed=EARLY)
    age = env.observe.names.index("target_age")
    ages = [float(seen[age])] + [float(env.step(STAND)[0][age]) for _ in range(CHANGE // SKIP + 2)]
    assert ages[:3] == pytest.approx([0.0, 0.07, 0.14])
    assert ages[-3:] == pytest.approx([(CHANGE - 3) / 100, 0.0, 0.07])


def test_random_holds_take_every_length_of_their_range() -> None:
    _, infos = play(make(frame_skip=(2, 5), task="prosthetics-round1"), STAND)
    assert {len(info["timesteps"]) for info in infos[:-1]} == {2, 3, 4, 5}


def test_holds_belong_to_the_episode_s_seed() -> None:
    def lengths(seed: int) -> list[int]:
        _, infos = play(make(frame_skip=(1, 8), max_steps=60), STAND, seed=seed)
        return [len(info["timesteps"]) for info in infos]

    assert lengths(3) == lengths(3)
    assert lengths(3) != lengths(4)


def test_a_fall_is_terminated_at_its_own_step_within_a_hold() -> None:
    env = make(frame_skip=4)
    assert FALLS_AT % 4 != 0
    timesteps, infos = play(env, SINK)
    last = timesteps[-1]
    assert (infos[-1]["ended"], last.terminated, last.truncated, last.step) == ("fall", True, False, FALLS_AT)
    height = env.layout.index["body_pos/pelvis/y"]
    assert last.state[height] < 0.6 <= timesteps[-2].state[height]
    assert not any(timestep.terminated or timestep.truncated for timestep in timesteps[:-1])


def test_step_returns_what_the_last_timestep_says() -> None:
    env = make(max_steps=8)
    env.reset(seed=1)
    _, _, terminated, truncated, info = env.step(STAND)
    assert (terminated, truncated, info["ended"]) == (False, False, None)
    _, _, terminated, truncated, info = env.step(STAND)
    assert (terminated, truncated, info["ended"]) == (False, True, "time_limit")
    assert (info["timesteps"][-1].terminated, info["timesteps"][-1].truncated) == (False, True)


def test_a_fall_on_the_last_step_is_terminated_and_not_truncated() -> None:
    timesteps, infos = play(make(max_steps=FALLS_AT), SINK)
    assert (timesteps[-1].step, infos[-1]["ended"]) == (FALLS_AT, "fall")
    assert (timesteps[-1].terminated, timesteps[-1].truncated) == (True, False)


def test_an_early_abort_terminates_under_its_own_name() -> None:
    back = np.array([0.2, -1.0, 1.0, 1.0], np.float32)
    timesteps, infos = play(make(aborts=("velocity",)), back)
    assert infos[-1]["ended"] == "abort: velocity"
    assert (timesteps[-1].terminated, timesteps[-1].truncated) == (True, False)


def test_the_task_s_own_limit_holds_without_max_steps() -> None:
    timesteps, infos = play(make(task="prosthetics-round1", frame_skip=8), STAND)
    assert (len(timesteps), infos[-1]["ended"], timesteps[-1].truncated) == (301, "time_limit", True)


def test_a_shorter_limit_meets_the_same_targets_as_the_whole_task() -> None:
    short, whole = make(max_steps=CHANGE + 10), make()
    target = short.layout.where("target_vel")
    ours, theirs = (play(env, STAND, seed=EARLY)[0] for env in (short, whole))
    assert len(ours) == CHANGE + 11 < len(theirs)
    for timestep, other in zip(ours, theirs[: len(ours)], strict=True):
        assert np.array_equal(timestep.state[target], other.state[target])


@pytest.mark.parametrize("fails_at", [1, 6])
def test_a_failing_simulator_truncates_and_leaves_no_timestep_of_its_step(fails_at: int) -> None:
    env = make(FakePhysics(fails_at=fails_at), frame_skip=4)
    timesteps, infos = play(env, STAND)
    assert [timestep.step for timestep in timesteps] == list(range(fails_at))
    assert infos[-1]["ended"] == f"simulator_error: the fake body was told to fail at control step {fails_at}"
    assert not any(timestep.terminated or timestep.truncated for timestep in timesteps)
    assert infos[-1]["seed"] == 1


def test_a_failing_simulator_is_returned_as_truncated_with_the_last_good_observation() -> None:
    env = make(FakePhysics(fails_at=1))
    before, _ = env.reset(seed=1)
    seen, reward, terminated, truncated, info = env.step(STAND)
    assert (reward, terminated, truncated, info["timesteps"], info["reward_terms"]) == (0.0, False, True, (), {})
    assert info["round_rewards"] == {}
    assert np.array_equal(seen, before)


def test_the_environment_is_usable_after_a_failure() -> None:
    env = make(FakePhysics(fails_at=3))
    for _ in range(2):
        timesteps, _ = play(env, STAND)
        assert [timestep.step for timestep in timesteps] == [0, 1, 2]
    assert isinstance(env.physics, FakePhysics)
    assert env.physics.resets == 2


def test_after_a_failed_reset_there_is_no_episode_to_step_in() -> None:
    class Stuck(FakePhysics):
        def reset(self) -> NDArray[np.float64]:
            if self.resets == 1:
                self.resets += 1
                raise SimulationError("the muscles found no equilibrium")
            return super().reset()

    env = make(Stuck())
    env.reset(seed=1)
    env.step(STAND)
    with pytest.raises(SimulationError, match="no equilibrium"):
        env.reset(seed=2)
    with pytest.raises(RuntimeError, match="the reset failed"):
        env.step(STAND)
    env.reset(seed=3)
    env.step(STAND)


@pytest.mark.parametrize("wrong", [1.1, -1.5, np.nan])
def test_an_action_out_of_range_is_refused_before_anything_moved(wrong: float) -> None:
    physics = FakePhysics()
    env = make(physics, frame_skip=(1, 9))
    reference = make(frame_skip=(1, 9))
    for each in (env, reference):
        each.reset(seed=1)
    before = env.state
    with pytest.raises(ActionOutOfRange):
        env.step(np.array([0.0, wrong, 0.0, 0.0], np.float32))
    with pytest.raises(ValueError, match="action has shape"):
        env.step(np.zeros(3, np.float32))
    assert physics.steps == 0
    assert np.array_equal(env.state, before)
    for _ in range(5):
        assert env.step(STAND)[4]["timesteps"] == reference.step(STAND)[4]["timesteps"]


def test_a_step_without_an_episode_is_refused() -> None:
    env = make(max_steps=1)
    with pytest.raises(RuntimeError, match="not started"):
        env.step(STAND)
    play(env, STAND)
    with pytest.raises(RuntimeError, match=r"after the episode's end \(time_limit\); call reset first"):
        env.step(STAND)


def random_episode(env: ProstheticsEnv, seed: int) -> tuple[list[TimeStep], list[NDArray[np.float32]]]:
    seen, info = env.reset(seed=seed)
    timesteps, observations = list(info["timesteps"]), [seen]
    generator = np.random.default_rng(9)
    while info["ended"] is None:
        seen, _, _, _, info = env.step(generator.uniform(-1, 1, len(MUSCLES)).astype(np.float32))
        timesteps += info["timesteps"]
        observations.append(seen)
    return timesteps, observations


def test_the_same_seed_gives_the_same_episode_bit_for_bit_also_in_another_environment() -> None:
    settings: dict[str, Any] = {"frame_skip": (1, 6), "observation": "original"}
    env = make(**settings)
    first, again, elsewhere = random_episode(env, 7), random_episode(env, 7), random_episode(make(**settings), 7)
    assert len(first[0]) > 50
    for other in (again, elsewhere):
        assert other[0] == first[0]
        assert [seen.tobytes() for seen in other[1]] == [seen.tobytes() for seen in first[1]]


def test_another_seed_gives_another_episode() -> None:
    env = make(frame_skip=(1, 6))
    assert random_episode(env, 7)[0] != random_episode(env, 8)[0]


def test_seed_zero_starts_an_episode_of_its_own() -> None:
    env = make(frame_skip=SKIP)
    target = env.layout.where("target_vel")
    zero, one = ([timestep.state[target].tolist() for timestep in play(env, STAND, seed=seed)[0]] for seed in (0, 1))
    assert zero == poisson_changes(0, 1000).astype(np.float32).tolist()
    assert zero != one


def test_without_a_seed_each_episode_is_another_one_that_its_info_can_start_again() -> None:
    env = make(frame_skip=(1, 6), max_steps=80)
    env.reset(seed=1)
    seeds = [env.reset()[1]["seed"] for _ in range(3)]
    assert len(set(seeds)) == 3
    env.reset(seed=1)
    assert [env.reset()[1]["seed"] for _ in range(3)] == seeds
    _, info = env.reset()
    drawn = list(info["timesteps"])
    while info["ended"] is None:
        *_, info = env.step(STAND)
        drawn += info["timesteps"]
    assert play(env, STAND, seed=info["seed"])[0] == drawn


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(Exception, match=str(seed)):
        make().reset(seed=seed)


def test_reward_terms_add_up_to_the_reward_and_the_reward_to_its_steps() -> None:
    env = make(frame_skip=5, shaping={"lean": 0.5, "forward_velocity": 0.1, "knees_bent": 1.0})
    env.reset(seed=1)
    info: dict[str, Any] = {}
    for _ in range(10):
        _, reward, _, _, info = env.step(np.array([0.8, 0.9, -1.0, -0.5], np.float32))
        assert sum(info["reward_terms"].values()) == pytest.approx(reward, abs=1e-9)
        assert sum(timestep.reward for timestep in info["timesteps"]) == pytest.approx(reward, abs=1e-9)
        assert {"alive", "effort", "shaped_lean", "shaped_forward_velocity", "shaped_knees_bent"} <= set(
            info["reward_terms"]
        )
    assert info["reward_terms"]["alive"] == 50.0
    assert info["reward_terms"]["shaped_forward_velocity"] > 0.0


def test_another_reward_than_the_task_s_is_paid_with_shaping_on_top() -> None:
    env = make(task="prosthetics-round2", reward="round1", shaping={"lean": 0.5})
    assert env.reward.name == "round1/1+lean=0.5"
    (first, *_), (info, *_) = play(env, STAND, decisions=1)
    assert first.reward == 0.0
    assert list(info["reward_terms"]) == ["alive", "velocity", "shaped_lean"]


def test_a_reward_is_of_the_state_arrived_at() -> None:
    env = make(frame_skip=1)
    env.reset(seed=1)
    _, reward, _, _, info = env.step(np.array([1.0, 1.0, -1.0, -1.0], np.float32))
    (timestep,) = info["timesteps"]
    (speed,) = timestep.state[env.layout.where("body_vel/pelvis/x")]
    assert speed > 0.05
    assert reward == pytest.approx(10.0 - (speed - 1.25) ** 2 - 0.001 * 2, abs=1e-6)


def test_the_observation_can_be_computed_again_from_the_stored_states_bit_for_bit() -> None:
    env = make(observation="original", frame_skip=3, max_steps=12)
    seen, info = env.reset(seed=1)
    states = [info["timesteps"][0].state] * 4
    while info["ended"] is None:
        assert env.observe(np.stack(states[-4:]), np.zeros(())).tobytes() == seen.tobytes()
        seen, _, _, _, info = env.step(STAND)
        states += [timestep.state for timestep in info["timesteps"]]
    assert env.observe(np.stack(states[-4:]), np.zeros(())).tobytes() == seen.tobytes()


def test_each_episode_starts_with_a_history_of_its_own() -> None:
    env = make(observation="original")
    first, _ = env.reset(seed=1)
    for _ in range(5):
        env.step(np.ones(4, np.float32))
    again, _ = env.reset(seed=1)
    assert again.tobytes() == first.tobytes()


def test_stored_states_do_not_change_when_the_episode_goes_on() -> None:
    env = make()
    _, info = env.reset(seed=1)
    (first,) = info["timesteps"]
    before = first.state.tobytes()
    env.step(STAND)
    assert first.state.tobytes() == before


def test_the_state_shown_is_a_copy() -> None:
    env = make()
    env.reset(seed=1)
    before = env.state.copy()
    env.state[:] = -1.0
    assert np.array_equal(env.state, before)


def test_people_get_the_state_as_osim_rl_s_dictionary_with_the_target() -> None:
    env = make()
    env.reset(seed=1)
    state = env.state_dict()
    assert state["target_vel"] == [1.25, 0.0, 0.0]
    assert state["body_pos"]["pelvis"] == [0.0, 0.94, 0.0]
