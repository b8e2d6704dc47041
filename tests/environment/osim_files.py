"""Model files for tests: those that osim-rl ships, edited copies of them, and what OpenSim itself reads in them."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import opensim

from environment import body_model as m
from environment.physics.models import model_path

FOLDER = model_path("3D_pros").parent
SEVEN = (
    "gait14dof22musc_pros_20180507",
    "gait14dof22musc_20170320",
    "gait14dof22musc_planar_pros_20180507",
    "gait14dof22musc_planar_20170320",
    "gait9dof18musc_20170320",
    "gait9dof18musc",
    "arm2dof6musc",
)
PROSTHETIC, ARM = SEVEN[0], SEVEN[-1]


def shipped(name: str) -> Path:
    return FOLDER / f"{name}.osim"


def edited(folder: Path, source: Path, after: str, old: str, new: str) -> Path:
    """A copy of a model file: the first match of the pattern `old` behind the text `after` is replaced by `new`."""
    text = source.read_text()
    start = text.index(after)
    assert re.search(old, text[start:], re.DOTALL), f"nothing to edit: no {old!r} after {after!r}"
    changed = text[:start] + re.sub(old, lambda match: match.expand(new), text[start:], count=1, flags=re.DOTALL)
    target = folder / source.name
    target.write_text(changed)
    return target


def printed_by_opensim(source: Path, target: Path) -> Path:
    """The same model in the form of the installed OpenSim."""
    opensim.Logger.setLevelString("Off")
    opensim.Model(str(source)).printToXML(str(target))
    return target


def differences(ours: object, theirs: object, relative: float = 1e-15, where: str = "") -> list[str]:
    """Where two values of the same dataclasses differ; floats may, by `relative` of the larger one."""
    if type(ours) is not type(theirs):
        return [f"{where}: {ours!r} is not {theirs!r}"]
    if isinstance(ours, float) and isinstance(theirs, float):
        close = math.isclose(ours, theirs, rel_tol=relative, abs_tol=0.0)
        return [] if close else [f"{where}: {ours!r} is not {theirs!r}"]
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        if len(ours) != len(theirs):
            return [f"{where}: {len(ours)} entries are not {len(theirs)}"]
        pairs = ((f"{where}[{i}]", one, other) for i, (one, other) in enumerate(zip(ours, theirs, strict=True)))
        return [found for place, one, other in pairs for found in differences(one, other, relative, place)]
    if dataclasses.is_dataclass(ours):
        names = [field.name for field in dataclasses.fields(ours) if field.name != "sha256"]
        return [
            found
            for name in names
            for found in differences(getattr(ours, name), getattr(theirs, name), relative, f"{where}.{name}")
        ]
    return [] if ours == theirs else [f"{where}: {ours!r} is not {theirs!r}"]


def as_opensim_reads_it(path: Path) -> m.BodyModel:
    """The same model, asked from OpenSim's own objects."""
    opensim.Logger.setLevelString("Off")
    model = opensim.Model(str(path))
    model.initSystem()
    return m.BodyModel(
        name=model.getName(),
        sha256="",
        gravity_m_per_s2=_vector(model.getGravity()),
        bodies=tuple(_body(body) for body in model.getBodySet()),
        joints=tuple(_joint(joint) for joint in model.getJointSet()),
        forces=tuple(_force(force, model) for force in model.getForceSet()),
        markers=tuple(
            m.Marker(item.getName(), _on(item.getParentFrame()), _vector(item.get_location()))
            for item in model.getMarkerSet()
        ),
    )


def _vector(values: Any) -> m.Vector3:
    x, y, z = (float(values[i]) for i in range(3))
    return x, y, z


def _on(frame: Any) -> str:
    return str(frame.findBaseFrame().getName())


def _body(body: Any) -> m.Body:
    xx, yy, zz, xy, xz, yz = (float(body.get_inertia().get(i)) for i in range(6))
    return m.Body(body.getName(), body.getMass(), _vector(body.getMassCenter()), (xx, yy, zz, xy, xz, yz))


def _frame(frame: Any) -> m.Frame:
    transform = frame.findTransformInBaseFrame()
    return m.Frame(_on(frame), _vector(transform.p()), _vector(transform.R().convertRotationToBodyFixedXYZ()))


def _coordinate(item: Any) -> m.Coordinate:
    return m.Coordinate(
        name=item.getName(),
        rotational=item.getMotionType() == opensim.Coordinate.Rotational,
        default=item.getDefaultValue(),
        default_speed=item.getDefaultSpeedValue(),
        locked=item.getDefaultLocked(),
        range=(item.getRangeMin(), item.getRangeMax()),
    )


def _joint(joint: Any) -> m.Joint:
    kind = joint.getConcreteClassName()
    coordinates = tuple(_coordinate(joint.get_coordinates(i)) for i in range(joint.numCoordinates()))
    if kind == "CustomJoint":
        transform = opensim.CustomJoint.safeDownCast(joint).getSpatialTransform()
        axes = [_axis(transform.getTransformAxis(i)) for i in range(6)]
    else:
        axes = _axes_of_kind(kind, [coordinate.name for coordinate in coordinates])
    return m.Joint(
        name=joint.getName(),
        kind=kind,
        parent=_frame(joint.getParentFrame()),
        child=_frame(joint.getChildFrame()),
        coordinates=coordinates,
        rotations=(axes[0], axes[1], axes[2]),
        translations=(axes[3], axes[4], axes[5]),
    )


def _axes_of_kind(kind: str, names: list[str]) -> list[m.Axis]:
    """By the definition of the joint in OpenSim's documentation; it has no objects to ask for them."""
    directions: list[m.Vector3] = [(0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    axes = [m.Axis(direction, None, m.Constant(0.0)) for direction in directions + directions[1:] + directions[:1]]
    driven = {"WeldJoint": (), "PinJoint": (0,), "PlanarJoint": (0, 3, 4)}[kind]
    for index, name in zip(driven, names, strict=True):
        axes[index] = m.Axis(axes[index].direction, name, m.Linear(1.0, 0.0))
    return axes


def _axis(axis: Any) -> m.Axis:
    function = _function(axis.getFunction())
    constant = isinstance(function, m.Constant)
    return m.Axis(_vector(axis.get_axis()), None if constant else axis.get_coordinates(0), function)


def _function(function: Any) -> m.Function:
    kind = function.getConcreteClassName()
    if kind == "Constant":
        return m.Constant(opensim.Constant.safeDownCast(function).getValue())
    if kind == "LinearFunction":
        linear = opensim.LinearFunction.safeDownCast(function)
        return m.Linear(linear.getSlope(), linear.getIntercept())
    assert kind == "SimmSpline"
    spline = opensim.SimmSpline.safeDownCast(function)
    count = spline.getSize()
    return m.SimmSpline(
        tuple(spline.getX(i) for i in range(count)),
        tuple(spline.getY(i) for i in range(count)),
    )


def _force(force: Any, model: Any) -> m.Force:
    kind = force.getConcreteClassName()
    assert force.get_appliesForce()
    if kind == "Thelen2003Muscle":
        return _muscle(opensim.Thelen2003Muscle.safeDownCast(force))
    if kind == "HuntCrossleyForce":
        return _contact(opensim.HuntCrossleyForce.safeDownCast(force), model)
    if kind == "SpringGeneralizedForce":
        spring = opensim.SpringGeneralizedForce.safeDownCast(force)
        return m.SpringGeneralizedForce(
            name=spring.getName(),
            coordinate=spring.get_coordinate(0),
            stiffness=spring.getStiffness(),
            rest=spring.getRestLength(),
            viscosity=spring.getViscosity(),
        )
    assert kind == "CoordinateLimitForce"
    limit = opensim.CoordinateLimitForce.safeDownCast(force)
    name = limit.get_coordinate()
    turns = model.getCoordinateSet().get(name).getMotionType() == opensim.Coordinate.Rotational
    unit = math.pi / 180 if turns else 1.0
    return m.CoordinateLimitForce(
        name=limit.getName(),
        coordinate=name,
        upper_limit=limit.getUpperLimit() * unit,
        upper_stiffness=limit.getUpperStiffness() / unit,
        lower_limit=limit.getLowerLimit() * unit,
        lower_stiffness=limit.getLowerStiffness() / unit,
        damping=limit.getDamping() / unit,
        transition=limit.getTransition() * unit,
    )


def _muscle(muscle: Any) -> m.Thelen2003Muscle:
    points = muscle.getGeometryPath().getPathPointSet()
    return m.Thelen2003Muscle(
        name=muscle.getName(),
        path=tuple(_point(points.get(i)) for i in range(points.getSize())),
        max_isometric_force_n=muscle.get_max_isometric_force(),
        optimal_fiber_length_m=muscle.get_optimal_fiber_length(),
        tendon_slack_length_m=muscle.get_tendon_slack_length(),
        pennation_angle_rad=muscle.get_pennation_angle_at_optimal(),
        max_contraction_velocity_per_s=muscle.get_max_contraction_velocity(),
        activation_time_s=muscle.get_activation_time_constant(),
        deactivation_time_s=muscle.get_deactivation_time_constant(),
        fmax_tendon_strain=muscle.get_FmaxTendonStrain(),
        fmax_muscle_strain=muscle.get_FmaxMuscleStrain(),
        kshape_active=muscle.get_KshapeActive(),
        kshape_passive=muscle.get_KshapePassive(),
        af=muscle.get_Af(),
        flen=muscle.get_Flen(),
        fv_linear_extrapolation_threshold=muscle.get_fv_linear_extrap_threshold(),
        maximum_pennation_angle_rad=muscle.get_maximum_pennation_angle(),
        minimum_activation=muscle.get_minimum_activation(),
        default_activation=muscle.get_default_activation(),
    )


def _point(point: Any) -> m.PathPoint:
    name, body = point.getName(), point.getParentFrame().getName()
    kind = point.getConcreteClassName()
    if kind == "PathPoint":
        return m.FixedPoint(name, body, _vector(opensim.PathPoint.safeDownCast(point).get_location()))
    if kind == "ConditionalPathPoint":
        point = opensim.ConditionalPathPoint.safeDownCast(point)
        bounds = (point.get_range(0), point.get_range(1))
        return m.ConditionalPoint(name, body, _vector(point.get_location()), point.getCoordinate().getName(), bounds)
    point = opensim.MovingPathPoint.safeDownCast(point)
    return m.MovingPoint(
        name=name,
        body=body,
        coordinates=(
            point.getXCoordinate().getName(),
            point.getYCoordinate().getName(),
            point.getZCoordinate().getName(),
        ),
        locations_m=(
            _function(point.get_x_location()),
            _function(point.get_y_location()),
            _function(point.get_z_location()),
        ),
    )


def _contact(force: Any, model: Any) -> m.HuntCrossleyForce:
    """The bindings have no way to the names of its geometry but what OpenSim prints."""
    names = " ".join(re.findall("<geometry>(.*?)</geometry>", force.dump())).split()
    return m.HuntCrossleyForce(
        name=force.getName(),
        geometry=tuple(_geometry(model.getContactGeometrySet().get(name)) for name in names),
        stiffness=force.getStiffness(),
        dissipation_s_per_m=force.getDissipation(),
        static_friction=force.getStaticFriction(),
        dynamic_friction=force.getDynamicFriction(),
        viscous_friction=force.getViscousFriction(),
        transition_velocity_m_per_s=force.getTransitionVelocity(),
    )


def _geometry(item: Any) -> m.HalfSpace | m.Sphere:
    place = _vector(item.get_location())
    if item.getConcreteClassName() == "ContactHalfSpace":
        return m.HalfSpace(item.getName(), place[1])
    return m.Sphere(item.getName(), _on(item.getFrame()), place, opensim.ContactSphere.safeDownCast(item).getRadius())
