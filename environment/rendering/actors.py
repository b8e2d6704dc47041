"""The things in a picture: each function adds one to a plotter, and returns what is moved later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvista
from numpy.typing import NDArray
from vtkmodules.vtkRenderingCore import vtkPolyDataMapper

from environment.rendering import floor
from environment.rendering.arrows import flat_arrow
from environment.rendering.bones import Bone
from environment.rendering.colours import PAINT, SHADOW, Colour
from environment.rendering.figure import Figure
from environment.rendering.tubes import COLOUR, Tubes

_PAINT_ASIDE_M = -0.6
"""To the left of where the pelvis started: behind the walker, as the camera sees it."""
_CREASE_DEG = 60.0
"""Edges sharper than this stay edges."""
_LIGHTS = (((-2.0, 5.0, 3.0), 0.85), ((3.0, 2.0, 4.0), 0.35), ((0.0, 3.0, -5.0), 0.25))
"""Where each stands, and how bright it is."""


def unit(colour: Colour) -> tuple[float, float, float]:
    """The same with 1 for 255."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def add_lights(plotter: Any) -> list[Any]:
    """A main light from above, one from the camera's side and one from behind; they move with the camera's target."""
    lights = [pyvista.Light(position=place, intensity=brightness) for place, brightness in _LIGHTS]
    for light in lights:
        light.positional = False
        plotter.add_light(light)
    return lights


def add_floor(plotter: Any, figure: Figure) -> Any:
    """The squares, to be moved under the walker, and the metres, which stay."""
    places = figure.motion.pelvis_m
    first, last = int(np.floor(places[:, 0].min())) - 2, int(np.ceil(places[:, 0].max())) + 3
    aside = float(places[0, 2]) + _PAINT_ASIDE_M
    painted = floor.metres(first, last, aside, figure.ground_m)
    plotter.add_mesh(painted, color=unit(PAINT), lighting=False)
    return plotter.add_mesh(floor.squares(figure.ground_m), scalars="colour", rgb=True, lighting=False)


def add_bone(plotter: Any, bone: Bone) -> tuple[Any, Any]:
    """A bone and its shadow."""
    faces = np.insert(bone.triangle, 0, 3, axis=1)
    mesh = pyvista.PolyData(bone.vertex_m, faces.ravel())
    smooth = mesh.compute_normals(cell_normals=False, split_vertices=True, feature_angle=_CREASE_DEG)
    look = {"smooth_shading": True, "specular": 0.25, "specular_power": 20.0, "ambient": 0.22}
    shown = plotter.add_mesh(smooth, color=unit(bone.colour), **look)
    return shown, plotter.add_mesh(mesh, color=unit(SHADOW), lighting=False)


def add_muscles(plotter: Any, tubes: Tubes, shadow: NDArray[np.float64]) -> None:
    """The muscles and their shadow; both follow `tubes`."""
    coloured = vtkPolyDataMapper()
    coloured.SetInputConnection(tubes.output.GetOutputPort())
    coloured.SetScalarModeToUsePointFieldData()
    coloured.SelectColorArray(COLOUR)
    coloured.SetColorModeToDirectScalars()
    muscles = pyvista.Actor(mapper=None)
    muscles.SetMapper(coloured)
    muscles.prop.specular, muscles.prop.ambient = 0.3, 0.25
    plain = vtkPolyDataMapper()
    plain.SetInputConnection(tubes.output.GetOutputPort())
    plain.ScalarVisibilityOff()
    dark = pyvista.Actor(mapper=None)
    dark.SetMapper(plain)
    dark.prop.color, dark.prop.lighting = unit(SHADOW), False
    dark.user_matrix = shadow
    for actor in (muscles, dark):
        plotter.add_actor(actor, reset_camera=False)


def add_arrow(plotter: Any, colour: Colour, width_m: float) -> Any:
    """A flat arrow along x of length 1, to be stretched, turned and moved."""
    points, triangles = flat_arrow(width_m)
    faces = np.insert(triangles, 0, 3, axis=1).ravel()
    return plotter.add_mesh(pyvista.PolyData(points, faces), color=unit(colour), lighting=False)


def aim(arrow: Any, start_m: NDArray[np.float64], along: NDArray[np.float64]) -> None:
    """Lays an arrow on the floor from `start_m` (3,) as far as `along` (x, z) reaches; none where that is nothing."""
    length = float(np.hypot(*along))
    arrow.visibility = length > 1e-3
    if arrow.visibility:
        x, z = along / length
        matrix = np.eye(4)
        # Its own x axis is stretched; the others turn with it.
        matrix[:3, 0] = x * length, 0.0, z * length
        matrix[:3, 2] = -z, 0.0, x
        matrix[:3, 3] = start_m
        arrow.user_matrix = matrix
