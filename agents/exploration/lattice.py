"""Latent noise (Lattice, Chiappa et al., arXiv 2305.20065): what the policy moves together, noise moves together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agents.exploration.contract import Float64, require
from agents.exploration.state_dependent import StateDependentNoise
from agents.policy import Policy

_SHORTEST = 1e-12
"""Of the last layer's rows; before it has learned anything they are not 0 either."""


class LatticeNoise(StateDependentNoise):
    """State-dependent noise of which a share c goes through the network's last layer W (M, H), and so is correlated.

    In the paper the matrix is `A + alpha W X`, A (M, H) and X (H, H) random. Here it is `sqrt(1 - c) A + sqrt(c) V X`,
    V being W divided by the root mean square of its rows' lengths: so the noise of an action has the covariance
    `sigma**2 ((1 - c) I + c V V')`, whose mean variance is sigma**2 however large W is.
    """

    kind = "lattice"

    def __init__(
        self, sigma: float, resample_decisions: int, correlated_share: float, generator: np.random.Generator
    ) -> None:
        super().__init__(sigma, resample_decisions, generator)
        require("correlated_share", correlated_share, 0 <= correlated_share <= 1, "0..1")
        self.correlated_share = correlated_share

    def reset(self, policy: Policy) -> None:
        super().reset(policy)
        weight = policy.actor.body.final.weight.detach().cpu().double().numpy()
        length = math.sqrt(np.mean(np.sum(weight**2, axis=1)))
        # V = root Q' with orthonormal columns in Q, and Q' X is a random matrix again: of min(M, H) rows instead of H.
        self._root: Float64 = np.asarray(np.linalg.qr(weight.T / max(length, _SHORTEST), mode="r")).T

    def draw(self, actions: int, features: int) -> Float64:
        independent = self._generator.standard_normal((actions, features))
        latent = self._generator.standard_normal((self._root.shape[1], features))
        share = self.correlated_share
        matrix: Float64 = math.sqrt(1 - share) * independent + math.sqrt(share) * self._root @ latent
        return matrix

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"correlated_share": self.correlated_share}
