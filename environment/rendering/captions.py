"""Writing over a picture: what the moment's figures are, what is shown, what the colours mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyvista

from environment.rendering.actors import unit
from environment.rendering.colours import TARGET, TEXT, VELOCITY, Colour, activation_colours

_LARGE, _SMALL = 20, 15
"""Pixels, of a picture 720 high."""
_LINE = 1.5
"""Of the letters' size, from one line to the next."""


class Captions:
    """Sizes are relative to the picture's height."""

    def __init__(self, plotter: Any, title: str) -> None:
        self._plotter = plotter
        self._scale = plotter.window_size[1] / 720
        self._values: dict[str, Any] = {}
        width, height = plotter.window_size
        self._write(title, 24, height - 40, _LARGE, bold=True)
        self._top = height - 78
        self._explain(width)

    def say(self, facts: Mapping[str, str]) -> None:
        """Shows these, one a line; always the same names."""
        for number, (name, value) in enumerate(facts.items()):
            if name not in self._values:
                y = self._top - number * _LINE * _SMALL * self._scale
                colour = {"target": TARGET, "speed": VELOCITY}.get(name, TEXT)
                self._write(name, 24, y, _SMALL, colour=colour, bold=colour != TEXT)
                self._values[name] = self._write(value, 24 + 92 * self._scale, y, _SMALL)
            self._values[name].input = value

    def _explain(self, width: int) -> None:
        """A bar of the muscles' colours, at the lower right."""
        table = pyvista.LookupTable(values=np.insert(activation_colours(np.linspace(0, 1, 64)), 3, 255, axis=1))
        table.scalar_range = (0.0, 1.0)
        bar = pyvista._vtk.vtkScalarBarActor()
        bar.SetLookupTable(table)
        bar.SetOrientationToHorizontal()
        bar.SetNumberOfLabels(0)
        bar.SetBarRatio(0.9)
        bar.SetPosition(1.0 - 0.02 - 0.17, 0.035)
        bar.SetWidth(0.17)
        bar.SetHeight(0.03)
        self._plotter.add_actor(bar, reset_camera=False)
        left = 0.81 * width
        above = 0.075 * self._plotter.window_size[1]
        self._write("muscles: at rest … fully active", left, above, 13)

    def _write(self, text: str, x: float, y: float, size: int, *, colour: Colour = TEXT, bold: bool = False) -> Any:
        written = pyvista.Text(text, position=(round(x), round(y)))
        written.prop.font_size = round(size * self._scale)
        written.prop.color = unit(colour)
        written.prop.bold = bold
        self._plotter.add_actor(written, reset_camera=False)
        return written
