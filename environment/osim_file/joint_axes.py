"""The six axes of a joint: three to turn about, three to move along."""

from __future__ import annotations

import math
from itertools import combinations

from environment.body_model import Axis, Constant, Linear, Vector3
from environment.osim_file.elements import Element
from environment.osim_file.functions import FUNCTIONS, function_in, read_function

_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_AXES = ("rotation1", "rotation2", "rotation3", "translation1", "translation2", "translation3")
_FIXED: dict[str, tuple[int, ...]] = {"PinJoint": (0,), "PlanarJoint": (0, 3, 4), "WeldJoint": ()}
"""Which axes of z, x, y (to turn about), x, y, z (to move along) the coordinates of a joint drive, one each."""
_MIN_SINE = 1e-5
"""Of the angle between axes as they are in the file; OpenSim's own bound."""


def fixed_axes(element: Element, coordinates: list[str]) -> tuple[Axis, ...]:
    """The axes of a kind of joint that has always the same."""
    driven = _FIXED[element.tag]
    if len(coordinates) != len(driven):
        raise element.damaged(f"has {len(coordinates)} coordinates, a {element.tag} has {len(driven)}")
    axes = [Axis(direction, None, Constant(0.0)) for direction in (_Z, _X, _Y, _X, _Y, _Z)]
    for name, index in zip(coordinates, driven, strict=True):
        axes[index] = Axis(axes[index].direction, name, Linear(1.0, 0.0))
    return tuple(axes)


def custom_axes(transform: Element, coordinates: list[str]) -> tuple[Axis, ...]:
    """The axes in a `SpatialTransform`; every coordinate must drive one of them."""
    elements = transform.each({"TransformAxis"})
    names = tuple(element.name for element in elements)
    if names != _AXES:
        raise transform.damaged(f"has the axes {', '.join(names) or 'none'}; {', '.join(_AXES)} are needed")
    axes = tuple(_read_axis(element, coordinates) for element in elements)
    for one, other in (pair for start in (0, 3) for pair in combinations(range(start, start + 3), 2)):
        if _sine(axes[one].direction, axes[other].direction) < _MIN_SINE:
            raise elements[other].damaged(f"has no direction of its own beside {names[one]}")
    idle = set(coordinates) - {axis.coordinate for axis in axes}
    if idle:
        raise transform.damaged(f"no axis depends on {', '.join(sorted(idle))}")
    return axes


def rotational_coordinates(element: Element, axes: tuple[Axis, ...]) -> set[str]:
    """The coordinates that OpenSim calls rotational: the last axis that simply follows them is one to turn about.

    Others that turn the joint it calls coupled, and converts no degrees for them.
    """
    transform = element.child("SpatialTransform")
    functions = [function_in(axis).tag for axis in transform.children] if transform else ["LinearFunction"] * 6
    found: dict[str, bool] = {}
    for index, (axis, function) in enumerate(zip(axes, functions, strict=True)):
        follows = function == "LinearFunction" and isinstance(axis.function, Linear) and abs(axis.function.slope) == 1.0
        if axis.coordinate is not None and follows:
            found[axis.coordinate] = index < 3
    return {name for name, rotational in found.items() if rotational}


def _read_axis(element: Element, coordinates: list[str]) -> Axis:
    element.check({"coordinates", "axis", "function"}, new=FUNCTIONS)
    names = element.words("coordinates")
    for name in names:
        if name not in coordinates:
            raise element.require("coordinates").damaged(f"the joint has no coordinate {name!r}")
    if len(names) > 1:
        raise element.require("coordinates").unsupported("a function of several coordinates (supported: of one)")
    source = function_in(element)
    function = read_function(source)
    if not isinstance(function, Constant) and not names:
        raise element.damaged(f"has a {source.tag} of no coordinate")
    return Axis(element.vector("axis"), None if isinstance(function, Constant) else names[0], function)


def _sine(one: Vector3, other: Vector3) -> float:
    (a, b, c), (x, y, z) = one, other
    return math.hypot(b * z - c * y, c * x - a * z, a * y - b * x)
