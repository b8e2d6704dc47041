"""Pictures of a figure, drawn off-screen: no display is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyvista
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

from environment.rendering import actors, floor
from environment.rendering.captions import Captions
from environment.rendering.colours import BACKGROUND, TARGET, VELOCITY
from environment.rendering.figure import Figure
from environment.rendering.graphics import prepare_graphics
from environment.rendering.tubes import Tubes

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

SIZE = (1280, 720)
"""Width and height in pixels."""
_FROM_M = np.array([1.2, 0.45, 3.1])
"""Where the camera is as seen from what it looks at: on the right, the prosthesis's side, and a little ahead."""
_LOOKS_AT_M = 0.82
"""Over the floor."""
_ANGLE_DEG = 32.0
_ARROW_AHEAD_M, _ARROW_M_PER_SPEED = 0.3, 0.4
_TARGET_ABOVE_M, _VELOCITY_ABOVE_M = 0.006, 0.009
"""Over the floor: over its paint and the shadows, one over the other."""


class Stage:
    """Draws one figure at any of its moments. One window, for one thread."""

    def __init__(self, figure: Figure, size: tuple[int, int] = SIZE) -> None:
        """Raises: NoGraphics when this machine can not draw."""
        self._figure = figure
        prepare_graphics()
        plotter: Any = pyvista.Plotter(off_screen=True, window_size=list(size), lighting="none")
        self._plotter = plotter
        plotter.renderer.SetBackground(actors.unit(BACKGROUND))
        actors.add_lights(plotter)
        self._floor = actors.add_floor(plotter, figure)
        self._shadow = floor.shadow_on(figure.ground_m)
        self._bones = [(bone.body, *actors.add_bone(plotter, bone)) for bone in figure.bones]
        self._tubes = Tubes(figure)
        actors.add_muscles(plotter, self._tubes, self._shadow)
        self._target = actors.add_arrow(plotter, TARGET, 0.12)
        self._velocity = actors.add_arrow(plotter, VELOCITY, 0.05)
        self._captions = Captions(plotter, figure.motion.title)
        self._camera = plotter.camera
        self._camera.up, self._camera.view_angle = (0.0, 1.0, 0.0), _ANGLE_DEG
        # Pyvista asks for four times the pixels instead where there is no display, which takes four times as long.
        plotter.ren_win.SetMultiSamples(0)
        plotter.renderer.SetUseFXAA(True)
        self._grab = vtkWindowToImageFilter()
        self._grab.SetInput(plotter.ren_win)
        self._grab.ReadFrontBufferOff()
        self._grab.ShouldRerenderOff()

    def draw(self, step: int) -> Picture:
        """(height, width, 3) the moment after so many control steps."""
        figure = self._figure
        if not 0 <= step <= figure.motion.steps:
            raise IndexError(f"control step {step} of an episode of {figure.motion.steps}")
        for body, bone, shadow in self._bones:
            matrix = figure.body_matrix(step, body)
            bone.user_matrix = matrix
            shadow.user_matrix = self._shadow @ matrix
        self._tubes.move_to(step)
        self._follow(step)
        self._captions.say(figure.motion.facts(step))
        self._plotter.ren_win.Render()
        self._grab.Modified()
        self._grab.Update()
        image = self._grab.GetOutput()
        width, height, _ = image.GetDimensions()
        pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)
        return np.ascontiguousarray(pixels[::-1, :, :3])

    def film(self, steps: Iterable[int]) -> Iterator[Picture]:
        """The pictures of these moments, one after the other."""
        for step in steps:
            yield self.draw(int(step))

    def _follow(self, step: int) -> None:
        """Camera, floor and arrows go where the walker goes."""
        figure, motion = self._figure, self._figure.motion
        middle = figure.camera_m[step]
        focus = np.array([middle[0], figure.ground_m + _LOOKS_AT_M, middle[1]])
        self._camera.focal_point, self._camera.position = focus, focus + _FROM_M
        x, z = floor.squares_under(middle)
        self._floor.position = (x, 0.0, z)
        self._plotter.renderer.ResetCameraClippingRange()
        pelvis, target = motion.pelvis_m[step], motion.target_m_per_s[step, ::2]
        heading = target / max(float(np.hypot(*target)), 1e-9)
        start = np.array([pelvis[0], figure.ground_m, pelvis[2]])
        start[::2] += _ARROW_AHEAD_M * heading
        pairs = (
            (self._target, _TARGET_ABOVE_M, target),
            (self._velocity, _VELOCITY_ABOVE_M, motion.velocity_m_per_s[step, ::2]),
        )
        for arrow, above, velocity in pairs:
            actors.aim(arrow, start + np.array([0.0, above, 0.0]), _ARROW_M_PER_SPEED * velocity)

    def close(self) -> None:
        """Frees the window."""
        self._plotter.close()
