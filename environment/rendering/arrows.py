"""The shape of an arrow that lies on the floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_HEAD = 0.72
"""Of the length, where the head begins."""
_WIDER = 2.2
"""How much wider than its shaft the head is."""


def flat_arrow(width_m: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(7, 3) corners and (3, 3) triangles of an arrow along x of length 1, to be stretched, turned and moved."""
    half = width_m / 2
    wide = _WIDER * half
    outline = [(0, -half), (_HEAD, -half), (_HEAD, -wide), (1, 0), (_HEAD, wide), (_HEAD, half), (0, half)]
    return np.array([(x, 0.0, z) for x, z in outline]), np.array([(2, 3, 4), (0, 1, 5), (0, 5, 6)])
