"""Where a model's equations bend and jump, and what its contacts consist of, straight from its `.osim` file.

Not through the project's own reader of model files: a mistake there must not hide itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

CONDITION_MARGIN_RAD = 1e-5
"""OpenSim keeps a conditional path point this far beyond its range."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Of a CoordinateLimitForce, rad."""

    coordinate: str
    lower: float
    upper: float
    transition: float


class ModelFile:
    """Only what concerns the given coordinates, the unlocked ones."""

    def __init__(self, path: Path, coordinates: tuple[str, ...]) -> None:
        # OpenSim writes element names with "::", which is no XML.
        self._root = ElementTree.fromstring(path.read_bytes().replace(b"::", b"."))
        self._coordinates = coordinates

    def limits(self) -> list[Limit]:
        found = [_limit(force) for force in self._root.iter("CoordinateLimitForce")]
        return [limit for limit in found if limit.coordinate in self._coordinates]

    def ranges(self) -> dict[str, tuple[float, float]]:
        """rad or m"""
        texts = {one.get("name", ""): one.findtext("range", "").split() for one in self._root.iter("Coordinate")}
        return {name: (float(texts[name][0]), float(texts[name][1])) for name in self._coordinates}

    def knots(self) -> dict[str, list[float]]:
        """Of every spline, for each coordinate that one depends on."""
        found: dict[str, set[float]] = {}
        for coordinate, knots in self._splines():
            found.setdefault(coordinate, set()).update(knots)
        return {coordinate: sorted(knots) for coordinate, knots in found.items()}

    def jumps(self) -> dict[str, list[float]]:
        """Where something jumps with a coordinate: conditional points come and go, splines lose their curvature."""
        found: dict[str, set[float]] = {}
        for point in self._root.iter("ConditionalPathPoint"):
            low, high = (float(text) for text in point.findtext("range", "").split())
            bounds = (low - CONDITION_MARGIN_RAD, high + CONDITION_MARGIN_RAD)
            found.setdefault(point.findtext("coordinate", "").strip(), set()).update(bounds)
        for coordinate, knots in self._splines():
            found.setdefault(coordinate, set()).update((knots[0], knots[-1]))
        return {coordinate: sorted(places) for coordinate, places in found.items() if coordinate in self._coordinates}

    def feet(self) -> dict[str, list[str]]:
        """Names of the geometry that each contact force takes."""
        forces = self._root.iter("HuntCrossleyForce")
        return {force.get("name", ""): force.findtext(".//geometry", "").split() for force in forces}

    def contact_parameter(self, name: str) -> float:
        """`stiffness` or `dissipation`, alike for all contacts of these files; 0 without contacts."""
        return float(self._root.findtext(f".//HuntCrossleyForce//{name}", "0"))

    def _splines(self) -> list[tuple[str, list[float]]]:
        axes = ((axis.findtext("coordinates", "").strip(), axis) for axis in self._root.iter("TransformAxis"))
        found = [(coordinate, one) for coordinate, axis in axes for one in _knots(axis)]
        for point in self._root.iter("MovingPathPoint"):
            for name in "xyz":
                location = point.find(f"{name}_location")
                if location is not None:
                    found += [(point.findtext(f"{name}_coordinate", "").strip(), one) for one in _knots(location)]
        return [(coordinate, one) for coordinate, one in found if coordinate in self._coordinates]


def _limit(force: ElementTree.Element) -> Limit:
    lower, upper, transition = (
        float(np.deg2rad(float(force.findtext(name, "nan")))) for name in ("lower_limit", "upper_limit", "transition")
    )
    return Limit(force.findtext("coordinate", "").strip(), lower, upper, transition)


def _knots(element: ElementTree.Element) -> list[list[float]]:
    return [[float(text) for text in spline.findtext("x", "").split()] for spline in element.iter("SimmSpline")]
