"""What a sampler of states has to ask OpenSim: lengths and forces of muscles, places of contact spheres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# First, so that OpenSim is loaded without its deprecation warnings.
from infra.bench.fidelity.model_file import ModelFile
from infra.bench.fidelity.oracle import Array, Oracle, States

import opensim  # isort: skip


@dataclass(frozen=True, slots=True, eq=False)
class Muscles:
    """(M,) each."""

    optimal_m: Array
    slack_m: Array
    minimum_m: Array
    """Fibre length below which OpenSim clamps; 0 without pennation."""
    height_m: Array
    """Of the fibre's parallelogram: optimal length times sine of the pennation angle there."""


@dataclass(frozen=True, slots=True, eq=False)
class SpherePlaces:
    """(n, K) each; negative heights are under the floor. Velocities are of the body at the point of contact."""

    bottom_m: Array
    rising_m_per_s: Array
    sliding_m_per_s: Array


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """What decides how fast a fibre moves; (n, M) each, forces in units of the maximal isometric force."""

    tendon: Array
    active: Array
    """Activation, clamped, times the active force-length multiplier."""
    passive: Array
    cosine: Array
    """Of the pennation angle."""
    lengthening: Array
    """Greatest force of a lengthening fibre, in units of the active force."""


class Probe:
    """Asks OpenSim about positions and velocities at given q and u; nothing here depends on activations or forces."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        thelen = opensim.Thelen2003Muscle.safeDownCast
        self._muscles = [thelen(oracle.model.getMuscles().get(i)) for i in range(len(oracle.muscles))]
        self.muscles = _constants(self._muscles)
        geometry = oracle.model.getContactGeometrySet()
        found = (opensim.ContactSphere.safeDownCast(geometry.get(i)) for i in range(geometry.getSize()))
        self._spheres = {sphere.getName(): sphere for sphere in found if sphere is not None}
        self.file = ModelFile(oracle.path, oracle.coordinates)
        names = list(self._spheres)
        feet = self.file.feet().items()
        self.feet = {force: [names.index(name) for name in taken if name in names] for force, taken in feet}
        """For each contact force, which of the spheres it takes."""
        self.dissipation_s_per_m = self.file.contact_parameter("dissipation")
        self.stiffness = self.file.contact_parameter("stiffness")
        self.radius_m = np.array([sphere.getRadius() for sphere in self._spheres.values()])

    def muscle_lengths(self, q: Array) -> Array:
        """(n, M) m from origin to insertion, tendon included."""
        found = np.empty((len(q), len(self._muscles)))
        for i in range(len(q)):
            self._pose(q[i], np.zeros(q.shape[1]))
            found[i] = [muscle.getLength(self.oracle.state) for muscle in self._muscles]
        return found

    def spheres(self, q: Array, u: Array) -> SpherePlaces:
        found = np.empty((3, len(q), len(self._spheres)))
        for i in range(len(q)):
            self._pose(q[i], u[i])
            for k, sphere in enumerate(self._spheres.values()):
                found[:, i, k] = self._place(sphere)
        return SpherePlaces(*found)

    def muscle_rates(self, states: States) -> Rates:
        """As OpenSim itself gives them."""
        found = np.empty((4, len(states), len(self._muscles)))
        for i in range(len(states)):
            self.oracle.put(states.q[i], states.u[i], states.a[i], states.l[i], states.e[i])
            self.oracle.model.realizeAcceleration(self.oracle.state)
            for m, muscle in enumerate(self._muscles):
                found[:, i, m] = _rates(muscle, self.oracle.state)
        lengthening = np.array([muscle.get_Flen() for muscle in self._muscles])
        tendon, active, passive, cosine = found
        return Rates(tendon, active, passive, cosine, np.broadcast_to(lengthening, tendon.shape))

    def skipped_force_n(self, states: States) -> Array:
        """(n,) normal force of the spheres that overlap the floor, less what OpenSim lets them give."""
        places = self.spheres(states.q, states.u)
        depth_m = np.maximum(-places.bottom_m, 0.0)
        stiffness = 0.5 * self.stiffness ** (2 / 3)
        still_n = 4 / 3 * stiffness * depth_m * np.sqrt(self.radius_m * stiffness * depth_m)
        pushed_n = np.maximum(still_n * (1 - 1.5 * self.dissipation_s_per_m * places.rising_m_per_s), 0.0)
        layout = self.oracle.layout
        floor = [
            i for i, name in enumerate(layout.names) if name.startswith("forces/") and name.endswith("/ground.force.Y")
        ]
        vectors = self.oracle.state_vectors(states.q, states.u, states.a, states.l, states.e)
        return np.asarray(pushed_n.sum(axis=1) + vectors[:, floor].sum(axis=1))

    def _pose(self, q: Array, u: Array) -> None:
        muscles = self.muscles
        self.oracle.put(
            q, u, np.full(len(muscles.optimal_m), 0.05), muscles.optimal_m, np.zeros(len(muscles.optimal_m))
        )

    def _place(self, sphere: Any) -> tuple[float, float, float]:
        """Height of the lowest point, and the velocity where OpenSim applies the force: halfway into the overlap."""
        state, frame = self.oracle.state, sphere.getFrame()
        center = frame.findStationLocationInGround(state, sphere.get_location())
        bottom = center.get(1) - sphere.getRadius()
        contact = opensim.Vec3(center.get(0), bottom / 2, center.get(2))
        there = self.oracle.model.getGround().findStationLocationInAnotherFrame(state, contact, frame)
        velocity = frame.findStationVelocityInGround(state, there)
        return bottom, velocity.get(1), float(np.hypot(velocity.get(0), velocity.get(2)))


def _constants(muscles: list[Any]) -> Muscles:
    optimal_m = np.array([muscle.getOptimalFiberLength() for muscle in muscles])
    height_m = optimal_m * np.sin([muscle.getPennationAngleAtOptimalFiberLength() for muscle in muscles])
    return Muscles(
        optimal_m=optimal_m,
        slack_m=np.array([muscle.getTendonSlackLength() for muscle in muscles]),
        minimum_m=height_m / np.sin([muscle.get_maximum_pennation_angle() for muscle in muscles]),
        height_m=height_m,
    )


def _rates(muscle: Any, state: Any) -> tuple[float, float, float, float]:
    force = muscle.getTendonForce(state) / muscle.getMaxIsometricForce()
    active = muscle.getActivation(state) * muscle.getActiveForceLengthMultiplier(state)
    return force, active, muscle.getPassiveForceMultiplier(state), muscle.getCosPennationAngle(state)
