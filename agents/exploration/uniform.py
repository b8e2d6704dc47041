"""Uniform random actions: the warm-up."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.exploration.contract import Acts, Float32


class UniformActions:
    """Uniform random actions in [-1, 1], whatever the policy's are."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def reset(self, policy: Acts) -> None:
        self._policy = policy

    def __call__(self, observation: Float32) -> Float32:
        return self.explored(self._policy(observation))

    def explored(self, action: Float32) -> Float32:
        return self._generator.uniform(-1.0, 1.0, len(action)).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return {"kind": "uniform"}
