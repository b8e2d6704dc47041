"""Colours, as 0..255 of red, green, blue."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

BONE: Colour = (236, 226, 204)
PROSTHESIS: Colour = (78, 88, 102)
BACKGROUND: Colour = (233, 238, 243)
FLOOR: tuple[Colour, Colour] = ((206, 214, 222), (186, 196, 206))
SHADOW: Colour = (142, 151, 162)
PAINT: Colour = (120, 130, 142)
"""Of the metres on the floor."""
TEXT: Colour = (38, 46, 56)
TARGET: Colour = (24, 150, 92)
VELOCITY: Colour = (240, 150, 30)

_ACTIVATION = np.array([(38, 84, 216), (150, 62, 168), (228, 30, 38)], np.float64)
"""At rest, half and full activation: blue over violet to red."""


def linear(colour: NDArray[np.uint8] | Colour) -> NDArray[np.uint8]:
    """The same (..., 3) for those who take light's intensity for a colour, so that it looks the same."""
    found: NDArray[np.uint8] = np.rint(255.0 * (np.asarray(colour) / 255.0) ** 2.2).astype(np.uint8)
    return found


def activation_colours(activation: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """(...) in [0, 1] -> (..., 3): blue at rest, red in full action; what is outside counts as the end of the range."""
    level = np.clip(activation, 0.0, 1.0)
    knots = np.linspace(0.0, 1.0, len(_ACTIVATION))
    channels = [np.interp(level, knots, _ACTIVATION[:, channel]) for channel in range(3)]
    found: NDArray[np.uint8] = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    return found
