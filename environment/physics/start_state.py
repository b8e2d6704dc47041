"""Which states a simulation can start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.state import StateLayout

_ROUNDING = 1e-5
"""Between a locked coordinate's value and a stored one, and of activations: states are stored as float32."""


def locked_places(layout: StateLayout, values: Mapping[str, float]) -> dict[int, float]:
    """Positions and values of the locked coordinates.

    Args:
        values: By coordinate.
    """
    coordinates = layout.where("joint_pos").tolist()
    names = {layout.names[place].rpartition("/")[2]: place for place in coordinates}
    return {names[coordinate]: value for coordinate, value in values.items()}


def check_start(state: NDArray[Any], layout: StateLayout, locked: Mapping[int, float]) -> NDArray[np.float64]:
    """The state (S,) as float64, if a body can be put there; what does not decide where a body is, is not looked at.

    Args:
        locked: Coordinates that can not move: position in the layout -> value.

    Raises: ValueError: another shape; not finite; an activation outside [0, 1]; a negative fibre length; a locked
        coordinate elsewhere.
    """
    values = np.array(state, dtype=np.float64)
    if values.shape != (layout.size,):
        raise ValueError(
            f"a start state has shape {values.shape}, the body needs ({layout.size},), without a target; is it a state "
            "of another model?"
        )
    # The layout keeps these positions: to look them up takes as long as a control step.
    places, activations = layout.continuous, layout.activations
    lost = places[~np.isfinite(values[places])]
    if len(lost):
        raise ValueError(f"{layout.names[lost[0]]} of the start state is not finite")
    _refuse(values, activations, -_ROUNDING, 1.0 + _ROUNDING, layout, "it must be in 0..1")
    _refuse(values, layout.fiber_lengths, 0.0, np.inf, layout, "a length can not be negative")
    values[activations] = values[activations].clip(0.0, 1.0)
    for place, value in locked.items():
        if abs(values[place] - value) > _ROUNDING:
            raise ValueError(
                f"{layout.names[place]} of the start state is {values[place]:g}, this model locks it at {value:g}; is "
                "it a state of another model?"
            )
    return values


def _refuse(
    values: NDArray[np.float64], places: NDArray[np.intp], low: float, high: float, layout: StateLayout, needed: str
) -> None:
    bad = places[(values[places] < low) | (values[places] > high)]
    if len(bad):
        raise ValueError(f"{layout.names[bad[0]]} of the start state is {values[bad[0]]:g}; {needed}")
