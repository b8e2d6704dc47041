"""What the policy sees, checked on windows written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from environment.observations import OBSERVATIONS, CompactObservation, OriginalObservation, observation
from environment.pose import PelvisTilt, PelvisYaw, into_yaw_frame
from tests.environment.hand_made import (
    LAYOUT,
    about_x,
    about_y,
    about_z,
    any_state,
    from_xyz,
    standing,
    to_pelvis_coordinates,
    to_xyz,
    turned,
)

BODIES = LAYOUT.children("body_pos")
NAMES = sorted(OBSERVATIONS)
NOW = np.zeros((), np.float32)


def window_of(*states: np.ndarray) -> np.ndarray:
    return np.stack(states).astype(np.float32)


def any_window(name: str, seed: int = 0) -> np.ndarray:
    history = observation(name, LAYOUT).history
    return window_of(*(any_state(seed * 10 + back) for back in range(history + 1)))


def compact(state: np.ndarray, target_age_s: float = 0.0) -> dict[str, float]:
    observe = CompactObservation(LAYOUT)
    return dict(zip(observe.names, observe(window_of(state), np.array(target_age_s, np.float32)).tolist(), strict=True))


def original(*states: np.ndarray) -> dict[str, float]:
    observe = OriginalObservation(LAYOUT)
    return dict(zip(observe.names, observe(window_of(*states), NOW).tolist(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_name_of_its_own(name: str) -> None:
    observe = observation(name, LAYOUT)
    assert observe(any_window(name), NOW).shape == (len(observe.names),)
    assert len(set(observe.names)) == len(observe.names)
    assert observe.name.split("/")[0] == name


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_seen_like_its_windows_one_by_one(name: str) -> None:
    observe = observation(name, LAYOUT)
    windows = np.stack([any_window(name, seed) for seed in range(6)])
    ages = np.arange(6, dtype=np.float32) / 10
    batch = observe(windows.reshape(2, 3, *windows.shape[1:]), ages.reshape(2, 3))
    one_by_one = np.stack([observe(window, age) for window, age in zip(windows, ages, strict=True)])
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch.reshape(6, -1), one_by_one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_looking_changes_no_state_and_read_only_states_are_accepted(name: str) -> None:
    window = any_window(name)
    before = window.tobytes()
    window.flags.writeable = False
    seen = observation(name, LAYOUT)(window, NOW)
    assert window.tobytes() == before
    assert not np.shares_memory(seen, window)


def test_an_unknown_observation_is_answered_with_those_that_exist() -> None:
    with pytest.raises(KeyError, match="no observation 'blind'; there are original, compact"):
        observation("blind", LAYOUT)


def test_original_takes_every_body_relative_to_the_centre_of_mass_in_all_axes() -> None:
    state = any_state(1)
    seen = original(*[state] * 4)
    for kind in ("pos", "vel", "acc"):
        center = state[LAYOUT.where(f"misc/mass_center_{kind}")]
        for body in BODIES:
            expected = state[LAYOUT.where(f"body_{kind}/{body}")] - center
            got = [seen[f"body_{kind}/{body}/{axis}"] for axis in "xyz"]
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_original_shows_everything_but_body_places_as_it_is() -> None:
    state = any_state(2).astype(np.float32)
    seen = original(*[state] * 4)
    relative = ("body_pos/", "body_vel/", "body_acc/", "target_vel/")
    others = [name for name in LAYOUT.names if not name.startswith(relative)]
    assert len(others) > 50
    assert [seen[name] for name in others] == [float(state[LAYOUT.index[name]]) for name in others]


def test_original_keeps_zeros() -> None:
    seen = original(*[np.zeros(LAYOUT.size)] * 4)
    assert set(seen.values()) == {0.0}
    assert len(seen) > LAYOUT.size


def test_original_shows_how_far_the_pelvis_is_from_the_target_velocity() -> None:
    moving = {"body_vel/pelvis/x": 1.0, "body_vel/pelvis/y": 0.25, "body_vel/pelvis/z": -0.5}
    seen = original(*[standing(moving, target=(1.25, 0.0, 0.5))] * 4)
    assert [seen[f"pelvis_velocity_minus_target/{axis}"] for axis in "xyz"] == [-0.25, 0.25, -1.0]


def test_original_carries_the_three_steps_before_in_order_and_nothing_of_the_present() -> None:
    states = [standing({"joint_acc/knee_r/knee_angle_r": float(number)}) for number in (10, 20, 30, 40)]
    seen = original(*states)
    assert [seen[f"joint_acc/knee_r/knee_angle_r@-{back}"] for back in (3, 2, 1)] == [10.0, 20.0, 30.0]
    assert seen["joint_acc/knee_r/knee_angle_r"] == 40.0
    numbers = list(seen.values())
    assert numbers.index(10.0) < numbers.index(20.0) < numbers.index(30.0)


def test_original_s_history_is_the_accelerations_and_the_fibre_velocities() -> None:
    seen = original(*[any_state(seed) for seed in range(4)])
    once = {name.partition("@")[0] for name in seen if "@" in name}
    accelerations = {name for name in LAYOUT.names if name.startswith(("joint_acc/", "body_acc/", "body_acc_rot/"))}
    accelerations |= {f"misc/mass_center_acc/{axis}" for axis in "xyz"}
    assert once == accelerations | {name for name in LAYOUT.names if name.endswith("/fiber_velocity")}


def test_original_s_history_is_relative_to_the_centre_of_mass_of_its_own_step() -> None:
    def falling(body: float, center: float) -> np.ndarray:
        return standing({"body_acc/head/y": body, "misc/mass_center_acc/y": center})

    seen = original(falling(5.0, 1.0), falling(6.0, 3.0), falling(7.0, 5.0), falling(8.0, 7.0))
    assert [seen[f"body_acc/head/y@-{back}"] for back in (3, 2, 1)] == [4.0, 3.0, 2.0]
    assert seen["body_acc/head/y"] == 1.0


def moved(state: np.ndarray, x_m: float, z_m: float) -> np.ndarray:
    result = state.copy()
    for axis, shift in (("x", x_m), ("z", z_m)):
        places = [
            *(f"body_pos/{body}/{axis}" for body in BODIES),
            f"misc/mass_center_pos/{axis}",
            f"joint_pos/ground_pelvis/pelvis_t{axis}",
        ]
        result[LAYOUT.where(*places)] += shift
    return result


@pytest.mark.parametrize("seed", range(3))
def test_compact_does_not_tell_where_in_the_world_the_walker_is(seed: int) -> None:
    state = any_state(seed)
    here, there = compact(state), compact(moved(state, 1.5, -0.75))
    np.testing.assert_allclose(list(there.values()), list(here.values()), rtol=0, atol=1e-6)


def test_compact_sees_the_height() -> None:
    assert compact(standing({"body_pos/pelvis/y": 0.75}))["pelvis_height"] == 0.75


@pytest.mark.parametrize("yaw_rad", [0.3, 1.2, -2.0, 3.1])
@pytest.mark.parametrize("seed", range(3))
def test_compact_does_not_tell_which_way_the_walker_is_headed(seed: int, yaw_rad: float) -> None:
    state = any_state(seed)
    ahead, aside = compact(state, 0.5), compact(turned(state, yaw_rad), 0.5)
    for name, value in ahead.items():
        assert aside[name] == pytest.approx(value, abs=1e-5), name


@pytest.mark.parametrize("yaw_rad", [0.0, 1.0, -2.5])
def test_compact_keeps_right_on_the_right_and_ahead_ahead(yaw_rad: float) -> None:
    state = standing({"body_pos/pros_foot_r/z": 0.1, "body_pos/head/x": 0.2, "body_vel/calcn_l/x": 0.5})
    seen = compact(turned(state, yaw_rad))
    assert seen["position/pros_foot_r/z"] == pytest.approx(0.1, abs=1e-6)
    assert seen["position/calcn_l/z"] == pytest.approx(-0.1, abs=1e-6)
    assert seen["position/head/x"] == pytest.approx(0.2, abs=1e-6)
    assert seen["velocity/calcn_l/x"] == pytest.approx(0.5, abs=1e-6)


def test_compact_takes_bodies_relative_to_the_pelvis() -> None:
    state = standing(
        {"body_pos/pelvis/x": 3.0, "body_pos/head/x": 3.25, "body_vel/pelvis/x": 1.0, "body_vel/head/x": 1.5}
    )
    seen = compact(state)
    assert (seen["position/head/x"], seen["velocity/head/x"], seen["pelvis_velocity/x"]) == (0.25, 0.5, 1.0)


def test_compact_shows_the_target_from_where_the_walker_faces() -> None:
    facing_left = standing(
        {"body_pos_rot/pelvis/y": np.pi / 2 - 1e-7, "body_vel/pelvis/z": -0.5}, target=(1.0, 0.0, 0.0)
    )
    seen = compact(facing_left)
    assert seen["target_velocity/x"] == pytest.approx(0.0, abs=1e-6)
    assert seen["target_velocity/z"] == pytest.approx(1.0, abs=1e-6)
    assert seen["target_minus_velocity/x"] == pytest.approx(-0.5, abs=1e-6)
    assert seen["target_minus_velocity/z"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_compact_gives_the_numbers_of_its_plain_formulas_to_the_last_bit(seed: int) -> None:
    states = np.stack([any_state(10 * seed + i) for i in range(7)]).astype(np.float32)
    observe, yaw = CompactObservation(LAYOUT), PelvisYaw(LAYOUT)(states)

    def taken(*prefixes: str) -> np.ndarray:
        return states[:, LAYOUT.where(*prefixes)]

    def push(foot: str) -> np.ndarray:
        return into_yaw_frame(-taken(*(f"forces/{foot}/ground.force.{axis}" for axis in "XYZ")), yaw) / 700

    own, target = into_yaw_frame(taken("body_vel/pelvis"), yaw), into_yaw_frame(taken("target_vel"), yaw)
    vectors = {"pelvis_velocity": own, "target_velocity": target, "target_minus_velocity": target - own}
    vectors["pelvis_angular_velocity"] = into_yaw_frame(taken("body_vel_rot/pelvis"), yaw)
    for kind, branch in (("position", "body_pos"), ("velocity", "body_vel")):
        for body in BODIES:
            away = taken(f"{branch}/{body}") - taken(f"{branch}/pelvis")
            vectors[f"{kind}/{body}"] = into_yaw_frame(away, yaw)
    vectors |= {f"ground_force/{foot}": push(foot) for foot in LAYOUT.children("forces")}
    expected = {f"{name}/{axis}": vector[:, i] for name, vector in vectors.items() for i, axis in enumerate("xyz")}
    expected |= {name: states[:, i] for name, i in LAYOUT.index.items()}
    expected |= {name: values / 1000 for name, values in expected.items() if name.endswith("/fiber_force")}
    expected |= {"pelvis_height": taken("body_pos/pelvis/y")[:, 0], "target_age": np.arange(7, dtype=np.float32)}
    expected |= dict(zip(("pelvis_tilt", "pelvis_list"), PelvisTilt(LAYOUT)(states).T, strict=True))
    seen = observe(states[:, None], expected["target_age"])
    for name, values in zip(observe.names, seen.T, strict=True):
        assert values.tobytes() == expected[name].tobytes(), name


def test_compact_shows_how_long_the_target_has_stood() -> None:
    assert compact(standing(), 1.25)["target_age"] == 1.25


def test_compact_shows_the_ground_pushing_up_in_body_weights() -> None:
    # OpenSim records the force on the ground, which a standing foot pushes down.
    seen = compact(standing({"forces/foot_l/ground.force.Y": -350.0, "forces/pros_foot_r/ground.force.X": 70.0}))
    assert seen["ground_force/foot_l/y"] == pytest.approx(0.5)
    assert seen["ground_force/pros_foot_r/x"] == pytest.approx(-0.1)


def test_compact_shows_muscles_in_their_own_units_and_forces_in_kilonewtons() -> None:
    seen = compact(standing({"muscles/push_a/activation": 0.25, "muscles/push_a/fiber_force": 500.0}))
    assert (seen["muscles/push_a/activation"], seen["muscles/push_a/fiber_force"]) == (0.25, 0.5)


def test_our_angles_are_taken_apart_as_they_are_put_together() -> None:
    angles = np.array([0.4, -0.7, 1.1])
    np.testing.assert_allclose(to_xyz(from_xyz(angles)), angles, atol=1e-12)
    np.testing.assert_allclose(
        from_xyz(to_xyz(about_y(2.0) @ from_xyz(angles))), about_y(2.0) @ from_xyz(angles), atol=1e-12
    )
    pelvis = about_z(0.4) @ about_x(-0.7) @ about_y(1.1)
    np.testing.assert_allclose(to_pelvis_coordinates(pelvis), [0.4, -0.7, 1.1], atol=1e-12)


def facing(rotation: np.ndarray) -> np.ndarray:
    state = standing()
    state[LAYOUT.where("body_pos_rot/pelvis")] = to_xyz(rotation)
    return state


@pytest.mark.parametrize("tilt_rad", [0.0, np.pi / 3, -np.pi / 3])
@pytest.mark.parametrize("yaw_rad", [0.0, 0.5, -1.4, 2.0, 3.0])
def test_yaw_is_right_however_far_the_trunk_tilts(yaw_rad: float, tilt_rad: float) -> None:
    assert PelvisYaw(LAYOUT)(facing(about_y(yaw_rad) @ about_z(tilt_rad))) == pytest.approx(yaw_rad, abs=1e-9)


@pytest.mark.parametrize("yaw_rad", [0.0, 1.0, -3.0])
def test_yaw_is_right_while_the_pelvis_lists_too(yaw_rad: float) -> None:
    rotation = about_y(yaw_rad) @ about_x(0.3) @ about_z(np.pi / 3)
    assert PelvisYaw(LAYOUT)(facing(rotation)) == pytest.approx(yaw_rad, abs=1e-9)


@pytest.mark.parametrize("yaw_rad", [0.0, 1.0, -3.0])
def test_tilt_and_list_are_seen_from_where_the_pelvis_faces(yaw_rad: float) -> None:
    rotation = about_y(yaw_rad) @ about_x(0.3) @ about_z(-np.pi / 3)
    np.testing.assert_allclose(PelvisTilt(LAYOUT)(facing(rotation)), [-np.pi / 3, 0.3], atol=1e-9)


def test_tilt_equals_the_model_s_coordinate_when_facing_ahead() -> None:
    rotation = about_z(0.35)
    assert to_pelvis_coordinates(rotation)[0] == pytest.approx(0.35)
    assert PelvisTilt(LAYOUT)(facing(rotation))[0] == pytest.approx(0.35)


def test_the_pelvis_frame_is_the_ground_turned_by_the_yaw() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    yaws = np.array([0.0, 0.5, -1.0, 2.0, 3.0])
    expected = np.stack([about_y(yaw).T @ vector for yaw, vector in zip(yaws, vectors, strict=True)])
    np.testing.assert_allclose(into_yaw_frame(vectors, yaws), expected, atol=1e-12)
