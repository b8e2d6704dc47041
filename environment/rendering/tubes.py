"""Muscles as tubes along their paths, thin where they end, coloured by their activation."""

from __future__ import annotations

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import vtkPoints
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkTubeFilter

from environment.rendering.colours import activation_colours
from environment.rendering.figure import Figure

_SIDES = 10
_TENDON = 0.5
"""Of the radius, where a muscle begins and ends."""
COLOUR = "colour"


class Tubes:
    """The muscles of a figure at one moment after the other, as the input of a VTK mapper."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._lines = vtkPolyData()
        self._filter = vtkTubeFilter()
        self._filter.SetInputData(self._lines)
        self._filter.SetNumberOfSides(_SIDES)
        self._filter.CappingOn()
        self._filter.SetVaryRadiusToVaryRadiusByAbsoluteScalar()

    @property
    def output(self) -> vtkTubeFilter:
        """What gives the tubes, their colours in the point array `COLOUR`."""
        return self._filter

    def move_to(self, step: int) -> None:
        """Shows the muscles of that control step."""
        figure = self._figure
        lines = [figure.paths.line(step, muscle) for muscle in range(len(figure.muscles))]
        lengths = np.array([len(line) for line in lines])
        radius = np.repeat(figure.radius_m, lengths)
        ends = np.cumsum(lengths)
        radius[np.concatenate((ends - lengths, ends - 1))] *= _TENDON
        points = vtkPoints()
        points.SetData(numpy_to_vtk(np.concatenate(lines), deep=True))
        cells = vtkCellArray()
        offsets = np.concatenate(([0], ends)).astype(np.int64)
        cells.SetData(
            numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(np.arange(ends[-1]), deep=True)
        )
        self._lines.SetPoints(points)
        self._lines.SetLines(cells)
        thickness = numpy_to_vtk(radius, deep=True)
        thickness.SetName("radius")
        colour = numpy_to_vtk(np.repeat(activation_colours(figure.activation[step]), lengths, axis=0), deep=True)
        colour.SetName(COLOUR)
        data = self._lines.GetPointData()
        data.SetScalars(thickness)
        data.AddArray(colour)
        self._lines.Modified()
