"""Muscles."""

from __future__ import annotations

import math

from environment.body_model import Thelen2003Muscle
from environment.osim_file.coordinates import Coordinates
from environment.osim_file.elements import Element
from environment.osim_file.frames import Frames
from environment.osim_file.paths import read_path

_PASSED_OVER = {
    "min_control",  # bounds for optimisers: OpenSim applies an excitation as it is
    "max_control",
    "optimal_force",  # of no use to a muscle
    "default_fiber_length",  # where the search for the equilibrium of a start begins
}
_NUMBERS = {
    "max_isometric_force",
    "optimal_fiber_length",
    "tendon_slack_length",
    "pennation_angle_at_optimal",
    "max_contraction_velocity",
    "activation_time_constant",
    "deactivation_time_constant",
    "FmaxTendonStrain",
    "FmaxMuscleStrain",
    "KshapeActive",
    "KshapePassive",
    "Af",
    "Flen",
    "fv_linear_extrap_threshold",
    "maximum_pennation_angle",
    "minimum_activation",
    "default_activation",
}
_OPTIONS = {"ignore_tendon_compliance", "ignore_activation_dynamics"}


def read_muscle(element: Element, frames: Frames, coordinates: Coordinates) -> Thelen2003Muscle:
    """The numbers' defaults and bounds are OpenSim 4.6's, but for a force, a tendon or a speed below zero, and an
    activation outside 0 to 1, which it takes."""
    element.check({"GeometryPath"} | _NUMBERS | _OPTIONS | _PASSED_OVER, old={"isDisabled"}, new={"appliesForce"})
    for option in sorted(_OPTIONS):
        if element.flag(option, False):
            raise element.require(option).unsupported("is true (supported: false)")
    number = element.number
    for tag in sorted(_PASSED_OVER):
        number(tag, 0.0)
    muscle = Thelen2003Muscle(
        name=element.name,
        path=read_path(element.require("GeometryPath"), frames, coordinates),
        max_isometric_force_n=number("max_isometric_force", 1000.0, least=0.0),
        optimal_fiber_length_m=number("optimal_fiber_length", 0.1, above=0.0),
        tendon_slack_length_m=number("tendon_slack_length", 0.2, above=0.0),
        pennation_angle_rad=number("pennation_angle_at_optimal", 0.0, least=0.0),
        max_contraction_velocity_per_s=number("max_contraction_velocity", 10.0, above=0.0),
        activation_time_s=number("activation_time_constant", 0.015, above=0.0),
        deactivation_time_s=number("deactivation_time_constant", 0.05, above=0.0),
        fmax_tendon_strain=number("FmaxTendonStrain", 0.04, above=0.0),
        fmax_muscle_strain=number("FmaxMuscleStrain", 0.6, above=0.0),
        kshape_active=number("KshapeActive", 0.45, above=0.0),
        kshape_passive=number("KshapePassive", 5.0, above=0.0),
        af=number("Af", 0.25, above=0.0),
        flen=number("Flen", 1.4, above=1.0),
        fv_linear_extrapolation_threshold=number("fv_linear_extrap_threshold", 0.95),
        maximum_pennation_angle_rad=number("maximum_pennation_angle", math.acos(0.1), above=0.0),
        minimum_activation=number("minimum_activation", 0.01, least=0.01),
        default_activation=number("default_activation", 0.05, least=0.0),
    )
    _check_pairs(element, muscle)
    return muscle


def _check_pairs(element: Element, muscle: Thelen2003Muscle) -> None:
    """Bounds that one number sets for another."""
    if muscle.fv_linear_extrapolation_threshold <= 1.0 / muscle.flen:
        threshold = muscle.fv_linear_extrapolation_threshold
        raise element.damaged(f"fv_linear_extrap_threshold is {threshold:g}, more than 1 / Flen is needed")
    if max(muscle.minimum_activation, muscle.default_activation) > 1.0:
        raise element.damaged("minimum_activation and default_activation may be 1 at most")
    if not muscle.pennation_angle_rad <= muscle.maximum_pennation_angle_rad < math.pi / 2:
        pennation, maximum = muscle.pennation_angle_rad, muscle.maximum_pennation_angle_rad
        raise element.damaged(
            f"pennation_angle_at_optimal is {pennation:g}, maximum_pennation_angle {maximum:g}; the first may not "
            "exceed the second, which must be below a right angle"
        )
