"""Constants of muscles, contacts, limits and springs."""

from __future__ import annotations

import math

from environment.body_model import (
    BodyModel,
    CoordinateLimitForce,
    HalfSpace,
    HuntCrossleyForce,
    Sphere,
    SpringGeneralizedForce,
    Thelen2003Muscle,
)
from environment.physics.native.compilation.functions import floats, integers, starts
from environment.physics.native.compilation.skeleton import Assembly
from environment.physics.native.tables import Contacts, Muscles, Springs

# Thelen's tendon: the exponential toe ends at a third of the maximum isometric force, and its shape factor is 3.
_TOE_FORCE, _TOE_SHAPE = 0.33, 3.0


def compile_muscles(model: BodyModel) -> Muscles:
    """Constants that the equations need, muscle by muscle."""
    muscles = model.muscles
    heights = [one.optimal_fiber_length_m * math.sin(one.pennation_angle_rad) for one in muscles]
    toes = [_toe_strain(one) for one in muscles]
    return Muscles(
        max_isometric_force_n=floats([one.max_isometric_force_n for one in muscles]),
        optimal_fiber_length_m=floats([one.optimal_fiber_length_m for one in muscles]),
        tendon_slack_length_m=floats([one.tendon_slack_length_m for one in muscles]),
        fiber_height_m=floats(heights),
        minimum_fiber_length_m=floats(
            [height / math.sin(one.maximum_pennation_angle_rad) for height, one in zip(heights, muscles, strict=True)]
        ),
        cos_maximum_pennation=floats([math.cos(one.maximum_pennation_angle_rad) for one in muscles]),
        max_velocity_m_per_s=floats([m.max_contraction_velocity_per_s * m.optimal_fiber_length_m for m in muscles]),
        activation_time_s=floats([one.activation_time_s for one in muscles]),
        deactivation_time_s=floats([one.deactivation_time_s for one in muscles]),
        minimum_activation=floats([one.minimum_activation for one in muscles]),
        toe_strain=floats(toes),
        tendon_slope=floats([0.67 / (one.fmax_tendon_strain - toe) for toe, one in zip(toes, muscles, strict=True)]),
        active_width=floats([one.kshape_active for one in muscles]),
        passive_rate=floats([one.kshape_passive / one.fmax_muscle_strain for one in muscles]),
        passive_scale=floats([1.0 / (math.exp(one.kshape_passive) - 1.0) for one in muscles]),
        af=floats([one.af for one in muscles]),
        flen=floats([one.flen for one in muscles]),
        threshold=floats([one.fv_linear_extrapolation_threshold for one in muscles]),
        default_activation=floats([one.default_activation for one in muscles]),
    )


def _toe_strain(muscle: Thelen2003Muscle) -> float:
    """Where the tendon's exponential toe meets its straight line."""
    e = math.exp(_TOE_SHAPE)
    return 99.0 * muscle.fmax_tendon_strain * e / (166.0 * e - 67.0)


def compile_contacts(model: BodyModel, assembly: Assembly) -> Contacts:
    """Spheres on the floor."""
    forces = [force for force in model.forces if isinstance(force, HuntCrossleyForce)]
    spheres = [[one for one in force.geometry if isinstance(one, Sphere)] for force in forces]
    flat = [sphere for one in spheres for sphere in one]
    return Contacts(
        sphere_start=starts([len(one) for one in spheres]),
        sphere_link=integers([assembly.link_of[sphere.body] for sphere in flat]),
        sphere_center_m=floats([assembly.in_link[sphere.body].point(sphere.center_m) for sphere in flat], 3),
        sphere_radius_m=floats([sphere.radius_m for sphere in flat]),
        floor_height_m=floats([_floor(force).height_m for force in forces]),
        # Two equal materials in series, each with the 2/3 power of its modulus.
        stiffness=floats([force.stiffness ** (2.0 / 3.0) / 2.0 for force in forces]),
        dissipation_s_per_m=floats([force.dissipation_s_per_m for force in forces]),
        static_friction=floats([force.static_friction for force in forces]),
        dynamic_friction=floats([force.dynamic_friction for force in forces]),
        viscous_friction=floats([force.viscous_friction for force in forces]),
        transition_velocity_m_per_s=floats([force.transition_velocity_m_per_s for force in forces]),
    )


def _floor(force: HuntCrossleyForce) -> HalfSpace:
    return next(one for one in force.geometry if isinstance(one, HalfSpace))


def compile_springs(model: BodyModel, assembly: Assembly) -> Springs:
    """Limits and springs of coordinates."""
    limits = [force for force in model.forces if isinstance(force, CoordinateLimitForce)]
    springs = [force for force in model.forces if isinstance(force, SpringGeneralizedForce)]
    return Springs(
        limit_dof=integers([assembly.dof_of.get(one.coordinate, -1) for one in limits]),
        limit_locked_value=floats([assembly.locked.get(one.coordinate, 0.0) for one in limits]),
        upper_limit=floats([one.upper_limit for one in limits]),
        upper_stiffness=floats([one.upper_stiffness for one in limits]),
        lower_limit=floats([one.lower_limit for one in limits]),
        lower_stiffness=floats([one.lower_stiffness for one in limits]),
        damping=floats([one.damping for one in limits]),
        transition=floats([one.transition for one in limits]),
        spring_dof=integers([assembly.dof_of.get(one.coordinate, -1) for one in springs]),
        spring_locked_value=floats([assembly.locked.get(one.coordinate, 0.0) for one in springs]),
        stiffness=floats([one.stiffness for one in springs]),
        rest=floats([one.rest for one in springs]),
        viscosity=floats([one.viscosity for one in springs]),
    )
