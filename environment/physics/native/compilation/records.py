"""The order and the names of the state vector: osim-rl's, as `opensim_reader.py` has them."""

from __future__ import annotations

from environment.body_model import (
    BodyModel,
    CoordinateLimitForce,
    Force,
    HuntCrossleyForce,
    Sphere,
    Thelen2003Muscle,
)
from environment.physics.native.compilation.functions import floats, integers, starts
from environment.physics.native.compilation.skeleton import Assembly, combined
from environment.physics.native.tables import Records


def compile_records(model: BodyModel, assembly: Assembly) -> Records:
    """Where each number of the state vector is found."""
    kinds = [_kind(force) for force in model.forces]
    contacts = [force for force in model.forces if isinstance(force, HuntCrossleyForce)]
    spheres = [one for force in contacts for one in force.geometry if isinstance(one, Sphere)]
    numbers = iter(range(len(spheres)))
    body_numbers = {body.name: i for i, body in enumerate(model.bodies)}
    frames = [assembly.in_link[body.name] for body in model.bodies]
    fixed = [body for body in model.bodies if assembly.link_of[body.name] < 0]
    fixed_mass_kg, fixed_mass_center_m, _ = combined(fixed, assembly.in_link)
    return Records(
        coordinate_dof=integers([assembly.dof_of.get(one.name, -1) for one in model.coordinates]),
        coordinate_locked_value=floats([assembly.locked.get(one.name, 0.0) for one in model.coordinates]),
        body_link=integers([assembly.link_of[body.name] for body in model.bodies]),
        body_rotation=floats([frame.rotation.ravel() for frame in frames], 9),
        body_translation=floats([frame.translation for frame in frames], 3),
        force_kind=integers(kinds),
        force_number=integers([kinds[:i].count(kind) for i, kind in enumerate(kinds)]),
        geometry_start=starts([len(force.geometry) for force in contacts]),
        geometry_sphere=integers(
            [next(numbers) if isinstance(one, Sphere) else -1 for force in contacts for one in force.geometry]
        ),
        sphere_body=integers([body_numbers[sphere.body] for sphere in spheres]),
        fixed_mass_kg=floats([fixed_mass_kg]),
        fixed_mass_center_m=floats([fixed_mass_center_m], 3),
    )


def _kind(force: Force) -> int:
    if isinstance(force, Thelen2003Muscle):
        return 0
    if isinstance(force, HuntCrossleyForce):
        return 1
    return 2 if isinstance(force, CoordinateLimitForce) else 3
