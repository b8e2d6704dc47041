"""Noise without memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.exploration.action_noise import ActionNoise
from agents.exploration.contract import Float64, require


class GaussianNoise(ActionNoise):
    """Independent noise at every decision: `sigma * N(0, 1)`."""

    def __init__(self, sigma: float, generator: np.random.Generator) -> None:
        require("sigma", sigma, sigma > 0)
        self.sigma, self._generator = sigma, generator

    def noise(self, size: int) -> Float64:
        return self.sigma * self._generator.standard_normal(size)

    def describe(self) -> dict[str, Any]:
        return {"kind": "gaussian", "sigma": self.sigma}
