"""Files in OpenSim 4's form: what is refused in them as unsupported or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from environment.osim_file import DamagedModel, UnsupportedModel, read_model
from tests.environment.osim_files import PROSTHETIC, edited, printed_by_opensim, shipped

pytestmark = pytest.mark.opensim

NAME = f"{PROSTHETIC}.osim"
FORCES = "Model/ForceSet/objects"
PELVIS = '<Body name="pelvis">'
KNEE = 'CustomJoint name="knee_r"'
VASTI = 'Thelen2003Muscle name="vasti_r"'


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prosthetic model in OpenSim 4's form."""
    return printed_by_opensim(shipped(PROSTHETIC), tmp_path_factory.mktemp("printed") / NAME)


TIBIA_FRAME = r"<PhysicalOffsetFrame name=\"pros_tibia_r_offset\">"
REFUSED_NEW: dict[str, tuple[str, str, str, str, str]] = {
    "an offset from an offset": (
        'CustomJoint name="hip_r"',
        r"(<socket_parent>)\S*femur_r<",
        r"\1../pelvis_offset<",
        "frames/PhysicalOffsetFrame[femur_r_offset]/socket_parent",
        "at an offset",
    ),
    "a path point at an offset": (
        'Muscle name="vasti_r"',
        "/bodyset/femur_r<",
        "/jointset/hip_r/pelvis_offset<",
        "socket_parent_frame",
        "at an offset",
    ),
    "a muscle that applies no force": (
        'Muscle name="vasti_r"',
        "<appliesForce>true",
        "<appliesForce>false",
        f"{FORCES}/Thelen2003Muscle[vasti_r]/appliesForce",
        "enabled",
    ),
    "a function-based path": (
        'Muscle name="vasti_r"',
        "<GeometryPath (.*?)</GeometryPath>",
        r"<FunctionBasedPath \1</FunctionBasedPath>",
        "FunctionBasedPath",
        "GeometryPath",
    ),
    "a body under two joints": (
        'PinJoint name="ankle_r"',
        r"(\S*/bodyset/)pros_foot_r<",
        r"\1femur_l<",
        "Model",
        "femur_l is the child of several joints",
    ),
    "a free body": (
        "<JointSet",
        '<PinJoint name="ankle_r">.*?</PinJoint>',
        "",
        "Model",
        "pros_foot_r: the child of no joint",
    ),
    "a joint onto the ground": (
        'PinJoint name="ankle_r"',
        r"\S*/bodyset/pros_foot_r<",
        "<socket_parent>/ground<",
        "Model",
        "ground is the child of the joint ankle_r",
    ),
    "a wrap object at an offset": (
        'CustomJoint name="knee_r"',
        TIBIA_FRAME,
        r"\g<0><WrapObjectSet><objects><WrapTorus name='w'/></objects></WrapObjectSet>",
        "PhysicalOffsetFrame[pros_tibia_r_offset]/WrapObjectSet/objects/WrapTorus[w]",
        "nothing",
    ),
    "a component of a body": (
        '<Body name="pelvis">',
        "<mass>",
        "<components><Station name='s'/></components><mass>",
        "Body[pelvis]/components/Station",
        "PhysicalOffsetFrame",
    ),
    "a component of a muscle": (
        'Muscle name="vasti_r"',
        "<appliesForce>",
        "<components><Station name='s'/></components><appliesForce>",
        "Thelen2003Muscle[vasti_r]/components",
        "GeometryPath",
    ),
    "a component of the ground": (
        "<Ground ",
        ">",
        "><components><Station name='s'/></components>",
        "Model/Ground/components/Station",
        "PhysicalOffsetFrame",
    ),
    "the old form's switch": (
        'Muscle name="vasti_r"',
        "<appliesForce>true</appliesForce>",
        "<isDisabled>true</isDisabled>",
        "Thelen2003Muscle[vasti_r]/isDisabled",
        "appliesForce",
    ),
}


@pytest.mark.parametrize("case", REFUSED_NEW)
def test_is_refused_in_the_form_of_opensim_4(case: str, printed: Path, tmp_path: Path) -> None:
    after, old, new, place, reason = REFUSED_NEW[case]
    with pytest.raises(UnsupportedModel) as refusal:
        read_model(edited(tmp_path, printed, after, old, new))
    message = str(refusal.value)
    assert message.startswith(NAME)
    assert place in message
    assert reason in message
    assert message.endswith('use physics="opensim"')


@pytest.mark.parametrize(
    ("after", "old", "new", "place", "reason"),
    [
        (
            KNEE,
            "<socket_parent_frame>[^<]*",
            "<socket_parent_frame>nowhere",
            "knee_r]/socket_parent_frame",
            "'nowhere'",
        ),
        (KNEE, r"\S*/bodyset/femur_r<", "<socket_parent>/bodyset/nobody<", "/socket_parent", "'/bodyset/nobody'"),
        (VASTI, "/bodyset/femur_r<", "/bodyset/nobody<", "/socket_parent_frame", "'/bodyset/nobody'"),
        (
            "<ConditionalPathPoint",
            "(<socket_coordinate>)[^<]*",
            r"\1/jointset/knee_r/elbow",
            "/socket_coordinate",
            "elbow",
        ),
        (
            "<MovingPathPoint",
            "(<socket_x_coordinate>)[^<]*",
            r"\1/jointset/hip_r/knee_angle_r",
            "/socket_x_coordinate",
            "'/jointset/hip_r/knee_angle_r'",
        ),
        (PELVIS, "<inertia>[^<]*", "<inertia>1 1 1", "Body[pelvis]/inertia", "3 numbers, 6 needed"),
        ("<BodySet", PELVIS, '<Body name="ground">', "Body[ground]", "no body may have the name ground"),
    ],
)
def test_is_refused_as_damaged_in_the_form_of_opensim_4(
    after: str, old: str, new: str, place: str, reason: str, printed: Path, tmp_path: Path
) -> None:
    with pytest.raises(DamagedModel) as refusal:
        read_model(edited(tmp_path, printed, after, old, new))
    assert str(refusal.value).startswith(f"{NAME}, line ")
    assert place in str(refusal.value)
    assert reason in str(refusal.value)
