"""A musculoskeletal model as plain named values, in the terms of OpenSim's model files. `osim_file` reads it.

SI units and radians throughout: whatever a file gives in degrees is converted where it is read. Ground is no body; a
frame on it has the body name `GROUND`. Defaults of absent properties are OpenSim 4.6's.
"""

from __future__ import annotations

from dataclasses import dataclass

GROUND = "ground"

Vector3 = tuple[float, float, float]
Inertia = tuple[float, float, float, float, float, float]
"""xx, yy, zz, xy, xz, yz in kg·m²."""


@dataclass(frozen=True, slots=True)
class Linear:
    """slope · q + intercept"""

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Constant:
    value: float


@dataclass(frozen=True, slots=True)
class SimmSpline:
    """Cubic spline through the knots, with the end conditions of SIMM, linear outside of them."""

    x: tuple[float, ...]
    y: tuple[float, ...]


Function = Linear | Constant | SimmSpline


@dataclass(frozen=True, slots=True)
class Body:
    name: str
    mass_kg: float
    mass_center_m: Vector3
    """In the body's frame."""
    inertia_kg_m2: Inertia
    """About the mass centre, in the body's axes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Fixed in a body. A point p of it is at R p + translation there, R the body-fixed XYZ rotation."""

    body: str
    translation_m: Vector3 = (0.0, 0.0, 0.0)
    rotation_xyz_rad: Vector3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Coordinate:
    name: str
    rotational: bool
    """Else translational (or coupled)."""
    default: float
    """rad or m, in the start pose."""
    default_speed: float
    locked: bool
    range: tuple[float, float]
    """rad or m. A moving path point does not go beyond; the coordinate itself may."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One of the six axes of a joint: turn about it, or move along it, by `function` of a coordinate."""

    direction: Vector3
    """As in the file; not normalised."""
    coordinate: str | None
    """None: the function is a constant."""
    function: Function


@dataclass(frozen=True, slots=True)
class Joint:
    """Child frame relative to parent frame: body-fixed turns about three axes, and a move in the parent frame's axes.

    Every kind of joint is said in this form; the kind is kept for messages.
    """

    name: str
    kind: str
    """`CustomJoint`, `PinJoint`, `PlanarJoint` or `WeldJoint`."""
    parent: Frame
    child: Frame
    coordinates: tuple[Coordinate, ...]
    """In the joint's order."""
    rotations: tuple[Axis, Axis, Axis]
    translations: tuple[Axis, Axis, Axis]


@dataclass(frozen=True, slots=True)
class FixedPoint:
    """Of a muscle's path, fixed in a body."""

    name: str
    body: str
    location_m: Vector3


@dataclass(frozen=True, slots=True)
class ConditionalPoint:
    """On the path only while the coordinate is in the range."""

    name: str
    body: str
    location_m: Vector3
    coordinate: str
    range: tuple[float, float]


@dataclass(frozen=True, slots=True)
class MovingPoint:
    """Its place in the body depends on coordinates, one per component."""

    name: str
    body: str
    coordinates: tuple[str, str, str]
    locations_m: tuple[Function, Function, Function]


PathPoint = FixedPoint | ConditionalPoint | MovingPoint


@dataclass(frozen=True, slots=True)
class Thelen2003Muscle:
    """Thelen (2003), 'Adjustment of muscle mechanics model parameters to simulate dynamic contractions in older
    adults', with OpenSim's elastic tendon and first-order activation."""

    name: str
    path: tuple[PathPoint, ...]
    max_isometric_force_n: float
    optimal_fiber_length_m: float
    tendon_slack_length_m: float
    pennation_angle_rad: float
    """At the optimal fibre length."""
    max_contraction_velocity_per_s: float
    """Optimal fibre lengths per second."""
    activation_time_s: float
    deactivation_time_s: float
    fmax_tendon_strain: float
    fmax_muscle_strain: float
    kshape_active: float
    kshape_passive: float
    af: float
    flen: float
    fv_linear_extrapolation_threshold: float
    maximum_pennation_angle_rad: float
    minimum_activation: float
    default_activation: float


@dataclass(frozen=True, slots=True)
class Sphere:
    """Contact geometry on a body."""

    name: str
    body: str
    center_m: Vector3
    radius_m: float


@dataclass(frozen=True, slots=True)
class HalfSpace:
    """Contact geometry: the ground's plane y = `height_m`, solid below."""

    name: str
    height_m: float


@dataclass(frozen=True, slots=True)
class HuntCrossleyForce:
    """Contact of spheres with the floor; all of its geometry has the same parameters."""

    name: str
    geometry: tuple[HalfSpace | Sphere, ...]
    """In the order of the file, one half-space among them."""
    stiffness: float
    """Plane-strain modulus, Pa."""
    dissipation_s_per_m: float
    static_friction: float
    dynamic_friction: float
    viscous_friction: float
    transition_velocity_m_per_s: float


@dataclass(frozen=True, slots=True)
class CoordinateLimitForce:
    """Spring and damper beyond a coordinate's limits, faded in over the transition. Per rad, or per m."""

    name: str
    coordinate: str
    upper_limit: float
    upper_stiffness: float
    lower_limit: float
    lower_stiffness: float
    damping: float
    transition: float


@dataclass(frozen=True, slots=True)
class SpringGeneralizedForce:
    """-stiffness (q - rest) - viscosity q̇ on a coordinate."""

    name: str
    coordinate: str
    stiffness: float
    rest: float
    viscosity: float


Force = Thelen2003Muscle | HuntCrossleyForce | CoordinateLimitForce | SpringGeneralizedForce


@dataclass(frozen=True, slots=True)
class Marker:
    name: str
    body: str
    location_m: Vector3


@dataclass(frozen=True, slots=True)
class BodyModel:
    """Everything of a model that the equations of motion need, in the order of its file."""

    name: str
    sha256: str
    """Of the file."""
    gravity_m_per_s2: Vector3
    bodies: tuple[Body, ...]
    joints: tuple[Joint, ...]
    """Each body but ground is the child of one; parents come first."""
    forces: tuple[Force, ...]
    """Muscles among them."""
    markers: tuple[Marker, ...] = ()

    @property
    def muscles(self) -> tuple[Thelen2003Muscle, ...]:
        """In the order of the excitations."""
        return tuple(force for force in self.forces if isinstance(force, Thelen2003Muscle))

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """In the order of the joints."""
        return tuple(coordinate for joint in self.joints for coordinate in joint.coordinates)
