"""Motion files become the states that they were written from; what is none of the model's is refused, with why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from environment.motions.even import LONGEST_GAP_S
from environment.motions.motion import Motion, MotionRefused
from environment.motions.read import read_motion
from environment.motions.slopes import slopes
from environment.motions.starts import MotionStarts
from environment.physics.models import model_path
from environment.physics.native.physics import NativePhysics
from environment.starts import Start
from tests.motions import MODEL, columns, in_degrees, simulated, times_s, write_csv, write_storage

LAYOUT, STATES = simulated()
PLACES = LAYOUT.continuous
GEOMETRY = LAYOUT.where("body_pos", "body_vel", "body_pos_rot", "misc/mass_center_pos", "misc/mass_center_vel")
SPEEDS = LAYOUT.where("joint_vel")


def read(path: Path) -> Motion:
    return read_motion(path, MODEL)


def refusal(path: Path) -> str:
    with pytest.raises(MotionRefused) as refused:
        read(path)
    assert str(path) in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("style", ["plain", "opensim", "older", "ours"])
def test_states_come_back_whole_however_their_columns_are_called(style: str, tmp_path: Path) -> None:
    motion = read(write_csv(tmp_path / "walk.csv", columns(style)))
    assert (motion.name, motion.completed, motion.ignored) == ("walk", (), ())
    assert motion.rate_hz == pytest.approx(100.0)
    assert motion.states.shape == STATES.shape
    np.testing.assert_allclose(motion.times_s, times_s(len(STATES)), atol=1e-12)
    np.testing.assert_allclose(motion.states[:, PLACES], STATES[:, PLACES], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(motion.states[:, GEOMETRY], STATES[:, GEOMETRY], rtol=1e-9, atol=1e-9)


@pytest.mark.opensim
@pytest.mark.parametrize("ending", ["sto", "mot"])
@pytest.mark.parametrize("degrees", [False, True])
def test_opensim_s_files_are_read_by_opensim_in_degrees_or_radians(ending: str, degrees: bool, tmp_path: Path) -> None:
    found = columns("opensim")
    path = write_storage(tmp_path / f"walk.{ending}", in_degrees(found) if degrees else found, degrees=degrees)
    motion = read(path)
    np.testing.assert_allclose(motion.states[:, PLACES], STATES[:, PLACES], rtol=1e-9, atol=1e-9)


@pytest.mark.opensim
def test_a_storage_that_opensim_can_not_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.sto"
    path.write_text("no header at all\n1 2 3\n")
    assert "OpenSim can not read it" in refusal(path)


def test_a_csv_in_degrees_says_so_in_front_and_is_refused_if_it_does_not(tmp_path: Path) -> None:
    motion = read(write_csv(tmp_path / "walk.csv", in_degrees(columns()), said="inDegrees=yes\n"))
    np.testing.assert_allclose(motion.states[:, PLACES], STATES[:, PLACES], rtol=1e-9, atol=1e-9)
    text = refusal(write_csv(tmp_path / "silent.csv", in_degrees(columns())))
    assert "rad is outside" in text
    assert "is it in degrees, without a line inDegrees=yes?" in text


def test_missing_speeds_are_the_slopes_of_the_values(tmp_path: Path) -> None:
    motion = read(write_csv(tmp_path / "walk.csv", columns(leaves="vaf")))
    assert {name.split("/")[0] for name in motion.completed} == {"joint_vel"}
    assert len(motion.completed) == 14
    off = np.abs(motion.states - STATES)[:, SPEEDS]
    largest = np.abs(STATES[:, SPEEDS]).max()
    assert largest > 3.0
    # But where a foot meets the floor, which is shorter than the steps between the rows.
    assert np.quantile(off, 0.9) < 0.02 * largest
    assert np.median(off) < 0.002 * largest


def test_missing_muscles_are_at_the_model_s_activation_and_in_equilibrium(tmp_path: Path) -> None:
    motion = read(write_csv(tmp_path / "walk.csv", columns(leaves="vs")))
    start = NativePhysics(MODEL).reset()
    activations, fibers = LAYOUT.ending("muscles", "activation"), LAYOUT.ending("muscles", "fiber_length")
    velocities = LAYOUT.ending("muscles", "fiber_velocity")
    assert (motion.states[:, activations] == 0.05).all()
    np.testing.assert_allclose(motion.states[0, fibers], start[fibers], atol=1e-9)
    assert np.abs(motion.states[-1, fibers] - start[fibers]).max() > 1e-3
    assert np.abs(motion.states[:, velocities]).max() < 1e-6
    assert len(motion.completed) == 38


def test_given_activations_decide_the_equilibrium_of_missing_fibres(tmp_path: Path) -> None:
    rest, tense = (
        read(write_csv(tmp_path / f"{leaves}.csv", columns(leaves=leaves))).states for leaves in ("vs", "vsa")
    )
    fibers = LAYOUT.ending("muscles", "fiber_length")
    np.testing.assert_allclose(
        tense[:, LAYOUT.ending("muscles", "activation")], STATES[:, LAYOUT.ending("muscles", "activation")]
    )
    assert (tense[-1, fibers] < rest[-1, fibers]).sum() > 12


def test_a_missing_coordinate_is_in_the_default_pose_and_a_locked_one_always(tmp_path: Path) -> None:
    found = columns(leaves="v")
    del found["knee_angle_l"]
    found["lumbar_extension"] = found["lumbar_extension"] + 0.5
    motion = read(write_csv(tmp_path / "walk.csv", found))
    assert (motion.states[:, LAYOUT.index["joint_pos/knee_l/knee_angle_l"]] == 0.0).all()
    assert (motion.states[:, LAYOUT.index["joint_pos/back/lumbar_extension"]] == -0.0872665).all()
    assert "joint_pos/knee_l/knee_angle_l" in motion.completed


def test_columns_beside_the_states_are_ignored_and_told(tmp_path: Path) -> None:
    found = columns() | {"head_pos_x": STATES[:, 0], "body_pos/pelvis/y": STATES[:, 0]}
    motion = read(write_csv(tmp_path / "walk.csv", found))
    assert motion.ignored == ("head_pos_x",)
    np.testing.assert_allclose(motion.states[:, PLACES], STATES[:, PLACES], rtol=1e-12, atol=1e-12)


def test_a_misspelt_coordinate_is_not_taken_for_one_that_is_left_out(tmp_path: Path) -> None:
    found = {name.replace("hip_flexion_r", "hip_flexon_r"): values for name, values in columns(leaves="v").items()}
    text = refusal(write_csv(tmp_path / "walk.csv", found))
    assert "columns hip_flexon_r are no states of this model, and coordinates hip_flexion_r are missing" in text


def test_a_motion_of_something_else_is_refused_with_its_columns(tmp_path: Path) -> None:
    text = refusal(write_csv(tmp_path / "arm.csv", {"elbow_flexion": STATES[:, 0], "wrist_flexion": STATES[:, 0]}))
    assert "has no coordinate of this model; found columns elbow_flexion, wrist_flexion; needed pelvis_tilt" in text


def test_two_columns_of_one_state_are_refused(tmp_path: Path) -> None:
    found = columns() | {"pelvis_tx/value": STATES[:, 0]}
    assert "columns 'pelvis_tx' and 'pelvis_tx/value' are both" in refusal(write_csv(tmp_path / "walk.csv", found))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("knee_angle_r", 0.4, "row 7 (0.07 s): joint_pos/knee_r/knee_angle_r = 0.4 rad is outside -2.094..0.1745 rad"),
        ("knee_angle_r", float("nan"), "row 7 (0.07 s): joint_pos/knee_r/knee_angle_r is not finite"),
        ("hip_flexion_l_speed", float("inf"), "row 7 (0.07 s): joint_vel/hip_l/hip_flexion_l is not finite"),
        ("soleus_l_activation", 1.2, "row 7 (0.07 s): muscles/soleus_l/activation = 1.2 is outside 0..1"),
        ("soleus_l_activation", float("nan"), "row 7 (0.07 s): muscles/soleus_l/activation = nan is outside 0..1"),
        ("soleus_l_fiber_length", -0.1, "row 7: muscles/soleus_l/fiber_length of the start state is -0.1"),
    ],
)
def test_values_that_no_state_has_are_refused_with_their_place(
    column: str, value: float, words: str, tmp_path: Path
) -> None:
    found = {name: values.copy() for name, values in columns().items()}
    found[column][7] = value
    assert words in refusal(write_csv(tmp_path / "walk.csv", found))


def test_a_joint_may_be_a_little_beyond_its_range_and_the_pelvis_anywhere(tmp_path: Path) -> None:
    found = {name: values.copy() for name, values in columns().items()}
    found["knee_angle_r"][7] = 0.17453293 + 0.09
    found["pelvis_tx"] += 40.0
    motion = read(write_csv(tmp_path / "walk.csv", found))
    assert motion.states[7, LAYOUT.index["joint_pos/knee_r/knee_angle_r"]] == 0.17453293 + 0.09


def test_a_short_gap_is_filled_and_a_long_one_refused(tmp_path: Path) -> None:
    kept = [row for row in range(len(STATES)) if not 8 <= row < 12]
    found = {name: values[kept] for name, values in columns().items()}
    motion = read(write_csv(tmp_path / "walk.csv", found, times=times_s(len(STATES))[kept]))
    assert len(motion.states) == len(STATES)
    assert motion.rate_hz == pytest.approx(100.0)
    np.testing.assert_allclose(motion.states[kept][:, PLACES], STATES[kept][:, PLACES], atol=1e-9)
    height = motion.states[7:13, LAYOUT.index["joint_pos/ground_pelvis/pelvis_ty"]]
    np.testing.assert_allclose(np.diff(height), np.diff(height)[0], atol=1e-12)
    late = times_s(len(STATES)).copy()
    late[9:] += LONGEST_GAP_S
    text = refusal(write_csv(tmp_path / "late.csv", columns(), times=late))
    assert "row 9: 0.34 s after 0.08 s; needed rising times, at most 0.25 s apart" in text


@pytest.mark.parametrize("shift", [-0.02, float("nan")])
def test_times_that_do_not_rise_are_refused(shift: float, tmp_path: Path) -> None:
    times = times_s(len(STATES)).copy()
    times[5] += shift
    assert "row 5:" in refusal(write_csv(tmp_path / "walk.csv", columns(), times=times))


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    one = {name: values[:1] for name, values in columns().items()}
    assert "has 1 rows; needed at least 2" in refusal(write_csv(tmp_path / "one.csv", one))
    three = {name: values[:3] for name, values in columns(leaves="v").items()}
    assert "has 3 rows and no speeds; needed at least 4 rows" in refusal(write_csv(tmp_path / "three.csv", three))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("walk.txt", "time\n", "ends in '.txt'; needed .csv, .sto or .mot"),
        ("walk.csv", "", "is empty"),
        ("walk.csv", "frame,pelvis_tx\n0,1\n", "has no column 'time' (s); found frame, pelvis_tx"),
        ("walk.csv", "time,pelvis_tx\n0,1\n0.01\n", "row 1: found 1 values, needed 2, one per column"),
        ("walk.csv", "time,pelvis_tx\n0,1\n0.01,fast\n", "row 1: could not convert string to float: 'fast'"),
        ("walk.csv", "time,pelvis_tx\n", "has 0 rows; needed at least 2"),
    ],
)
def test_files_that_are_no_tables_are_refused(name: str, text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert words in refusal(path)
    assert "there is no such file" in refusal(tmp_path / "elsewhere.csv")


def test_another_model_takes_what_it_has_of_a_motion(tmp_path: Path) -> None:
    motion = read_motion(write_csv(tmp_path / "walk.csv", columns(leaves="v")), model_path("3D"))
    assert len(motion.states) == len(STATES)
    assert motion.states.shape[1] != LAYOUT.size


def test_slopes_are_exact_for_cubics_and_close_for_waves() -> None:
    t = 0.02 * np.arange(40)
    cubics = np.stack((1 + 2 * t - 3 * t**2 + 4 * t**3, t**3, np.full(40, 7.0)), axis=1)
    wanted = np.stack((2 - 6 * t + 12 * t**2, 3 * t**2, np.zeros(40)), axis=1)
    np.testing.assert_allclose(slopes(cubics, 0.02), wanted, atol=1e-10)
    np.testing.assert_allclose(slopes(cubics[:4], 0.02), wanted[:4], atol=1e-10)
    wave = slopes(np.sin(6 * t)[:, None], 0.02)[:, 0]
    assert np.abs(wave - 6 * np.cos(6 * t)).max() < 2e-3


def drawn(slow_share: float, number: int = 500) -> list[Start]:
    motion = Motion("walk", times_s(len(STATES)), STATES, 100.0, (), ())
    other = Motion("other", times_s(3), STATES[:3] + 1.0, 100.0, (), ())
    source, generator = MotionStarts(LAYOUT, [motion, other], slow_share), np.random.default_rng(0)
    return [source.draw(generator, STATES[0]) for _ in range(number)]


def test_every_row_of_every_motion_is_a_start() -> None:
    starts = drawn(0.0)
    rows = {(start.facts["motion"], round(100 * start.facts["time_s"])) for start in starts}
    assert rows == {("walk", row) for row in range(len(STATES))} | {("other", row) for row in range(3)}
    for start in starts:
        row = round(100 * start.facts["time_s"])
        assert start.state is not None
        assert np.array_equal(start.state, STATES[row] + (1.0 if start.facts["motion"] == "other" else 0.0))
        assert start.facts == {"kind": "motion", "motion": start.facts["motion"], "time_s": row / 100, "scale": 1.0}


def test_a_share_of_the_starts_is_slowed_as_a_whole() -> None:
    before = STATES.copy()
    starts = [start for start in drawn(0.5, 2000) if start.facts["motion"] == "walk"]
    scales = np.array([start.facts["scale"] for start in starts])
    assert abs((scales < 1.0).mean() - 0.5) < 0.05
    assert abs(scales[scales < 1.0].mean() - 0.5) < 0.05
    for start, scale in zip(starts, scales, strict=True):
        assert start.state is not None
        row = STATES[round(100 * start.facts["time_s"])].copy()
        row[SPEEDS] *= scale
        np.testing.assert_allclose(start.state, row, rtol=1e-12)
    assert (before == STATES).all()
