"""Locked coordinates taken out of the model: the same body, without its constraints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from environment.physics.models import MODELS, model_path
from environment.physics.opensim import OFFICIAL, OpenSimPhysics
from environment.physics.settings import OpenSimSettings

pytestmark = pytest.mark.opensim

LOCKED = {
    "3D_pros": {"hip_rotation_r", "hip_rotation_l", "lumbar_extension"},
    "3D": {"hip_rotation_r", "hip_rotation_l", "lumbar_extension"},
    "2D_pros": {
        *("pelvis_list", "pelvis_rotation", "pelvis_tz"),
        *("hip_adduction_r", "hip_rotation_r", "hip_adduction_l", "hip_rotation_l", "lumbar_extension"),
    },
}
LOCKED["2D"] = LOCKED["2D_pros"]
TIGHT = OpenSimSettings("RungeKuttaMerson", 1e-7)


def pair(model: Path, settings: OpenSimSettings = TIGHT) -> tuple[OpenSimPhysics, OpenSimPhysics]:
    """Without the locked coordinates, and with them; both reset."""
    both = OpenSimPhysics(model, settings), OpenSimPhysics(model, replace(settings, weld_locked=False))
    for physics in both:
        physics.reset()
    return both


def on_off(steps: int, muscles: int) -> np.ndarray:
    """(steps, muscles) excitations, each 0 or 1, drawn anew every fourth step."""
    drawn = np.random.default_rng(5).random((-(-steps // 4), muscles)) < 0.5
    return np.repeat(drawn.astype(np.float64), 4, axis=0)[:steps]


def variables(physics: OpenSimPhysics) -> list[str]:
    """Paths of the continuous states, in OpenSim's order of components."""
    names = physics._model.getStateVariableNames()
    return [names.get(i) for i in range(names.getSize())]


def put_into(welded: OpenSimPhysics, constrained: OpenSimPhysics) -> np.ndarray:
    """Gives `welded` the state of `constrained`, variable by variable; returns what it then reads, (S,)."""
    for name in variables(welded):
        value = constrained._model.getStateVariableValue(constrained._state, name)
        welded._model.setStateVariableValue(welded._state, name, value)
    return welded.restore(replace(constrained.snapshot(), y=welded._state.getY().to_numpy()))


def edited(folder: Path, *changes: tuple[str, str]) -> Path:
    """The prosthetic model with pieces of its text replaced."""
    text = model_path("3D_pros").read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = folder / "edited.osim"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("key", MODELS)
def test_exactly_the_locked_coordinates_are_gone_and_no_constraint_is_left(key: str) -> None:
    welded, constrained = pair(model_path(key))
    gone = {name for name in variables(constrained) if name not in variables(welded)}
    assert {name.split("/")[-2] for name in gone} == LOCKED[key]
    assert len(gone) == 2 * len(LOCKED[key])
    assert (welded._state.getNMultipliers(), constrained._state.getNMultipliers()) == (0, len(LOCKED[key]))


@pytest.mark.parametrize("key", MODELS)
def test_layout_and_start_are_those_of_the_published_model(key: str) -> None:
    welded, constrained = pair(model_path(key))
    assert welded.layout == constrained.layout
    assert welded.layout.sha256 == constrained.layout.sha256
    assert welded.muscles == constrained.muscles
    assert welded.model_sha256 == constrained.model_sha256
    np.testing.assert_allclose(welded.reset(), constrained.reset(), rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("key", MODELS)
def test_all_numbers_are_the_same_at_the_same_state(key: str) -> None:
    loose = OpenSimSettings("SemiExplicitEuler2", 1e-2)
    welded, constrained = pair(model_path(key), loose)
    for step, excitation in enumerate(on_off(48, len(constrained.muscles))):
        expected = constrained.step(excitation)
        if step % 3 == 0:
            # Planar contacts have lateral forces around 1e-10 N from the noise of the constraints.
            np.testing.assert_allclose(put_into(welded, constrained), expected, rtol=1e-8, atol=1e-9)


def test_locked_coordinates_read_as_their_pose_at_rest() -> None:
    welded, _ = pair(model_path("3D_pros"))
    states = np.stack([welded.step(np.ones(19)) for _ in range(3)])
    index = welded.layout.index
    for joint, coordinate, pose in (("back", "lumbar_extension", -0.0872665), ("hip_r", "hip_rotation_r", 0.0)):
        assert (states[:, index[f"joint_pos/{joint}/{coordinate}"]] == pose).all()
        assert (states[:, index[f"joint_vel/{joint}/{coordinate}"]] == 0.0).all()
        assert (states[:, index[f"joint_acc/{joint}/{coordinate}"]] == 0.0).all()


def test_a_tight_solution_is_the_same_to_a_hundredth_of_a_millimetre() -> None:
    bodies = pair(model_path("3D_pros"))
    center = bodies[0].layout.where("misc/mass_center_pos")
    places = bodies[0].layout.where("body_pos")
    plan = on_off(40, 19)
    welded, constrained = (np.stack([physics.step(excitation) for excitation in plan])[-1] for physics in bodies)
    assert np.abs(welded[center] - constrained[center]).max() < 1e-5
    assert np.abs(welded[places] - constrained[places]).max() < 1e-5
    assert np.abs(welded[places] - bodies[0].reset()[places]).max() > 0.05


def test_a_joint_is_welded_in_its_locked_pose_whatever_its_value(tmp_path: Path) -> None:
    bent = edited(tmp_path, ("<default_value>-0.0872665</default_value>", "<default_value>0.4</default_value>"))
    welded, constrained = pair(bent)
    np.testing.assert_allclose(welded.reset(), constrained.reset(), rtol=1e-10, atol=1e-9)
    straight = OpenSimPhysics(model_path("3D_pros")).reset()
    torso = welded.layout.where("body_pos/torso", "body_pos/head")
    assert np.abs(welded.reset()[torso] - straight[torso]).max() > 0.1


def test_a_custom_joint_s_locked_coordinate_keeps_its_value(tmp_path: Path) -> None:
    text = model_path("3D_pros").read_text(encoding="utf-8")
    start = text.index('<Coordinate name="hip_rotation_r">')
    zero = text.index("<default_value>0</default_value>", start)
    turned = tmp_path / "turned.osim"
    turned.write_text(f"{text[:zero]}<default_value>0.3</default_value>{text[zero + 32 :]}", encoding="utf-8")
    welded, constrained = pair(turned)
    assert (welded._state.getNMultipliers(), constrained._state.getNMultipliers()) == (0, 3)
    assert welded.reset()[welded.layout.index["joint_pos/hip_r/hip_rotation_r"]] == 0.3
    np.testing.assert_allclose(welded.reset(), constrained.reset(), rtol=1e-10, atol=1e-9)


def test_a_locked_coordinate_that_a_path_point_needs_stays_constrained(tmp_path: Path) -> None:
    text = model_path("3D_pros").read_text(encoding="utf-8")
    needed = tmp_path / "needed.osim"
    point = text.index("<coordinate>hip_flexion_r</coordinate>")
    needed.write_text(text[:point] + text[point:].replace("hip_flexion_r", "hip_rotation_r", 1), encoding="utf-8")
    welded, constrained = pair(needed)
    assert welded._state.getNMultipliers() == 1
    np.testing.assert_allclose(welded.reset(), constrained.reset(), rtol=1e-10, atol=1e-9)


def test_a_custom_joint_with_a_curve_over_its_locked_coordinate_stays_constrained(tmp_path: Path) -> None:
    text = model_path("3D_pros").read_text(encoding="utf-8")
    axis = text.index("<coordinates>hip_rotation_r</coordinates>")
    start, end = text.index("<LinearFunction>", axis), text.index("</LinearFunction>", axis) + len("</LinearFunction>")
    curve = "<SimmSpline><x>-2 -1 0 1 2</x><y>-2 -1 0.1 1 2</y></SimmSpline>"
    curved = tmp_path / "curved.osim"
    curved.write_text(text[:start] + curve + text[end:], encoding="utf-8")
    welded, constrained = pair(curved)
    assert welded._state.getNMultipliers() == 1
    np.testing.assert_allclose(welded.reset(), constrained.reset(), rtol=1e-10, atol=1e-9)


def test_osim_rl_s_own_settings_keep_the_published_model() -> None:
    assert not OFFICIAL.welded
    physics = OpenSimPhysics(model_path("3D_pros"), OFFICIAL)
    physics.reset()
    assert physics._state.getNMultipliers() == 3
