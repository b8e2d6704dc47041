"""An evolution strategy: climbs a function of many numbers by its values alone.

Salimans et al., Evolution Strategies as a Scalable Alternative to Reinforcement Learning (arXiv 1703.03864): mirrored
samples, centred ranks in place of the values, Adam on the slope that they give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.ddpg.schedule import Schedule

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class EvolutionConfig:
    """How many samples, how far from the mean, and how far the mean moves by them."""

    generations: int = 300
    pairs: int = 15
    """Of samples in a generation: one on either side of the mean."""
    spread: float = 0.15
    """Standard deviation of the samples in every number, at first."""
    rate: float = 0.05
    """Adam's, at first: about how far a number moves in a generation."""
    final: float = 0.1
    """What is left of both in the end; they fall like half a cosine."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("generations", "pairs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("spread", "rate", "final"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")


class Evolution:
    """`ask` for samples, `tell` what they are worth, over and over."""

    def __init__(self, shape: tuple[int, ...], largest: float, config: EvolutionConfig) -> None:
        """Begins at 0. No number of the mean ever is further from it than `largest`."""
        self._config, self._largest = config, largest
        self._mean = torch.zeros(shape, dtype=torch.float64)
        self._adam = torch.optim.Adam([self._mean], lr=config.rate)
        self._falling = Schedule(decay="cosine", decay_updates=config.generations, final=config.final)
        self._generator = np.random.default_rng(config.seed)
        self._noise = np.zeros((0, *shape))
        self.generation = 0

    @property
    def mean(self) -> Float64:
        """A copy."""
        found: Float64 = self._mean.numpy().copy()
        return found

    def ask(self) -> Float64:
        """(2P, ...) samples of this generation."""
        half = self._generator.standard_normal((self._config.pairs, *self._mean.shape))
        self._noise = np.concatenate([half, -half])
        return self._mean.numpy() + self._spread() * self._noise

    def tell(self, values: Float64) -> None:
        """Moves the mean towards what was worth more; (2P,) in the order of the samples."""
        slope = np.tensordot(centred_ranks(values), self._noise, axes=1) / (len(values) * self._spread())
        for group in self._adam.param_groups:
            group["lr"] = self._config.rate * self._falling.factor(self.generation)
        self._mean.grad = -torch.from_numpy(slope)
        self._adam.step()
        self._mean.clamp_(-self._largest, self._largest)
        self.generation += 1

    def _spread(self) -> float:
        return self._config.spread * self._falling.factor(self.generation)


def centred_ranks(values: Float64) -> Float64:
    """(N,) from -0.5 for the least to 0.5 for the largest; what is equal shares a rank."""
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    ranks: Float64 = (below + up_to - 1) / 2 / max(1, len(values) - 1) - 0.5
    return ranks
