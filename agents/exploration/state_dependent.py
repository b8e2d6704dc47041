"""State-dependent noise (gSDE, Raffin et al., arXiv 2005.05719): in equal states, equal noise, for a while."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.exploration.contract import Float32, Float64, clipped, require
from agents.policy import Policy

_SHORTEST = 1e-12
"""Features no longer than this count as 0, and so does the noise."""


class StateDependentNoise:
    """The policy's action plus `matrix z / |z|`, clipped; z (H,) is what the network's last layer sees.

    The random matrix (M, H) is drawn anew every few decisions: in between, noise changes only as the state does,
    without jerks. Over its draws the noise has deviation `sigma` in every state.

    Deviations from the paper, so that sigma compares with the other kinds': z is brought to length 1 (there, sigma is
    learned to fit its length), and the noise is added after the tanh.
    """

    kind = "state_dependent"

    def __init__(self, sigma: float, resample_decisions: int, generator: np.random.Generator) -> None:
        require("sigma", sigma, sigma > 0)
        require("resample_decisions", resample_decisions, resample_decisions >= 1, "at least 1")
        self.sigma, self.resample_decisions = sigma, resample_decisions
        self._generator = generator

    def reset(self, policy: Policy) -> None:
        self._policy = policy
        self._decisions = 0

    def __call__(self, observation: Float32) -> Float32:
        action, features = self._policy(observation), self._policy.features(observation)
        if self._decisions % self.resample_decisions == 0:
            self._matrix = self.sigma * self.draw(len(action), len(features))
        self._decisions += 1
        length = max(float(np.linalg.norm(features)), _SHORTEST)
        return clipped(action + self._matrix @ features / length)

    def draw(self, actions: int, features: int) -> Float64:
        """(M, H); times a vector of length 1 it has deviation 1, on average over the M."""
        return self._generator.standard_normal((actions, features))

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "sigma": self.sigma, "resample_decisions": self.resample_decisions}
