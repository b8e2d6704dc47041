"""Parameter noise (Plappert et al., arXiv 1706.01905): another network for an episode, close to the policy's own."""

from __future__ import annotations

import copy
import math
from collections import deque
from typing import Any

import numpy as np
import torch

from agents.exploration.contract import Float32, clipped, require
from agents.layers import Affine
from agents.policy import Policy

_KEPT = 64
_KEEP_EVERY = 8
"""Neighbours in an episode are much alike; so the kept ones are of the last 512 decisions."""
_SMALLEST, _LARGEST = 1e-5, 10.0
"""Deviations of weights between which the right one is looked for."""
_HALVINGS = 12
"""Of that range's logarithm: to 0.4%."""


class Seen:
    """Some of the observations that a worker met lately, of whichever episode."""

    def __init__(self) -> None:
        self._kept: deque[Float32] = deque(maxlen=_KEPT)
        self._met = 0

    def add(self, observation: Float32) -> None:
        if self._met % _KEEP_EVERY == 0:
            self._kept.append(observation)
        self._met += 1

    def rows(self) -> Float32:
        """(N, O), N up to 64."""
        return np.stack(self._kept)


class ParameterNoise:
    """Acts all episode long with weights `w + scale * N(0, 1)`, so that equal states get equal actions.

    `sigma` is the wanted deviation of the *actions*: the root of the mean square by which they differ from the policy's
    own, over what was seen lately and over the muscles. `scale` is what brings this about. The tanh leaves room for no
    more than about 1.

    Deviation from the paper: the scale is found anew for every episode. There it follows slowly from one episode to the
    next; on a ladder each has another sigma. Normalisation layers are left as they are, as there.
    """

    def __init__(self, sigma: float, seen: Seen, generator: np.random.Generator) -> None:
        """`seen` is shared by a worker's episodes; before the first it holds nothing, and that one's start must do."""
        require("sigma", sigma, sigma > 0)
        self.sigma, self._seen, self._generator = sigma, seen, generator
        self.acting: Policy | None = None
        """The perturbed policy; None before an episode's first decision."""

    def reset(self, policy: Policy) -> None:
        self._policy = policy
        self.acting = None

    def __call__(self, observation: Float32) -> Float32:
        self._seen.add(observation)
        if self.acting is None:
            self.acting = self._perturbed(self._policy)
        return clipped(self.acting(observation))

    def describe(self) -> dict[str, Any]:
        return {"kind": "parameter", "sigma": self.sigma}

    def _perturbed(self, policy: Policy) -> Policy:
        perturbation = Perturbation(policy, self._generator)
        observations = self._seen.rows()
        own = policy(observations)
        low, high = _SMALLEST, _LARGEST
        for _ in range(_HALVINGS):
            middle = math.sqrt(low * high)
            difference = perturbation.at(middle)(observations) - own
            too_small = np.sqrt(np.mean(np.square(difference))) < self.sigma
            low, high = (middle, high) if too_small else (low, middle)
        return perturbation.at(math.sqrt(low * high))


class Perturbation:
    """One random direction in which a policy's weights are changed, near or far."""

    def __init__(self, policy: Policy, generator: np.random.Generator) -> None:
        self._policy = policy
        self._actor = copy.deepcopy(policy.actor)
        layers = [layer for layer in self._actor.modules() if isinstance(layer, Affine)]
        self._weights = [weight for layer in layers for weight in layer.parameters()]
        self._own = [weight.clone() for weight in self._weights]
        self._directions = [
            torch.from_numpy(generator.standard_normal(tuple(weight.shape), dtype=np.float32)).to(weight.device)
            for weight in self._weights
        ]

    def at(self, scale: float) -> Policy:
        """The policy with weights changed so far."""
        with torch.no_grad():
            for weight, own, direction in zip(self._weights, self._own, self._directions, strict=True):
                torch.add(own, direction, alpha=scale, out=weight)
        policy = self._policy
        return Policy(self._actor, policy.normaliser, policy.contract, version=policy.version, device=policy.device)
