"""A figure in a browser's 3D scene, moved from moment to moment."""

from __future__ import annotations

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from environment.rendering.arrows import flat_arrow
from environment.rendering.colours import FLOOR, TARGET, VELOCITY, Colour, linear
from environment.rendering.figure import Figure
from environment.rendering.floor import squares, squares_under
from environment.rendering.ropes import Ropes

Array = NDArray[np.float64]

_ROOT = "/walk"
_EYE_M, _LOOKS_AT_M, _ANGLE_RAD = np.array([1.9, 1.3, 3.6]), np.array([0.25, 0.8, 0.0]), 0.62
_FOG_M = (8.0, 17.0)
_ARROW_AHEAD_M, _ARROW_M_PER_SPEED, _ARROW_ABOVE_M = 0.3, 0.4, 0.01
_SHORTEST_M = 1e-3


class Scene:
    """Everything hangs below one frame. To follow the walker, that frame is moved back, so the camera is the user's."""

    def __init__(self, server: viser.ViserServer, figure: Figure) -> None:
        self._figure, self._scene = figure, server.scene
        self._turns = transforms.SO3.from_matrix(figure.poses.rotation).wxyz
        self._scene.set_up_direction("+y")
        self._scene.configure_fog(*_FOG_M)
        server.initial_camera.position, server.initial_camera.look_at = _EYE_M, _LOOKS_AT_M
        server.initial_camera.fov = _ANGLE_RAD
        self._root = self._scene.add_frame(_ROOT, show_axes=False)
        self.bodies = [self._scene.add_frame(f"{_ROOT}/{name}", show_axes=False) for name in figure.bodies]
        """(B,) frames, in the order of the figure's bodies."""
        self._floor = self._add_floor()
        for bone in figure.bones:
            name = f"{_ROOT}/{bone.body}/{bone.name}"
            self._scene.add_mesh_simple(name, bone.vertex_m, bone.triangle, color=bone.colour, side="double")
        self.muscles = Ropes(self._scene, f"{_ROOT}/muscles", figure)
        self._arrows = [self._add_arrow("target", TARGET, 0.12), self._add_arrow("velocity", VELOCITY, 0.05)]

    def move_to(self, step: int, *, follow: bool) -> None:
        """Shows the moment after so many control steps."""
        figure = self._figure
        for number, frame in enumerate(self.bodies):
            frame.position = figure.poses.position_m[step, number]
            frame.wxyz = self._turns[step, number]
        self.muscles.move_to(step)
        self._aim(step)
        x, z = figure.camera_m[step]
        self._root.position = (-x, 0.0, -z) if follow else (0.0, 0.0, 0.0)
        under_x, under_z = squares_under(figure.camera_m[step])
        self._floor.position = (under_x, 0.0, under_z)

    def _add_floor(self) -> viser.FrameHandle:
        floor = self._scene.add_frame(f"{_ROOT}/floor", show_axes=False)
        whole = squares(self._figure.ground_m)
        corners = np.asarray(whole.regular_faces)
        odd = np.arange(len(corners)) // int(np.sqrt(len(corners))) + np.arange(len(corners))
        for number, colour in enumerate(FLOOR):
            some = corners[odd % 2 == number]
            triangles = np.concatenate((some[:, [0, 1, 2]], some[:, [0, 2, 3]]))
            name = f"{_ROOT}/floor/{number}"
            self._scene.add_mesh_simple(
                name, np.asarray(whole.points), triangles, color=linear(colour), side="double", cast_shadow=False
            )
        return floor

    def _add_arrow(self, name: str, colour: Colour, width_m: float) -> viser.MeshHandle:
        """A flat one along x of length 1."""
        points, triangles = flat_arrow(width_m)
        return self._scene.add_mesh_simple(f"{_ROOT}/{name}", points, triangles, color=colour, side="double")

    def _aim(self, step: int) -> None:
        """Lays the arrows of what is asked and what is done on the floor before the walker."""
        motion = self._figure.motion
        target, done = motion.target_m_per_s[step, ::2], motion.velocity_m_per_s[step, ::2]
        ahead = _ARROW_AHEAD_M * target / max(float(np.hypot(*target)), 1e-9)
        x, z = motion.pelvis_m[step, ::2] + ahead
        for number, (arrow, (along, aside)) in enumerate(zip(self._arrows, (target, done), strict=True), 1):
            arrow.position = (x, self._figure.ground_m + number * _ARROW_ABOVE_M, z)
            arrow.wxyz = transforms.SO3.from_y_radians(-np.arctan2(aside, along)).wxyz
            arrow.scale = (max(_ARROW_M_PER_SPEED * float(np.hypot(along, aside)), _SHORTEST_M), 1.0, 1.0)
