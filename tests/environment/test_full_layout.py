"""Names and units of the whole state, for any simulator."""

from __future__ import annotations

import pytest

from environment.osim_file import read_model
from environment.physics.full_layout import full_layout
from environment.physics.models import MODELS, model_path
from environment.physics.native.layout import state_layout


def test_rotations_are_radians_translations_metres_and_joints_without_coordinates_are_kept() -> None:
    joints = {"hip": [("flexion", True), ("tx", False)], "ankle": []}
    layout = full_layout(joints, ["foot"], [("foot_l", "ground.force.X", "N")], ["abd"])
    units = dict(zip(layout.names, layout.units, strict=True))
    assert [units[f"joint_{kind}/hip/flexion"] for kind in ("pos", "vel", "acc")] == ["rad", "rad/s", "rad/s^2"]
    assert [units[f"joint_{kind}/hip/tx"] for kind in ("pos", "vel", "acc")] == ["m", "m/s", "m/s^2"]
    assert (units["body_acc/foot/z"], units["body_acc_rot/foot/x"]) == ("m/s^2", "rad/s^2")
    assert units["forces/foot_l/ground.force.X"] == "N"
    assert (units["muscles/abd/activation"], units["muscles/abd/fiber_force"]) == ("1", "N")
    assert units["misc/mass_center_vel/y"] == "m/s"
    assert layout.names[:3] == ("joint_pos/hip/flexion", "joint_pos/hip/tx", "joint_vel/hip/flexion")
    assert layout.hollow == ("joint_pos/ankle", "joint_vel/ankle", "joint_acc/ankle", "markers")
    assert layout.size == 6 + 18 + 1 + 4 + 9


@pytest.mark.opensim
@pytest.mark.parametrize("model", MODELS)
def test_both_simulators_describe_every_model_alike(model: str) -> None:
    from environment.physics.opensim import OpenSimPhysics

    path = model_path(model)
    assert OpenSimPhysics(path).layout == state_layout(read_model(path))
