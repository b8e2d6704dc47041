"""The floor of a picture: squares of half a metre that fade into the distance, metres painted on, shadows."""

from __future__ import annotations

import numpy as np
import pyvista
from numpy.typing import NDArray

from environment.rendering.colours import BACKGROUND, FLOOR

Array = NDArray[np.float64]

_SQUARE_M = 0.5
_REACH = 36
"""Squares in each direction."""
_CLEAR_M, _FADED_M = 4.0, 15.0
"""How far from the middle the floor begins to fade, and is gone."""
_LIGHT = np.array([0.45, -1.0, -0.35])
"""Which way the light falls."""
_DIGIT_M = 0.1
PAINTED_ABOVE_M, SHADOW_ABOVE_M = 0.002, 0.004
"""Over the floor, so that the one does not flicker through the other."""


def squares(height_m: float) -> pyvista.PolyData:
    """The floor about the origin, with the colour of each square; it looks the same two squares further on."""
    ticks = np.arange(-_REACH, _REACH + 1)
    x, z = np.meshgrid(ticks * _SQUARE_M, ticks * _SQUARE_M, indexing="ij")
    points = np.stack([x.ravel(), np.full(x.size, height_m), z.ravel()], axis=1)
    side = len(ticks)
    i, j = (index.ravel() for index in np.meshgrid(np.arange(side - 1), np.arange(side - 1), indexing="ij"))
    corner = i * side + j
    faces = np.stack([np.full(len(corner), 4), corner, corner + 1, corner + side + 1, corner + side], axis=1)
    middle = np.hypot(*((np.stack([i, j]) - _REACH + 0.5) * _SQUARE_M))
    faded = np.clip((middle - _CLEAR_M) / (_FADED_M - _CLEAR_M), 0.0, 1.0)[:, None]
    plain = np.array(FLOOR, np.float64)[(i + j) % 2]
    floor = pyvista.PolyData(points, faces.ravel())
    floor.cell_data["colour"] = np.rint(plain + faded * (np.array(BACKGROUND) - plain)).astype(np.uint8)
    return floor


def squares_under(place_m: Array) -> tuple[float, float]:
    """(x, z) to move the floor to, so that it reaches far about `place_m` (x, z) and its pattern stays where it was."""
    period = 2 * _SQUARE_M
    x, z = np.round(place_m / period) * period
    return float(x), float(z)


def metres(first: int, last: int, aside_m: float, height_m: float) -> pyvista.PolyData:
    """Numbers painted on the floor, one a metre, beside the way at z = `aside_m`, with a line across each."""
    parts = []
    for metre in range(first, last + 1):
        text = pyvista.Text3D(f"{metre} m", depth=0.0, height=_DIGIT_M)
        middle = np.array(text.center)
        # Laid down so that it is read from the walker's right.
        parts.append(text.translate(-middle).rotate_x(-90.0).translate((metre, 0.0, aside_m + 0.15)))
        parts.append(pyvista.Plane(center=(metre, 0.0, aside_m), direction=(0.0, 1.0, 0.0), i_size=0.14, j_size=0.015))
    painted: pyvista.PolyData = pyvista.merge(parts).extract_surface(algorithm=None)
    painted.translate((0.0, height_m + PAINTED_ABOVE_M, 0.0), inplace=True)
    return painted


def shadow_on(height_m: float) -> Array:
    """(4, 4) that flattens everything along the light onto the floor."""
    level = height_m + SHADOW_ABOVE_M
    slope = _LIGHT / _LIGHT[1]
    matrix = np.eye(4)
    matrix[:3, 1] -= slope
    matrix[:3, 3] = slope * level
    return matrix
