"""A damaged model file is never half-loaded: the error names the file, the place in it, and what is wrong there."""

from __future__ import annotations

from pathlib import Path

import pytest

from environment.osim_file import DamagedModel, read_model
from tests.environment.osim_files import PROSTHETIC, edited, shipped

NAME = f"{PROSTHETIC}.osim"
PELVIS = '<Body name="pelvis">'
KNEE = 'CustomJoint name="knee_r"'
VASTI = 'Thelen2003Muscle name="vasti_r"'
FOOT = 'HuntCrossleyForce name="foot_l"'
LIMIT = 'CoordinateLimitForce name="KneeLimit_r"'

DAMAGED: dict[str, tuple[str, str, str, str, str]] = {
    "a word for a number": (PELVIS, "<mass>11.777", "<mass>heavy", "Body[pelvis]/mass", "'heavy', a finite number"),
    "a decimal comma": (PELVIS, "<mass>11.777", "<mass>11,777", "Body[pelvis]/mass", "'11,777'"),
    "not a number": (PELVIS, "<mass>11.777", "<mass>nan", "Body[pelvis]/mass", "'nan'"),
    "infinity": (PELVIS, "<mass>11.777", "<mass>1e999", "Body[pelvis]/mass", "'1e999'"),
    "grouped digits": (PELVIS, "<mass>11.777", "<mass>11_777", "Body[pelvis]/mass", "'11_777'"),
    "no number": (PELVIS, "<mass>11.777", "<mass>", "Body[pelvis]/mass", "0 numbers, 1 needed"),
    "two numbers for one": (PELVIS, "<mass>11.777", "<mass>11.777 3", "Body[pelvis]/mass", "2 numbers, 1 needed"),
    "a short vector": (PELVIS, "<mass_center> *-0.0707 0 0", "<mass_center>0 0", "mass_center", "2 numbers, 3 needed"),
    "a long vector": ("<Model", "<gravity> *0 ", "<gravity>0 0 ", "Model/gravity", "4 numbers, 3 needed"),
    "a word for a flag": (
        KNEE,
        "<locked>false",
        "<locked>no",
        "Coordinate[knee_angle_r]/locked",
        "'no', true or false",
    ),
    "an element for a value": (PELVIS, "<mass>11.777", "<mass><kg/>", "Body[pelvis]/mass", "the element kg"),
    "text beside elements": (PELVIS, "<mass>", "15 <mass>", "Body[pelvis]", "stray text '15'"),
    "no mass": (PELVIS, "<mass>.*?</mass>", "", "Body[pelvis]", "has no mass"),
    "a negative mass": (PELVIS, "<mass>", "<mass>-", "Body[pelvis]/mass", "is -11.777, 0 at least"),
    "no moment of inertia": (PELVIS, "<inertia_zz>.*?</inertia_zz>", "", "Body[pelvis]", "has no inertia_zz"),
    "a negative moment": (PELVIS, "<inertia_xx>", "<inertia_xx>-", "Body[pelvis]", "no body can have that"),
    "impossible products": (PELVIS, "<inertia_xy>0", "<inertia_xy>1", "Body[pelvis]", "no body can have that"),
    "products impossible together": (
        PELVIS,
        "<inertia_xx>.*?</inertia_yz>",
        "".join(f"<inertia_{axis}>1</inertia_{axis}>" for axis in ("xx", "yy", "zz"))
        + "".join(f"<inertia_{axes}>-0.9</inertia_{axes}>" for axes in ("xy", "xz", "yz")),
        "Body[pelvis]",
        "no body can have that",
    ),
    "a property twice": (PELVIS, "<mass>11.777</mass>", r"\g<0>\g<0>", "Body[pelvis]/mass", "second mass"),
    "no joint": (PELVIS, "<Joint>.*?</Joint>", "", "Body[pelvis]", "has no Joint"),
    "an empty joint": (PELVIS, "<Joint>.*?</Joint>", "<Joint/>", "Body[pelvis]/Joint", "0 joints"),
    "no bodies": ("<Model", "<BodySet>.*?</BodySet>", "", "Model", "no bodies"),
    "a nameless body": ("<BodySet>", PELVIS, "<Body>", "objects/Body", "has the name ''"),
    "a name with a slash": ("<BodySet>", PELVIS, '<Body name="pel/vis">', "Body[pel/vis]", "without space, slash"),
    "two bodies of a name": ("<BodySet>", '<Body name="head">', '<Body name="torso">', "Body[torso]", "second object"),
    "two muscles of a name": ("<ForceSet>", '"vasti_l"', '"vasti_r"', "Thelen2003Muscle[vasti_r]", "second object"),
    "two spheres of a name": ("<ContactGeometrySet>", '"l_toe2"', '"l_toe1"', "ContactSphere[l_toe1]", "second object"),
    "two coordinates of a name": (
        'PinJoint name="ankle_r"',
        '<Coordinate name="ankle_angle_r">',
        '<Coordinate name="knee_angle_r">',
        "Model",
        "several coordinates have the name knee_angle_r",
    ),
    "an unknown parent": (KNEE, "<parent_body>femur_r", "<parent_body>fibula_r", "knee_r]/parent_body", "'fibula_r'"),
    "a joint to itself": (KNEE, "<parent_body>femur_r", "<parent_body>pros_tibia_r", "knee_r]", "to itself"),
    "an unknown body of a point": (VASTI, "<body>femur_r", "<body>nobody", "PathPoint[vas_int_r-P1]/body", "'nobody'"),
    "an unknown body of a sphere": (
        "<ContactSphere",
        "<body_name>pros_foot_r",
        "<body_name>nobody",
        "body_name",
        "nobody",
    ),
    "an unknown coordinate of an axis": (
        KNEE,
        "<coordinates>knee_angle_r",
        "<coordinates>ankle_angle_r",
        "TransformAxis[rotation1]/coordinates",
        "'ankle_angle_r'",
    ),
    "an unknown coordinate of a condition": (
        "<ConditionalPathPoint",
        "<coordinate>[^<]*",
        "<coordinate>elbow",
        "/coordinate",
        "'elbow'",
    ),
    "an unknown coordinate of a moving point": (
        "<MovingPathPoint",
        "<z_coordinate>[^<]*",
        "<z_coordinate>elbow",
        "MovingPathPoint[rect_fem_r-P3]/z_coordinate",
        "'elbow'",
    ),
    "a moving point of two coordinates": (
        "<MovingPathPoint",
        "<z_coordinate>[^<]*",
        "<z_coordinate>ankle_angle_r",
        "MovingPathPoint[rect_fem_r-P3]",
        "depends on knee_angle_r, knee_angle_r, ankle_angle_r",
    ),
    "no coordinate of a moving point": (
        "<MovingPathPoint",
        "<z_coordinate>.*?</z_coordinate>",
        "",
        "P3]",
        "no z_coord",
    ),
    "an unknown coordinate of a limit": (LIMIT, "<coordinate>[^<]*", "<coordinate>elbow", "_r]/coordinate", "'elbow'"),
    "an unknown coordinate of a spring": (
        'SpringGeneralizedForce name="ankleSpring"',
        "<coordinate>[^<]*",
        "<coordinate>elbow",
        "SpringGeneralizedForce[ankleSpring]/coordinate",
        "'elbow'",
    ),
    "a missing axis": (
        KNEE,
        '<TransformAxis name="rotation2">.*?</TransformAxis>',
        "",
        "SpatialTransform",
        "rotation2",
    ),
    "axes in another order": (KNEE, '"rotation2"', '"rotation9"', "SpatialTransform", "rotation9"),
    "parallel axes": ('"hip_r"', "<axis>1 0 0", "<axis>0 0 1", "TransformAxis[rotation2]", "beside rotation1"),
    "an axis of no direction": (
        '"hip_r"',
        "<axis>0 0 1",
        "<axis>0 0 0",
        "TransformAxis[rotation2]",
        "beside rotation1",
    ),
    "a coordinate without effect": (
        'CustomJoint name="hip_r"',
        "<coordinates>hip_flexion_r</coordinates>(.*?)<LinearFunction>.*?</LinearFunction>",
        r"<coordinates></coordinates>\1<Constant><value>0</value></Constant>",
        "CustomJoint[hip_r]/SpatialTransform",
        "no axis depends on hip_flexion_r",
    ),
    "a function of nothing": (KNEE, "<coordinates>knee_angle_r", "<coordinates>", "rotation1]", "of no coordinate"),
    "two functions": (KNEE, "<LinearFunction>", "<Constant/><LinearFunction>", "rotation1]", "2 functions"),
    "no function": (KNEE, "<LinearFunction>.*?</LinearFunction>", "", "TransformAxis[rotation1]", "0 functions"),
    "a missing coordinate of a pin": (
        'PinJoint name="ankle_r"',
        "<Coordinate .*?</Coordinate>",
        "",
        "PinJoint[ankle_r]",
        "has 0 coordinates, a PinJoint has 1",
    ),
    "a range from high to low": (
        KNEE,
        "<range>[^<]*",
        "<range>1 -1",
        "knee_angle_r]/range",
        "lower end must come first",
    ),
    "a condition from high to low": ("<ConditionalPathPoint", "<range>[^<]*", "<range>1 -1", "/range", "lower end"),
    "a short spline": (KNEE, "<x> *-2.0944 ", "<x>", "SimmSpline", "11 x and 12 y"),
    "a spline of one knot": (KNEE, "<x>[^<]*</x>(.*?)<y>[^<]*</y>", r"<x>1</x>\1<y>1</y>", "SimmSpline", "1 x and 1 y"),
    "a spline that turns back": (KNEE, "<x> *-2.0944", "<x>2.0944", "SimmSpline/x", "must increase"),
    "three coefficients": (KNEE, "<coefficients> *1 0", "<coefficients>1 0 0", "coefficients", "3 numbers"),
    "a path of one point": (
        VASTI,
        "<PathPointSet>.*?</PathPointSet>",
        "<PathPointSet><objects>"
        "<PathPoint name='p'><body>pelvis</body><location>0 0 0</location></PathPoint>"
        "</objects></PathPointSet>",
        "GeometryPath",
        "has 1 points",
    ),
    "a word for a bound": (
        VASTI,
        "<max_control>1",
        "<max_control>one",
        "Thelen2003Muscle[vasti_r]/max_control",
        "'one'",
    ),
    "no path": (VASTI, "<GeometryPath>.*?</GeometryPath>", "", "Thelen2003Muscle[vasti_r]", "has no GeometryPath"),
    "a point of no place": (VASTI, "<location>.*?</location>", "", "PathPoint[vas_int_r-P1]", "has no location"),
    "unknown contact geometry": (FOOT, "l_heel", "l_hand", "HuntCrossleyForce[foot_l]", "'l_hand'"),
    "contact geometry twice": (FOOT, "l_toe1", "l_heel", "HuntCrossleyForce[foot_l]", "twice"),
    "no stiffness": (FOOT, "<stiffness>.*?</stiffness>", "", "ContactParameters", "has no stiffness"),
    "no contact stiffness": (FOOT, "<stiffness>[^<]*", "<stiffness>0", "/stiffness", "more than 0"),
    "negative dissipation": (FOOT, "<dissipation>", "<dissipation>-", "/dissipation", "0 at least"),
    "negative friction": (FOOT, "<static_friction>", "<static_friction>-", "/static_friction", "0 at least"),
    "no transition of friction": (
        FOOT,
        "<transition_velocity>[^<]*",
        "<transition_velocity>0",
        "velocity",
        "more than 0",
    ),
    "a sphere of no size": (
        "<ContactSphere",
        "<radius>[^<]*",
        "<radius>0",
        "ContactSphere[r_pros_heel]/radius",
        "more",
    ),
    "no transition of a limit": (LIMIT, "<transition>[^<]*", "<transition>0", "_r]/transition", "more than 0"),
    "negative damping": (LIMIT, "<damping>", "<damping>-", "KneeLimit_r]/damping", "0 at least"),
    "no Model": ("", "<Model .*</Model>", "", "OpenSimDocument", "has no Model"),
    "another document": (
        "",
        "<OpenSimDocument (.*)</OpenSimDocument>",
        r"<Storage \1</Storage>",
        "Storage",
        "outermost",
    ),
    "no version": ("", ' Version="30000"', "", "OpenSimDocument", "Version is needed"),
    "a version in words": ("", 'Version="30000"', 'Version="three"', "OpenSimDocument", "Version is needed"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_is_refused_as_damaged(case: str, tmp_path: Path) -> None:
    after, old, new, place, reason = DAMAGED[case]
    with pytest.raises(DamagedModel) as refusal:
        read_model(edited(tmp_path, shipped(PROSTHETIC), after, old, new))
    message = str(refusal.value)
    assert message.startswith(f"{NAME}, line ")
    assert place in message
    assert reason in message


def test_the_line_is_the_file_s_own_even_behind_long_comments(tmp_path: Path) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), "<Model", "<credits>", "<!-- one\ntwo -- and\nthree --><credits>")
    path = edited(tmp_path, path, PELVIS, "<mass>11.777", "<mass>heavy")
    line = path.read_text()[: path.read_text().index("heavy")].count("\n") + 1
    with pytest.raises(DamagedModel, match=rf", line {line}, "):
        read_model(path)


@pytest.mark.parametrize(
    ("tag", "number"),
    [
        ("max_isometric_force", "-1"),
        ("optimal_fiber_length", "0"),
        ("tendon_slack_length", "0"),
        ("pennation_angle_at_optimal", "-0.1"),
        ("max_contraction_velocity", "0"),
        ("activation_time_constant", "0"),
        ("deactivation_time_constant", "-1"),
        ("FmaxTendonStrain", "0"),
        ("FmaxMuscleStrain", "0"),
        ("KshapeActive", "0"),
        ("KshapePassive", "0"),
        ("Af", "0"),
        ("Flen", "1"),
        ("fv_linear_extrap_threshold", "0.7"),
        ("maximum_pennation_angle", "1.6"),
        ("maximum_pennation_angle", "0"),
        ("minimum_activation", "0.009"),
        ("minimum_activation", "1.1"),
        ("default_activation", "-0.1"),
        ("default_activation", "1.1"),
    ],
)
def test_a_muscle_with_an_impossible_number_is_refused(tag: str, number: str, tmp_path: Path) -> None:
    source = shipped(PROSTHETIC)
    behind = source.read_text().split(VASTI)[1].split("</Thelen2003Muscle>")[0]
    if f"<{tag}>" in behind:
        source = edited(tmp_path, source, VASTI, f"<{tag}>.*?</{tag}>", "")
    path = edited(tmp_path, source, VASTI, "<optimal_force>", rf"<{tag}>{number}</{tag}>\g<0>")
    with pytest.raises(DamagedModel, match=rf"Thelen2003Muscle\[vasti_r\].*{tag}|{tag}.*needed"):
        read_model(path)


def test_pennation_may_not_exceed_its_maximum(tmp_path: Path) -> None:
    text = "<maximum_pennation_angle>0.01</maximum_pennation_angle>"
    path = edited(tmp_path, shipped(PROSTHETIC), 'Muscle name="soleus_l"', "<optimal_force>", rf"{text}\g<0>")
    with pytest.raises(DamagedModel, match="may not exceed"):
        read_model(path)


WHOLE = shipped(PROSTHETIC).read_bytes()
BOMB = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a0 "ha">' + b"".join(
    b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 10) for i in range(1, 12)
)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"   \n",
        b"\x00\x01\x02\xff\xfe" * 1000,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"not XML at all",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-3],
        WHOLE + b"<more/>",
        WHOLE.replace(b"</mass>", b"</mess>", 1),
        b"<!-- never ends" + WHOLE.replace(b"-->", b""),
        WHOLE.replace(b'encoding="UTF-8"', b'encoding="klingon"'),
        WHOLE.replace(b"<credits>", b"<credits>\xff\xfe"),
        BOMB + b']><OpenSimDocument Version="30000"><Model name="m">&a11;</Model></OpenSimDocument>',
        WHOLE.replace(b"<OpenSimDocument", b"<!DOCTYPE OpenSimDocument>\n<OpenSimDocument"),
        b'<OpenSimDocument Version="30000">' * 100_000,
    ],
    ids=[
        "empty", "blank", "binary", "picture", "text", "half", "end missing", "something after", "wrong end tag",
        "open comment", "unknown encoding", "wrong encoding", "entity bomb", "document type", "deep",
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_file_is_refused(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.osim"
    path.write_bytes(contents)
    with pytest.raises(DamagedModel, match=r"^broken\.osim"):
        read_model(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.osim"
    for length in range(0, len(WHOLE.rstrip()), 9973):
        path.write_bytes(WHOLE[:length])
        with pytest.raises(DamagedModel):
            read_model(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedModel, match="is a folder"):
        read_model(tmp_path)


def test_a_missing_file_is_missed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_model(tmp_path / "none.osim")
