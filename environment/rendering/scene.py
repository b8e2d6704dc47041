"""A figure in a browser's 3D scene, moved from moment to moment."""

from __future__ import annotations

import numpy as np
import viser
from numpy.typing import NDArray
from viser import transforms

from environment.rendering.colours import FLOOR, TARGET, VELOCITY, activation_colours, linear
from environment.rendering.figure import Figure
from environment.rendering.floor import squares, squares_under

Array = NDArray[np.float64]

_ROOT = "/walk"
_MUSCLE_M = 0.016
_EYE_M, _LOOKS_AT_M, _ANGLE_RAD = np.array([1.9, 1.3, 3.6]), np.array([0.25, 0.8, 0.0]), 0.62
_FOG_M = (8.0, 17.0)
_ARROW_AHEAD_M, _ARROW_M_PER_SPEED, _ARROW_ABOVE_M = 0.3, 0.4, 0.03


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
        self.muscles = self._scene.add_line_segments(
            f"{_ROOT}/muscles", *self._segments(0), thickness=_MUSCLE_M, thickness_units="world"
        )
        """Segments of all muscles' paths, coloured by activation."""
        self._arrows = self._scene.add_arrows(
            f"{_ROOT}/velocities",
            self._velocities(0),
            linear(np.array([TARGET, VELOCITY], np.uint8)),
            shaft_radius=0.014,
            head_radius=0.035,
        )

    def move_to(self, step: int, *, follow: bool) -> None:
        """Shows the moment after so many control steps."""
        figure = self._figure
        for number, frame in enumerate(self.bodies):
            frame.position = figure.poses.position_m[step, number]
            frame.wxyz = self._turns[step, number]
        self.muscles.points, self.muscles.colors = self._segments(step)
        self._arrows.points = self._velocities(step)
        x, z = figure.camera_m[step]
        self._root.position = (-x, 0.0, -z) if follow else (0.0, 0.0, 0.0)
        under_x, under_z = squares_under(figure.camera_m[step])
        self._floor.position = (under_x, 0.0, under_z)

    def show_muscles(self, shown: bool) -> None:
        self.muscles.visible = shown

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

    def _segments(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """(N, 2, 3) ends, and the same shape of colours."""
        figure = self._figure
        # Lines are drawn by their light, meshes by their colour.
        colours = linear(activation_colours(figure.activation[step]))
        ends, painted = [], []
        for muscle in range(len(figure.muscles)):
            line = figure.paths.line(step, muscle)
            ends.append(np.stack((line[:-1], line[1:]), axis=1))
            painted.append(np.broadcast_to(colours[muscle], (len(line) - 1, 2, 3)))
        return np.concatenate(ends).astype(np.float32), np.concatenate(painted)

    def _velocities(self, step: int) -> NDArray[np.float32]:
        """(2, 2, 3) start and end of the arrows of what is asked and what is done, on the floor before the walker."""
        motion = self._figure.motion
        target, done = (
            velocity[step] * (1.0, 0.0, 1.0) for velocity in (motion.target_m_per_s, motion.velocity_m_per_s)
        )
        ahead = target / max(float(np.linalg.norm(target)), 1e-9)
        start = motion.pelvis_m[step] * (1.0, 0.0, 1.0) + _ARROW_AHEAD_M * ahead
        start[1] = self._figure.ground_m + _ARROW_ABOVE_M
        above = np.array([0.0, _ARROW_ABOVE_M, 0.0])
        pairs = [
            (start, start + _ARROW_M_PER_SPEED * target),
            (start + above, start + above + _ARROW_M_PER_SPEED * done),
        ]
        return np.array(pairs, np.float32)
