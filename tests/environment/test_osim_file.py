"""Model files are read as OpenSim reads them, in both forms that it has written."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import opensim
import pytest
from numpy.typing import NDArray

from environment import body_model as m
from environment.osim_file import UnsupportedModel, read_model
from environment.physics.models import file_sha256
from tests.environment.osim_files import (
    ARM,
    PROSTHETIC,
    SEVEN,
    as_opensim_reads_it,
    differences,
    edited,
    printed_by_opensim,
    shipped,
)

ALSO_READ = ("gait9dof18musc_pros_20180507", "hop8dof9musc")
Array = NDArray[np.float64]


@pytest.mark.opensim
@pytest.mark.parametrize("name", SEVEN + ALSO_READ)
def test_every_number_is_opensim_s_own(name: str) -> None:
    assert differences(read_model(shipped(name)), as_opensim_reads_it(shipped(name))) == []


@pytest.mark.opensim
@pytest.mark.parametrize("name", SEVEN + ALSO_READ)
def test_the_form_that_opensim_4_prints_reads_the_same(name: str, tmp_path: Path) -> None:
    printed = printed_by_opensim(shipped(name), tmp_path / "printed.osim")
    assert "<JointSet" in printed.read_text()
    assert differences(read_model(printed), read_model(shipped(name))) == []


@pytest.mark.parametrize(
    ("name", "bodies", "coordinates", "locked", "muscles", "points", "forces", "mass_kg"),
    [
        ("gait14dof22musc_pros_20180507", 11, 17, 3, 19, (47, 9, 4), 30, 72.17025),
        ("gait14dof22musc_20170320", 13, 17, 3, 22, (54, 10, 4), 32, 75.1646),
        ("gait14dof22musc_planar_pros_20180507", 11, 17, 8, 19, (47, 9, 4), 30, 72.17025),
        ("gait14dof22musc_planar_20170320", 13, 17, 8, 22, (54, 10, 4), 32, 75.1646),
        ("gait9dof18musc_20170320", 13, 10, 1, 18, (46, 10, 4), 26, 75.1646),
        ("gait9dof18musc", 13, 10, 1, 18, (46, 10, 4), 26, 79.6646),
        ("arm2dof6musc", 2, 2, 0, 6, (32, 0, 0), 6, 3.398887),
    ],
)
def test_a_model_is_complete(
    name: str,
    bodies: int,
    coordinates: int,
    locked: int,
    muscles: int,
    points: tuple[int, int, int],
    forces: int,
    mass_kg: float,
) -> None:
    model = read_model(shipped(name))
    path = [point for muscle in model.muscles for point in muscle.path]
    assert len(model.bodies) == len(model.joints) == bodies
    assert len(model.coordinates) == coordinates
    assert sum(coordinate.locked for coordinate in model.coordinates) == locked
    assert len(model.muscles) == muscles
    kinds = (m.FixedPoint, m.ConditionalPoint, m.MovingPoint)
    assert tuple(sum(isinstance(point, kind) for point in path) for kind in kinds) == points
    assert len(model.forces) == forces
    assert len(model.markers) == (3 if name == ARM else 0)
    assert sum(body.mass_kg for body in model.bodies) == pytest.approx(mass_kg, rel=1e-12)
    assert model.sha256 == file_sha256(shipped(name))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("arm26", "version 20303"),
        ("MoBL_ARMS_J", "CoordinateCouplerConstraint"),
        ("MoBL_ARMS_J_Simple_032118", "CoordinateCouplerConstraint"),
        ("ue_RL", "CoordinateCouplerConstraint"),
    ],
)
def test_the_other_models_of_osim_rl_are_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf'{name}.osim.*{reason}.*use physics="opensim"'):
        read_model(shipped(name))


@pytest.mark.opensim
def test_an_old_model_printed_anew_is_refused_for_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"WrapObjectSet/objects/WrapCylinder\[TRIlongglen\]"):
        read_model(printed_by_opensim(shipped("arm26"), tmp_path / "arm26.osim"))


@pytest.mark.opensim
def test_what_a_file_leaves_out_has_opensim_s_default(tmp_path: Path) -> None:
    path = shipped(PROSTHETIC)
    for tag in (
        "max_isometric_force",
        "optimal_fiber_length",
        "tendon_slack_length",
        "pennation_angle_at_optimal",
        "max_contraction_velocity",
        "activation_time_constant",
        "deactivation_time_constant",
        "FmaxTendonStrain",
    ):
        path = edited(tmp_path, path, 'Muscle name="soleus_l"', f"<{tag}>.*?</{tag}>", "")
    for tag in ("upper_limit", "upper_stiffness", "lower_limit", "lower_stiffness", "damping", "transition"):
        path = edited(tmp_path, path, '"AnkleLimit_l"', f"<{tag}>.*?</{tag}>", "")
    for tag in ("stiffness", "rest_length", "viscosity"):
        path = edited(tmp_path, path, '"ankleSpring"', f"<{tag}>.*?</{tag}>", "")
    for tag in ("range", "default_value", "default_speed_value", "locked"):
        path = edited(tmp_path, path, 'Coordinate name="ankle_angle_l"', f"<{tag}>.*?</{tag}>", "")
    for tag in ("dissipation", "static_friction", "dynamic_friction", "viscous_friction", "transition_velocity"):
        path = edited(tmp_path, path, 'HuntCrossleyForce name="foot_l"', f"<{tag}>.*?</{tag}>", "")
    path = edited(tmp_path, path, "", "<gravity>.*?</gravity>", "")
    model, reference = read_model(path), as_opensim_reads_it(path)
    assert differences(model, reference) == []
    assert differences(model, read_model(shipped(PROSTHETIC))) != []


@pytest.mark.opensim
@pytest.mark.parametrize(
    ("function", "rotational"),
    [
        ("<LinearFunction><coefficients>1 0.1</coefficients></LinearFunction>", True),
        ("<LinearFunction><coefficients>-1 0</coefficients></LinearFunction>", True),
        ("<LinearFunction><coefficients>2 0</coefficients></LinearFunction>", False),
        ("<SimmSpline><x>-1 0 2</x><y>-1 0 2</y></SimmSpline>", False),
    ],
)
def test_degrees_are_converted_only_for_coordinates_that_opensim_calls_rotational(
    function: str, rotational: bool, tmp_path: Path
) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), '"knee_r"', "<LinearFunction>.*?</LinearFunction>", function)
    model = read_model(path)
    assert next(item for item in model.coordinates if item.name == "knee_angle_r").rotational is rotational
    assert differences(model, as_opensim_reads_it(path)) == []
    assert limit_force(path, "KneeLimit_r", "knee_angle_r", 1.0) == pytest.approx(
        own_limit_force(model, "KneeLimit_r", 1.0), rel=1e-12
    )


@pytest.mark.opensim
def test_a_coordinate_that_turns_and_moves_counts_by_its_last_plain_axis(tmp_path: Path) -> None:
    linear = "<LinearFunction><coefficients>1 0</coefficients></LinearFunction>"
    path = edited(tmp_path, shipped(PROSTHETIC), '"knee_r"', "<SimmSpline>.*?</SimmSpline>", linear)
    model = read_model(path)
    assert not next(item for item in model.coordinates if item.name == "knee_angle_r").rotational
    assert differences(model, as_opensim_reads_it(path)) == []


def limit_force(path: Path, force: str, coordinate: str, value: float) -> float:
    """OpenSim's, at rest."""
    model = opensim.Model(str(path))
    state = model.initSystem()
    model.getCoordinateSet().get(coordinate).setValue(state, value)
    model.realizeVelocity(state)
    return float(opensim.CoordinateLimitForce.safeDownCast(model.getForceSet().get(force)).calcLimitForce(state))


def own_limit_force(model: m.BodyModel, name: str, value: float) -> float:
    force = next(item for item in model.forces if item.name == name)
    assert isinstance(force, m.CoordinateLimitForce)
    x = min(max((value - force.upper_limit) / force.transition, 0.0), 1.0)
    return -force.upper_stiffness * x**3 * (10 - 15 * x + 6 * x**2) * (value - force.upper_limit)


def turn(frame: m.Frame) -> Array:
    a, b, c = frame.rotation_xyz_rad
    return about((1.0, 0.0, 0.0), a) @ about((0.0, 1.0, 0.0), b) @ about((0.0, 0.0, 1.0), c)


def about(axis: m.Vector3, angle: float) -> Array:
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: Array = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross
    return rotation


def value(axis: m.Axis, pose: dict[str, float]) -> float:
    if isinstance(axis.function, m.Constant):
        return axis.function.value
    assert axis.coordinate is not None
    q = pose[axis.coordinate]
    if isinstance(axis.function, m.Linear):
        return axis.function.slope * q + axis.function.intercept
    spline = opensim.SimmSpline()
    for x, y in zip(axis.function.x, axis.function.y, strict=True):
        spline.addPoint(x, y)
    return float(spline.calcValue(opensim.Vector(1, q)))


def places(model: m.BodyModel, pose: dict[str, float]) -> dict[str, tuple[Array, Array]]:
    """Rotation and place of each body in ground, by the words of the schema."""
    found = {m.GROUND: (np.eye(3), np.zeros(3))}
    for joint in model.joints:
        rotation, place = found[joint.parent.body]
        place = place + rotation @ np.array(joint.parent.translation_m)
        rotation = rotation @ turn(joint.parent)
        for axis in joint.translations:
            place = place + rotation @ np.array(axis.direction) / np.linalg.norm(axis.direction) * value(axis, pose)
        for axis in joint.rotations:
            rotation = rotation @ about(axis.direction, value(axis, pose))
        rotation = rotation @ turn(joint.child).T
        found[joint.child.body] = (rotation, place - rotation @ np.array(joint.child.translation_m))
    return found


@pytest.mark.opensim
@pytest.mark.parametrize("name", [PROSTHETIC, "gait9dof18musc", ARM])
def test_joints_place_their_bodies_where_opensim_does_even_in_tilted_frames(name: str, tmp_path: Path) -> None:
    """Pin, planar, weld and custom joints, the hinges of the arm askew, with axes that are not unit vectors."""
    path = edited(tmp_path, shipped(name), "<CustomJoint", "<axis>0 0 1</axis>|<axis>(-0.05\\S*) (\\S*) (\\S*)</axis>",
                  "<axis>0.1 0.2 3</axis>")  # fmt: skip
    for tag, numbers in (
        ("orientation_in_parent", "0.3 -0.4 0.5"),
        ("location", "0.01 0.02 -0.03"),
        ("orientation", "-0.2 0.1 0.7"),
    ):
        for joint in range(path.read_text().count("<parent_body>")):
            after = path.read_text().split("<parent_body>")[joint + 1][:200]
            path = edited(tmp_path, path, after, f"<{tag}>.*?</{tag}>", f"<{tag}>{numbers}</{tag}>")
    model = read_model(path)
    reference = opensim.Model(str(path))
    state = reference.initSystem()
    random = np.random.default_rng(5)
    pose = {item.name: item.default if item.locked else float(random.uniform(-1, 1)) for item in model.coordinates}
    for name_, q in pose.items():
        coordinate = reference.getCoordinateSet().get(name_)
        if not coordinate.get_locked():
            coordinate.setValue(state, q, False)
    reference.realizePosition(state)
    found = places(model, pose)
    for body in reference.getBodySet():
        transform = body.getTransformInGround(state)
        rotation, place = found[body.getName()]
        theirs = np.array([[transform.R().asMat33().get(i, j) for j in range(3)] for i in range(3)])
        assert np.allclose(rotation, theirs, rtol=0, atol=1e-12), body.getName()
        assert np.allclose(place, transform.p().to_numpy(), rtol=0, atol=1e-12), body.getName()


def test_a_multiple_of_a_function_is_that_function(tmp_path: Path) -> None:
    wrapped = r"<MultiplierFunction><function>\g<0></function><scale>2</scale></MultiplierFunction>"
    path = edited(tmp_path, shipped(PROSTHETIC), '"knee_r"', "<SimmSpline>.*?</SimmSpline>", wrapped)
    once = wrapped.replace("<scale>2", "<scale>1")
    path = edited(tmp_path, path, '"knee_l"', "<LinearFunction>.*?</LinearFunction>", once)
    plain = {joint.name: joint for joint in read_model(shipped(PROSTHETIC)).joints}
    joints = {joint.name: joint for joint in read_model(path).joints}
    one, two = plain["knee_r"].translations[0].function, joints["knee_r"].translations[0].function
    assert isinstance(one, m.SimmSpline)
    assert two == m.SimmSpline(one.x, tuple(2 * y for y in one.y))
    assert joints["knee_l"].rotations[0].function == m.Linear(1.0, 0.0)
    # OpenSim calls it coupled, though it is the same function.
    assert not joints["knee_l"].coordinates[0].rotational


@pytest.mark.parametrize(
    ("after", "old", "new"),
    [
        ("<Model", "<credits>", "<!-- a comment with -- inside <!-- and another's start --><credits>"),
        ("<ProbeSet", r"<objects ?/>", "<objects><JointInternalPowerProbe name='p'/></objects>"),
        ('<Body name="pelvis">', "<VisibleObject>", "<VisibleObject><anything>at all</anything>"),
        ("<Model", "<credits>.*?</credits>", "<credits>nobody</credits>"),
        ("<Model", "<length_units>meters", "<length_units>m"),
        ("<BodySet>", "<groups ?/>", "<groups><ObjectGroup name='g'><members>pelvis</members></ObjectGroup></groups>"),
        ('Muscle name="vasti_r"', "<min_control>.*?</min_control>", "<min_control>0.2</min_control>"),
        ('"KneeLimit_r"', "<damping>", "<compute_dissipation_energy>true</compute_dissipation_energy><damping>"),
    ],
)  # fmt: skip
def test_what_does_not_move_a_body_is_passed_over(after: str, old: str, new: str, tmp_path: Path) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), after, old, new)
    assert replace(read_model(path), sha256="") == replace(read_model(shipped(PROSTHETIC)), sha256="")


@pytest.mark.parametrize("orientation", [f"{math.pi} 0 {math.pi / 2}", f"{-math.pi / 2} {math.pi / 2} 0"])
def test_the_floor_may_lie_higher_and_be_turned_about_the_vertical(orientation: str, tmp_path: Path) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), "<ContactHalfSpace", "0 0 -1.57079\\d*", orientation)
    path = edited(tmp_path, path, "<ContactHalfSpace", "<location> *0 0 0", "<location>0 0.25 0")
    contacts = [force for force in read_model(path).forces if isinstance(force, m.HuntCrossleyForce)]
    assert [force.geometry[0] for force in contacts] == [m.HalfSpace("platform", 0.25)] * 2


def test_joints_come_after_their_parents_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    text = shipped(PROSTHETIC).read_text()
    start, middle, end = (text.index(f'<Body name="{name}">') for name in ("femur_l", "tibia_l", "talus_l"))
    path = tmp_path / "swapped.osim"
    path.write_text(text[:start] + text[middle:end] + text[start:middle] + text[end:])
    model, plain = read_model(path), read_model(shipped(PROSTHETIC))
    assert [body.name for body in model.bodies][4:6] == ["tibia_l", "femur_l"]
    assert model.joints == plain.joints


def test_a_repeated_name_of_a_joint_is_counted_as_opensim_does() -> None:
    assert [joint.name for joint in read_model(shipped(PROSTHETIC)).joints][-2:] == ["back", "back_0"]


def test_a_massless_body_has_no_inertia(tmp_path: Path) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), '<Body name="head">', "<inertia_xx>0", "<inertia_xx>5")
    assert read_model(path).bodies[-1] == m.Body("head", 0.0, (0.0, 0.0, 0.0), (0.0,) * 6)
