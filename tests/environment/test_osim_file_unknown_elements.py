"""An element that the reader does not know is refused wherever it is, never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from environment.osim_file import UnsupportedModel, read_model
from tests.environment.osim_files import PROSTHETIC, edited, shipped

PARAMETERS = "HuntCrossleyForce::ContactParameters"


@pytest.mark.parametrize(
    "start",
    [
        "<Model [^>]*>",
        "<BodySet>",
        '<Body name="ground">',
        '<Body name="pelvis">',
        '<CustomJoint name="knee_r">',
        '<PinJoint name="ankle_r">',
        '<WeldJoint name="back">',
        "<CoordinateSet>",
        '<Coordinate name="knee_angle_r">',
        "<SpatialTransform>",
        '<TransformAxis name="rotation1">',
        "<LinearFunction>",
        "<SimmSpline[^>]*>",
        "<Constant>",
        "<ForceSet>",
        '<Thelen2003Muscle name="vasti_r">',
        "<GeometryPath>",
        "<PathPointSet>",
        "<PathWrapSet>",
        "<PathPoint [^>]*>",
        "<ConditionalPathPoint [^>]*>",
        "<MovingPathPoint [^>]*>",
        '<HuntCrossleyForce name="foot_l">',
        f"<{PARAMETERS}Set [^>]*>",
        f"<{PARAMETERS}>",
        '<CoordinateLimitForce name="KneeLimit_r">',
        '<SpringGeneralizedForce name="ankleSpring">',
        "<ContactHalfSpace [^>]*>",
        "<ContactSphere [^>]*>",
        "<WrapObjectSet>",
        "<ConstraintSet>",
        "<MarkerSet>",
        "<OpenSimDocument [^>]*>",
    ],
)
def test_an_element_that_is_not_known_is_never_passed_over(start: str, tmp_path: Path) -> None:
    path = edited(tmp_path, shipped(PROSTHETIC), "", start, r"\g<0><novelty>1</novelty>")
    with pytest.raises(UnsupportedModel, match=r"/novelty|^.*, novelty: ") as refusal:
        read_model(path)
    assert "novelty is not supported here" in str(refusal.value)
