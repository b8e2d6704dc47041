"""Excitations that a motion with activations must have had: activation dynamics, solved for what is held.

da/dt = (u - a) / tau(a, u), tau = t_rise (0.5 + 1.5 a) while u > a, else t_fall / (0.5 + 1.5 a): Thelen, J. Biomech.
Eng. 125 (2003), as in OpenSim 4.6. Where an activation goes follows from the excitation alone, so this part of the way
back needs no learning; whether the body then moves as the motion does is another matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.body_model import Thelen2003Muscle
from environment.timestep import CONTROL_STEP_S

Float64 = NDArray[np.float64]

_LARGEST_STEP_S = 1e-3
"""Of the integration: a tenth of the shortest time constant of the models."""
_HALVINGS = 24


class ActivationDynamics:
    """Of a model's muscles."""

    def __init__(self, muscles: Sequence[Thelen2003Muscle]) -> None:
        self._rise_s = np.array([one.activation_time_s for one in muscles])
        self._fall_s = np.array([one.deactivation_time_s for one in muscles])
        self._least = np.array([one.minimum_activation for one in muscles])

    def excitations(self, before: NDArray[Any], after: NDArray[Any], held: int) -> Float64:
        """(B, M) in [0, 1] that lead from activations to activations (B, M) when held for `held` control steps; where
        none does, the one that comes closest."""
        low, high = np.zeros(before.shape), np.ones(before.shape)
        start, wanted = np.asarray(before, np.float64), np.asarray(after, np.float64)
        # The more excitation, the more activation at the end.
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            too_much = self.activations(start, middle, held) > wanted
            high, low = np.where(too_much, middle, high), np.where(too_much, low, middle)
        return 0.5 * (low + high)

    def activations(self, before: Float64, excitation: Float64, held: int) -> Float64:
        """(B, M) after an excitation (B, M) was held for `held` control steps."""
        steps = held * max(1, round(CONTROL_STEP_S / _LARGEST_STEP_S))
        step_s, a = held * CONTROL_STEP_S / steps, before
        for _ in range(steps):
            first = self._rate(a, excitation)
            a = a + step_s * self._rate(a + 0.5 * step_s * first, excitation)
        return a

    def _rate(self, activation: Float64, excitation: Float64) -> Float64:
        a = np.clip(activation, self._least, 1.0)
        pace = 0.5 + 1.5 * a
        found: Float64 = (excitation - a) * np.where(excitation > a, 1.0 / (self._rise_s * pace), pace / self._fall_s)
        return found
