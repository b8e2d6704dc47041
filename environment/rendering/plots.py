"""What the player plots over time: rewards as curves, all muscles as a picture with a row for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from environment.rendering.colours import TEXT, activation_colours
from environment.rendering.figure import Figure
from environment.rendering.motion import Motion
from environment.timestep import CONTROL_STEP_S

Picture = NDArray[np.uint8]

_MOST_POINTS = 300
"""Of a curve; a browser gets all of them at every update."""
_ROW, _NAMES, _WIDTH = 15, 96, 440
"""Pixels: height of a muscle's row, width of the names, width of the whole picture."""
_PALETTE = ("#d1495b", "#2a6f97", "#3a7d44", "#e09f3e", "#6a4c93", "#5c677d", "#118ab2", "#9c6644")


class RewardCurves:
    """The rewards of a motion and its terms, with an upright line at the moment that is shown."""

    def __init__(self, motion: Motion) -> None:
        every = -(-len(motion.states) // _MOST_POINTS)
        kept = slice(1 if motion.steps else 0, None, every)
        self._time_s = np.arange(len(motion.states))[kept] * CONTROL_STEP_S
        self._curves = {"reward": motion.reward[kept]} | {name: values[kept] for name, values in motion.terms.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the curves, the reward first; then comes the line."""
        return tuple(self._curves)

    def colour(self, number: int) -> str:
        """Of a curve, in CSS."""
        return "#1c2630" if number == 0 else _PALETTE[(number - 1) % len(_PALETTE)]

    def at(self, step: int) -> tuple[NDArray[np.float64], ...]:
        """Time in s, each curve, and the line: 0 and 1 at two neighbouring points, nothing elsewhere."""
        line = np.full(len(self._time_s), np.nan)
        place = int(np.searchsorted(self._time_s, step * CONTROL_STEP_S))
        place = min(place, max(len(line) - 2, 0))
        line[place : place + 2] = (0.0, 1.0)[: len(line) - place]
        return (self._time_s, *self._curves.values(), line)


class MuscleRows:
    """Activations over time in the muscles' colours: a row each, time from left to right."""

    def __init__(self, figure: Figure) -> None:
        self._steps = figure.motion.steps
        columns = _WIDTH - _NAMES
        steps = np.rint(np.linspace(0, self._steps, columns)).astype(np.int64)
        colours = activation_colours(figure.activation[steps]).transpose(1, 0, 2)
        image = Image.new("RGB", (_WIDTH, _ROW * len(figure.muscles)), (255, 255, 255))
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
        for number, name in enumerate(figure.muscles):
            draw.text((_NAMES - 6, _ROW * number + _ROW // 2), name, fill=TEXT, font=font, anchor="rm")
        self._picture = np.array(image)
        rows = np.repeat(colours, _ROW, axis=0)
        rows[_ROW - 1 :: _ROW] = 255  # a white line between two muscles
        self._picture[:, _NAMES:] = rows

    def at(self, step: int) -> Picture:
        """(height, width, 3) with an upright line at the moment that is shown."""
        picture = self._picture.copy()
        column = _NAMES + round((_WIDTH - _NAMES - 1) * step / max(self._steps, 1))
        picture[:, max(column - 1, _NAMES) : column + 2] = 255
        picture[:, column] = TEXT
        return picture
