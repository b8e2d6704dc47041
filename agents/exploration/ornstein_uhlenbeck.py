"""Noise that drifts and returns to 0, so that a push lasts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agents.exploration.action_noise import ActionNoise
from agents.exploration.contract import Acts, Float64, require


class OrnsteinUhlenbeckNoise(ActionNoise):
    """`dx = -theta x dt + sigma sqrt(2 theta) dW`.

    `sigma` is the deviation of the noise itself (the stationary one), comparable with `GaussianNoise`. The
    step is exact for every dt: correlation between decisions is `exp(-theta dt)`. Episodes start in the stationary
    state, not at 0.
    """

    def __init__(self, sigma: float, theta_per_s: float, dt_s: float, generator: np.random.Generator) -> None:
        """`theta_per_s`: how fast noise is forgotten; `dt_s`: simulated seconds between two decisions."""
        for name, value in (("sigma", sigma), ("theta_per_s", theta_per_s), ("dt_s", dt_s)):
            require(name, value, value > 0)
        self.sigma, self.theta_per_s, self.dt_s = sigma, theta_per_s, dt_s
        self._generator = generator
        self._keep = math.exp(-theta_per_s * dt_s)
        self._fresh = sigma * math.sqrt(1 - self._keep**2)
        self._noise: Float64 | None = None

    def reset(self, policy: Acts) -> None:
        super().reset(policy)
        self._noise = None

    def noise(self, size: int) -> Float64:
        draw = self._generator.standard_normal(size)
        self._noise = self.sigma * draw if self._noise is None else self._keep * self._noise + self._fresh * draw
        return self._noise

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "ornstein_uhlenbeck",
            "sigma": self.sigma,
            "theta_per_s": self.theta_per_s,
            "dt_s": self.dt_s,
        }
