"""Whatever the reader does not support is refused: with the file, the place in it, what is there, and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from environment.osim_file import UnsupportedModel, read_model
from tests.environment.osim_files import PROSTHETIC, edited, shipped

NAME = f"{PROSTHETIC}.osim"
KNEE = 'CustomJoint name="knee_r"'
VASTI = 'Thelen2003Muscle name="vasti_r"'
FORCES = "Model/ForceSet/objects"
JOINT = "Model/BodySet/objects/Body[pros_tibia_r]/Joint/CustomJoint[knee_r]"
CONSTANT_AXIS = r"<coordinates></coordinates>(\s*<axis>1 0 0</axis>\s*<function>)\s*<Constant>.*?</Constant>"
LINEAR = "<LinearFunction>.*?</LinearFunction>"
PARAMETERS = "HuntCrossleyForce::ContactParameters"

REFUSED: dict[str, tuple[str, str, str, str, str]] = {
    # joints and bodies
    "a ball joint": (
        '<Body name="pros_foot_r">',
        "<PinJoint (.*?)</PinJoint>",
        r"<BallJoint \1</BallJoint>",
        "Body[pros_foot_r]/Joint/BallJoint[ankle_r]",
        "PinJoint",
    ),
    "a reversed joint": (KNEE, "<reverse>false", "<reverse>true", f"{JOINT}/reverse", "from parent to child"),
    "a loop": (
        'CustomJoint name="ground_pelvis"',
        "<parent_body>ground",
        "<parent_body>torso",
        "Model",
        "no chain of joints leads from ground to pelvis",
    ),
    "a massless moving body": (
        '<Body name="pros_foot_r">',
        "<mass>0.426",
        "<mass>0",
        "Body[pros_foot_r]/mass",
        "weld joint",
    ),
    "a wrap object on a body": (
        '<Body name="pelvis">',
        r"(<WrapObjectSet>\s*)<objects ?/>",
        r"\1<objects><WrapCylinder name='w'/></objects>",
        "Body[pelvis]/WrapObjectSet/objects/WrapCylinder[w]",
        "nothing",
    ),
    "a wrap object on the ground": (
        '<Body name="ground">',
        r"(<WrapObjectSet>\s*)<objects ?/>",
        r"\1<objects><WrapSphere name='w'/></objects>",
        "Body[ground]/WrapObjectSet/objects/WrapSphere[w]",
        "nothing",
    ),
    "a joint of the ground": (
        '<Body name="ground">',
        r"<Joint ?/>",
        "<Joint><WeldJoint name='w'/></Joint>",
        "Body[ground]/Joint/WeldJoint[w]",
        "nothing",
    ),
    # coordinates and functions
    "a clamped coordinate": (
        'Coordinate name="knee_angle_r"',
        "<clamped>false",
        "<clamped>true",
        "Coordinate[knee_angle_r]/clamped",
        "free or locked",
    ),
    "a prescribed coordinate": (
        'Coordinate name="knee_angle_r"',
        "<prescribed>false",
        "<prescribed>true",
        "Coordinate[knee_angle_r]/prescribed",
        "free or locked",
    ),
    "a prescribed function": (
        'Coordinate name="knee_angle_r"',
        "<prescribed_function ?/>",
        "<prescribed_function><Constant/></prescribed_function>",
        "Coordinate[knee_angle_r]/prescribed_function/Constant",
        "nothing",
    ),
    "another function of a joint": (
        KNEE,
        LINEAR,
        "<PiecewiseLinearFunction><x>0 1</x><y>0 1</y></PiecewiseLinearFunction>",
        f"{JOINT}/SpatialTransform/TransformAxis[rotation1]/function/PiecewiseLinearFunction",
        "SimmSpline",
    ),
    "another function inside a multiple": (
        KNEE,
        LINEAR,
        "<MultiplierFunction><function><StepFunction/></function></MultiplierFunction>",
        "function/MultiplierFunction/function/StepFunction",
        "SimmSpline",
    ),
    "another function of a point": (
        "<MovingPathPoint",
        r"<x_location>.*?</x_location>",
        "<x_location><StepFunction/></x_location>",
        "MovingPathPoint[rect_fem_r-P3]/x_location/StepFunction",
        "SimmSpline",
    ),
    "a function of two coordinates": (
        'CustomJoint name="hip_r"',
        "<coordinates>hip_flexion_r<",
        "<coordinates>hip_flexion_r hip_adduction_r<",
        "TransformAxis[rotation1]/coordinates",
        "of one",
    ),
    # muscles
    "a stiff tendon": (
        VASTI,
        "<optimal_force>",
        "<ignore_tendon_compliance>true</ignore_tendon_compliance><optimal_force>",
        f"{FORCES}/Thelen2003Muscle[vasti_r]/ignore_tendon_compliance",
        "false",
    ),
    "activation at once": (
        VASTI,
        "<optimal_force>",
        "<ignore_activation_dynamics>true</ignore_activation_dynamics><optimal_force>",
        f"{FORCES}/Thelen2003Muscle[vasti_r]/ignore_activation_dynamics",
        "false",
    ),
    "a path around a wrap object": (
        VASTI,
        r"(<PathWrapSet>\s*)<objects ?/>",
        r"\1<objects><PathWrap name='w'/></objects>",
        f"{FORCES}/Thelen2003Muscle[vasti_r]/GeometryPath/PathWrapSet/objects/PathWrap[w]",
        "nothing",
    ),
    "another muscle": (
        "<ForceSet>",
        "<Thelen2003Muscle (.*?)</Thelen2003Muscle>",
        r"<Millard2012EquilibriumMuscle \1</Millard2012EquilibriumMuscle>",
        f"{FORCES}/Millard2012EquilibriumMuscle[abd_r]",
        "Thelen2003Muscle",
    ),
    "another path point": (
        VASTI,
        "<PathPoint (.*?)</PathPoint>",
        r"<SlipPoint \1</SlipPoint>",
        "GeometryPath/PathPointSet/objects/SlipPoint",
        "MovingPathPoint",
    ),
    # forces and contact
    "another force": (
        "<ForceSet>",
        "<objects>",
        "<objects><PathSpring name='s'/>",
        f"{FORCES}/PathSpring[s]",
        "HuntCrossleyForce",
    ),
    "a disabled muscle": (
        VASTI,
        "<isDisabled>false",
        "<isDisabled>true",
        f"{FORCES}/Thelen2003Muscle[vasti_r]/isDisabled",
        "enabled",
    ),
    "a disabled contact": (
        'HuntCrossleyForce name="foot_l"',
        "<isDisabled>false",
        "<isDisabled>true",
        f"{FORCES}/HuntCrossleyForce[foot_l]/isDisabled",
        "enabled",
    ),
    "a disabled limit": (
        '"KneeLimit_r"',
        "<isDisabled>false",
        "<isDisabled>true",
        f"{FORCES}/CoordinateLimitForce[KneeLimit_r]/isDisabled",
        "enabled",
    ),
    "a disabled spring": (
        '"ankleSpring"',
        "<coordinate>",
        "<isDisabled>true</isDisabled><coordinate>",
        f"{FORCES}/SpringGeneralizedForce[ankleSpring]/isDisabled",
        "enabled",
    ),
    "a slope": ("<ContactHalfSpace", "0 0 -1.57079\\d*", "0 0 -1.5", "ContactHalfSpace[platform]", "not horizontal"),
    "a ceiling": (
        "<ContactHalfSpace",
        "0 0 -1.57079\\d*",
        "0 0 1.5707963267949",
        "ContactHalfSpace[platform]",
        "not horizontal",
    ),
    "a floor on a body": (
        "<ContactHalfSpace",
        "<body_name>ground",
        "<body_name>torso",
        "ContactHalfSpace[platform]",
        "a half-space on torso",
    ),
    "a floor with another origin": (
        "<ContactHalfSpace",
        "<location> *0 0 0",
        "<location>1 0 0",
        "ContactHalfSpace[platform]",
        "0 y 0",
    ),
    "a contact mesh": (
        "<ContactGeometrySet>",
        "<objects>",
        "<objects><ContactMesh name='c'/>",
        "Model/ContactGeometrySet/objects/ContactMesh[c]",
        "ContactSphere",
    ),
    "a sphere on the ground": (
        "<ContactSphere",
        "<body_name>pros_foot_r",
        "<body_name>ground",
        "ContactSphere[r_pros_heel]",
        "on bodies",
    ),
    "different contact parameters": (
        '"foot_l"',
        f"(<{PARAMETERS}>.*?)(platform [^<]*)(<.*?<stiffness>)(.*?)(<.*?</{PARAMETERS}>)",
        r"\1platform\3\4\5\1l_heel\g<3>7\5",
        f"{FORCES}/HuntCrossleyForce[foot_l]",
        "2 different sets",
    ),
    "no contact parameters": (
        '"foot_l"',
        f"<{PARAMETERS}>.*?</{PARAMETERS}>",
        "",
        f"{FORCES}/HuntCrossleyForce[foot_l]",
        "0 different sets",
    ),
    "no floor": (
        '"foot_l"',
        "<geometry>platform ",
        "<geometry>",
        f"{FORCES}/HuntCrossleyForce[foot_l]",
        "0 half-spaces",
    ),
    "overlapping spheres": (
        "<ContactSphere",
        '(name="l_heel".*?<radius>)',
        r"\g<1>9",
        "Model",
        "l_heel and l_toe1 of the HuntCrossleyForce foot_l overlap",
    ),
    "spheres that can meet": (
        "<ContactSphere",
        '(name="l_toe1".*?<body_name>)toes_l',
        r"\1tibia_l",
        "Model",
        "l_heel and l_toe1 of the HuntCrossleyForce foot_l are on bodies that move",
    ),
    # of the model
    "a constraint": (
        "<ConstraintSet>",
        "<objects ?/>",
        "<objects><WeldConstraint name='w'/></objects>",
        "Model/ConstraintSet/objects/WeldConstraint[w]",
        "nothing",
    ),
    "a controller": (
        "<ControllerSet",
        "<objects ?/>",
        "<objects><PrescribedController name='c'/></objects>",
        "Model/ControllerSet/objects/PrescribedController[c]",
        "nothing",
    ),
    "a further component": (
        "<ComponentSet",
        "<objects ?/>",
        "<objects><Thing name='c'/></objects>",
        "Model/ComponentSet/objects/Thing[c]",
        "nothing",
    ),
    "defaults": (
        "<Model",
        "<credits>",
        "<defaults><Thelen2003Muscle name='default'/></defaults><credits>",
        "Model/defaults/Thelen2003Muscle",
        "nothing",
    ),
    "the later form's sets": ("<Model", "<credits>", "<JointSet/><credits>", "Model/JointSet", "BodySet"),
    "a part in another file": (
        "<BodySet>",
        '<Body name="pelvis">',
        '<Body name="pelvis" file="pelvis.xml">',
        "Body[pelvis]",
        "'file'",
    ),
    "a version before the old form": ("", 'Version="30000"', 'Version="20303"', NAME, "version 20303"),
    "a version between the forms": ("", 'Version="30000"', 'Version="30501"', NAME, "version 30501"),
    "a version of the future": ("", 'Version="30000"', 'Version="40601"', NAME, "version 40601"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(case: str, tmp_path: Path) -> None:
    after, old, new, place, reason = REFUSED[case]
    path = edited(tmp_path, shipped(PROSTHETIC), after, old, new)
    with pytest.raises(UnsupportedModel) as refusal:
        read_model(path)
    message = str(refusal.value)
    assert message.startswith(NAME)
    assert place in message
    assert reason in message
    assert message.endswith('use physics="opensim"')


def test_spheres_overlap_where_welds_turn_them(tmp_path: Path) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), 'name="l_toe1"', "<location>[^<]*", "<location>0.0888 0.022 0")
    assert read_model(path).bodies
    turned = "<orientation_in_parent>0 3.14159 0"
    path = edited(tmp_path, path, 'WeldJoint name="mtp_l"', "<orientation_in_parent>[^<]*", turned)
    with pytest.raises(UnsupportedModel, match="l_heel and l_toe1 of the HuntCrossleyForce foot_l overlap"):
        read_model(path)
