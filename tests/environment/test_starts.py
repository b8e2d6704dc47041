"""Episodes that start elsewhere than in the default pose: the sources alone, and in both forms of the environment."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from environment.config import EnvironmentConfig
from environment.physics.contract import SimulationError
from environment.prosthetics import ProstheticsEnv
from environment.starts import MOST_DRAWS, DefaultPose, Mixture, Pushed, Start, StartSource
from environment.vector import ProstheticsVectorEnv
from environment.vector_decision import timesteps
from tests.fakes import FakePhysics

CONFIG = EnvironmentConfig(max_steps=40)
LAYOUT = FakePhysics().layout
TX_SPEED = LAYOUT.index["joint_vel/ground_pelvis/pelvis_tx"]
HEIGHT = LAYOUT.index["joint_pos/ground_pelvis/pelvis_ty"]


class Always:
    """Gives the same state every time; tells how often it was asked."""

    def __init__(self, state: np.ndarray) -> None:
        self.state, self.asked = state, 0

    def draw(self, generator: np.random.Generator, pose: np.ndarray) -> Start:
        self.asked += 1
        return Start(self.state, {"kind": "always", "draw": float(generator.random())})


def fake(starts: StartSource | None, **changes: Any) -> ProstheticsEnv:
    return ProstheticsEnv(EnvironmentConfig(**({"max_steps": 40} | changes)), FakePhysics(), starts)


@cache
def stride() -> np.ndarray:
    """(T+1, S) stored states of a real episode."""
    env = ProstheticsEnv(CONFIG)
    generator = np.random.default_rng(3)
    _, info = env.reset(seed=5)
    states = [info["timesteps"][0].state]
    for _ in range(6):
        _, _, _, _, info = env.step(generator.uniform(-1, 1, 19).astype(np.float32))
        states += [timestep.state for timestep in info["timesteps"]]
    env.close()
    return np.stack(states)


class Stride:
    """Any state of that episode, or the default pose."""

    def draw(self, generator: np.random.Generator, pose: np.ndarray) -> Start:
        row = int(generator.integers(-2, len(stride())))
        return Start() if row < 0 else Start(stride()[row], {"kind": "stride", "row": row})


def test_pushes_are_spread_over_their_range_and_move_nothing_else() -> None:
    pose = FakePhysics().reset()
    source, generator = Pushed(LAYOUT, (0.25, 1.25)), np.random.default_rng(0)
    starts = [source.draw(generator, pose) for _ in range(400)]
    speeds = np.array([start.state[TX_SPEED] for start in starts if start.state is not None])
    assert 0.25 <= speeds.min() < 0.3
    assert 1.2 < speeds.max() <= 1.25
    assert abs(speeds.mean() - 0.75) < 0.06
    assert [start.facts for start in starts] == [{"kind": "pushed", "m_per_s": speed} for speed in speeds.tolist()]
    for start in starts:
        assert start.state is not None
        assert np.flatnonzero(start.state != pose).tolist() == [TX_SPEED]
    assert pose[TX_SPEED] == 0.0


def test_a_mixture_keeps_its_shares_and_leaves_the_rest_to_the_default_pose() -> None:
    pose, generator = FakePhysics().reset(), np.random.default_rng(0)
    mixture = Mixture([(0.5, Pushed(LAYOUT, (1.0, 1.0))), (0.2, Always(pose))])
    kinds = [mixture.draw(generator, pose).facts.get("kind") for _ in range(4000)]
    for kind, share in (("pushed", 0.5), ("always", 0.2), (None, 0.3)):
        assert abs(kinds.count(kind) / 4000 - share) < 0.03


def test_shares_that_add_up_to_1_leave_no_default_start() -> None:
    mixture, generator = Mixture([(0.4, Always(np.zeros(3))), (0.6, Always(np.zeros(3)))]), np.random.default_rng(0)
    assert all(mixture.draw(generator, np.zeros(3)).state is not None for _ in range(2000))


@pytest.mark.parametrize("shares", [(0.7, 0.4), (-0.1, 0.5), (1.2,)])
def test_shares_that_are_none_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"must each be in 0\.\.1, all together at most 1"):
        Mixture([(share, DefaultPose()) for share in shares])


def test_an_episode_starts_in_the_drawn_state_with_its_own_target_and_says_so() -> None:
    body = FakePhysics()
    body.reset()
    stored = np.append(body.step(np.array([0.4, 1.0, 0.0, 0.0])), [9.0, 9.0, 9.0])
    env = fake(Always(stored))
    _, info = env.reset(seed=7)
    (first,) = info["timesteps"]
    assert info["start"]["kind"] == "always"
    assert first.step == 0
    assert np.array_equal(first.state[[TX_SPEED, HEIGHT]], stored[[TX_SPEED, HEIGHT]].astype(np.float32))
    assert first.state[-3:].tolist() == [1.25, 0.0, 0.0]


def test_an_episode_is_the_same_again_from_its_seed_and_source_and_another_from_another_seed() -> None:
    env = fake(Pushed(LAYOUT, (0.0, 1.0)))
    first, info = env.reset(seed=11)
    other, _ = env.reset(seed=12)
    again, info_again = fake(Pushed(LAYOUT, (0.0, 1.0))).reset(seed=11)
    assert np.array_equal(first, again)
    assert info["start"] == info_again["start"]
    assert not np.array_equal(first, other)


def test_a_source_changes_neither_targets_nor_frame_skips_nor_later_seeds() -> None:
    plain, pushed = fake(None, frame_skip=(1, 6)), fake(Pushed(LAYOUT, (1.0, 1.0)), frame_skip=(1, 6))
    for env in (plain, pushed):
        env.reset(seed=3)
    seeds, held = [], []
    for env in (plain, pushed):
        _, info = env.reset()
        seeds.append(info["seed"])
        held.append([len(env.step(np.array([0.5, 0, 0, 0], np.float32))[4]["timesteps"]) for _ in range(5)])
        assert np.array_equal(env.state[-3:], [1.25, 0.0, 0.0])
    assert seeds[0] == seeds[1]
    assert held[0] == held[1]


def test_a_start_in_the_default_pose_is_the_reset_s_bit_for_bit() -> None:
    plain, sourced = ProstheticsEnv(CONFIG), ProstheticsEnv(CONFIG, starts=DefaultPose())
    (seen, info), (seen_too, info_too) = plain.reset(seed=1), sourced.reset(seed=1)
    assert seen.tobytes() == seen_too.tobytes()
    assert plain.state.tobytes() == sourced.state.tobytes()
    assert "start" not in info
    assert info_too["start"] == {}


@pytest.mark.parametrize("over", ["fallen", "aborted", "failing"])
def test_a_state_in_which_the_episode_would_be_over_is_drawn_again_and_then_given_up(
    over: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = FakePhysics().reset()
    if over == "fallen":
        state[HEIGHT] = 0.55
    if over == "failing":

        def fail(self: FakePhysics, state: np.ndarray) -> np.ndarray:
            raise SimulationError("no")

        monkeypatch.setattr(FakePhysics, "start_at", fail)
    env = fake(source := Always(state), aborts=("velocity",) if over == "aborted" else ())
    if over == "aborted":
        monkeypatch.setattr(env, "_is_over", lambda state: True)
    seen, info = env.reset(seed=2)
    assert source.asked == MOST_DRAWS
    assert info["start"] == {"kind": "default", "refused": MOST_DRAWS}
    assert np.array_equal(seen, fake(None).reset(seed=2)[0])
    assert env.step(np.zeros(4, np.float32))[4]["ended"] is None


def test_a_good_state_after_refused_ones_is_taken() -> None:
    class Once(Always):
        def draw(self, generator: np.random.Generator, pose: np.ndarray) -> Start:
            super().draw(generator, pose)
            state = pose.copy()
            state[HEIGHT] = 0.5 if self.asked < 3 else 0.9
            return Start(state, {"kind": "once"})

    _, info = fake(Once(np.zeros(0))).reset(seed=2)
    assert info["start"] == {"kind": "once", "refused": 2}
    assert info["timesteps"][0].state[HEIGHT] == np.float32(0.9)


def test_a_source_of_another_body_s_states_is_told_so() -> None:
    with pytest.raises(ValueError, match="start state has shape"):
        fake(Always(np.zeros(5))).reset(seed=1)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_many_bodies_start_where_each_alone_would_bit_for_bit(mode: AutoresetMode) -> None:
    many = ProstheticsVectorEnv(CONFIG, 5, autoreset_mode=mode, starts=Stride())
    alone = [ProstheticsEnv(CONFIG, starts=Stride()) for _ in range(5)]
    _, infos = many.reset(seed=40)
    told = infos["start"]
    expected = [env.reset(seed=40 + i)[1] for i, env in enumerate(alone)]
    assert [told[i] for i in range(5)] == [info["start"] for info in expected]
    assert infos["_start"].all()
    assert len({fact.get("row") for fact in told}) > 2
    actions = np.random.default_rng(0).uniform(-1, 1, (14, 5, 19)).astype(np.float32)
    begun = 0
    for action in actions:
        before = ~many._running
        _, _, _, _, infos = many.step(action)
        for i, env in enumerate(alone):
            if mode == AutoresetMode.NEXT_STEP and before[i]:
                _, info = env.reset()
                assert infos["start"][i] == info["start"]
            else:
                _, _, terminated, truncated, info = env.step(action[i])
                if mode == AutoresetMode.SAME_STEP and (terminated or truncated):
                    _, info = env.reset()
                    assert infos["start"][i] == info["start"]
            assert bool(infos["_start"][i]) == ("start" in info)
            begun += "start" in info
            assert many.states[i].tobytes() == env.state.tobytes()
            assert timesteps(infos["timesteps"], i)[-1] == info["timesteps"][-1]
    assert begun >= 5


def test_a_reset_of_some_bodies_moves_no_other() -> None:
    many = ProstheticsVectorEnv(CONFIG, 4, autoreset_mode=AutoresetMode.DISABLED, starts=Stride())
    many.reset(seed=1)
    before = many.states
    mask = np.array([False, True, False, True])
    _, infos = many.reset(seed=[None, 91, None, 92], options={"reset_mask": mask})
    assert infos["_start"].tolist() == mask.tolist()
    assert (many.states[~mask] == before[~mask]).all()
    assert many.states[1].tobytes() == _first(91).tobytes()


def _first(seed: int) -> np.ndarray:
    env = ProstheticsEnv(CONFIG, starts=Stride())
    env.reset(seed=seed)
    return env.state


def test_an_episode_from_a_stored_state_goes_on_as_the_stored_one_did() -> None:
    env = ProstheticsEnv(EnvironmentConfig(frame_skip=1))
    actions = np.random.default_rng(8).uniform(-1, 1, (30, 19)).astype(np.float32)
    env.reset(seed=5)
    for action in actions[:12]:
        env.step(action)
    stored, rest = env.state.astype(np.float32), []
    for action in actions[12:]:
        env.step(action)
        rest.append(env.state)
    again = ProstheticsEnv(EnvironmentConfig(frame_skip=1), starts=Always(stored))
    again.reset(seed=5)
    places = env.layout.where("body_pos")
    for action, state in zip(actions[12:], rest, strict=True):
        again.step(action)
        assert np.abs(again.state[places] - state[places]).max() < 1e-5
