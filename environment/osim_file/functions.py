"""Functions of one coordinate."""

from __future__ import annotations

from itertools import pairwise

from environment.body_model import Constant, Function, Linear, SimmSpline
from environment.osim_file.elements import Element

FUNCTIONS = ("Constant", "LinearFunction", "SimmSpline", "MultiplierFunction")


def read_function(element: Element) -> Function:
    """One of the supported functions; a multiple of one is that function with other numbers."""
    if element.tag == "Constant":
        element.check({"value"})
        return Constant(element.number("value", 0.0))
    if element.tag == "LinearFunction":
        element.check({"coefficients"})
        slope, intercept = element.numbers("coefficients", 2)
        return Linear(slope, intercept)
    if element.tag == "SimmSpline":
        return _read_spline(element)
    if element.tag == "MultiplierFunction":
        element.check({"function", "scale"}, new=FUNCTIONS)
        return _scaled(read_function(function_in(element)), element.number("scale", 1.0))
    raise element.unsupported(f"{element.tag} is not supported (supported: {', '.join(FUNCTIONS)})")


def function_in(element: Element) -> Element:
    """The function that an element holds: in a child `function`, or as OpenSim 4 writes it, itself."""
    wrapped = element.child("function")
    found = wrapped.children if wrapped else [child for child in element.children if child.tag in FUNCTIONS]
    if len(found) != 1:
        raise element.damaged(f"has {len(found)} functions, one is needed")
    return found[0]


def _read_spline(element: Element) -> SimmSpline:
    element.check({"x", "y"})
    x, y = element.numbers("x"), element.numbers("y")
    if len(x) != len(y) or len(x) < 2:
        raise element.damaged(f"has {len(x)} x and {len(y)} y, two at least and as many of one as of the other needed")
    if any(right <= left for left, right in pairwise(x)):
        raise element.require("x").damaged("the numbers must increase")
    return SimmSpline(x, y)


def _scaled(function: Function, scale: float) -> Function:
    """`scale` times the function; a spline is linear in its knots' values."""
    if isinstance(function, Constant):
        return Constant(scale * function.value)
    if isinstance(function, Linear):
        return Linear(scale * function.slope, scale * function.intercept)
    return SimmSpline(function.x, tuple(scale * value for value in function.y))
