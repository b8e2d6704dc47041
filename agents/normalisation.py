"""Observations brought to mean 0 and variance 1, feature by feature, from what was seen so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

CONSTANT = 1e-6
"""A feature whose deviation is below this (times its mean's size, if above 1) is rounding noise: it becomes 0."""


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A fixed normalisation: what a published policy carries."""

    mean: Float32
    """(O,)"""
    scale: Float32
    """(O,) 1 / deviation; 0 for a constant feature."""
    clip: float
    """Results stay in ±clip."""

    def __call__(self, observation: Float32) -> Float32:
        """(O,) or (B, O) -> the same shape, float32, in ±clip. NaN stays NaN."""
        result: Float32 = np.subtract(observation, self.mean, dtype=np.float32)
        result *= self.scale
        return np.clip(result, -self.clip, self.clip, out=result)

    @staticmethod
    def identity(size: int, clip: float = 10.0) -> Normaliser:
        """Changes nothing (but clips)."""
        return Normaliser(np.zeros(size, np.float32), np.ones(size, np.float32), clip)


class RunningNormaliser:
    """Mean and variance of all observations given to `update`, without keeping them.

    Batches are joined by Chan's formula in float64, so neither the order nor the size of the batches matters.
    """

    def __init__(self, size: int, clip: float = 10.0) -> None:
        if size < 1 or not clip > 0:
            raise ValueError(f"a normaliser needs size >= 1 and clip > 0, found size={size}, clip={clip}")
        self.size, self.clip = size, clip
        self.count = 0
        self.mean: Float64 = np.zeros(size)
        self._squares: Float64 = np.zeros(size)
        self._frozen: Normaliser | None = None

    @property
    def variance(self) -> Float64:
        """(O,) population variance; zeros before the first update."""
        return self._squares / max(self.count, 1)

    def update(self, observations: NDArray[Any]) -> None:
        """Takes in B more observations, (B, O).

        Raises: ValueError for another width, or for a number that is not finite; nothing is taken then.
        """
        rows = np.array(observations, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.size:
            raise ValueError(f"observations have shape {rows.shape}, the normaliser needs (B, {self.size})")
        if len(rows) == 0:
            return
        with np.errstate(invalid="ignore"):
            mean = rows.mean(axis=0)
        if not np.isfinite(mean).all():
            bad = np.flatnonzero(~np.isfinite(mean))
            raise ValueError(f"features {bad[:8].tolist()} are not finite, needed finite numbers; a diverged state?")
        rows -= mean
        squares = np.einsum("ij,ij->j", rows, rows)
        total = self.count + len(rows)
        delta = mean - self.mean
        self._squares += squares + delta**2 * (self.count * len(rows) / total)
        self.mean = self.mean + delta * (len(rows) / total)
        self.count = total
        self._frozen = None

    def __call__(self, observation: Float32) -> Float32:
        """Normalises (O,) or (B, O) with the statistics of now."""
        if self._frozen is None:
            self._frozen = self.frozen()
        return self._frozen(observation)

    def frozen(self) -> Normaliser:
        """A copy that later updates do not change. Before the first update it only clips."""
        if self.count == 0:
            return Normaliser.identity(self.size, self.clip)
        deviation = np.sqrt(self.variance)
        constant = deviation <= CONSTANT * np.maximum(1.0, np.abs(self.mean))
        scale = np.where(constant, 0.0, 1.0 / np.where(constant, 1.0, deviation))
        return Normaliser(self.mean.astype(np.float32), scale.astype(np.float32), self.clip)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Plain arrays: `count` (1,) int64, `mean` (O,) and `squares` (O,) float64, `clip` (1,) float64."""
        return {
            "count": np.array([self.count], dtype=np.int64),
            "mean": self.mean.copy(),
            "squares": self._squares.copy(),
            "clip": np.array([self.clip], dtype=np.float64),
        }

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continues exactly where `state_dict` was taken.

        Raises: ValueError when the number of features differs.
        """
        if state["mean"].shape != (self.size,):
            raise ValueError(
                f"the stored normaliser has shape {state['mean'].shape}, needed ({self.size},); "
                "was it saved with another observation?"
            )
        self.count = int(state["count"][0])
        self.clip = float(state["clip"][0])
        self.mean = np.array(state["mean"], dtype=np.float64)
        self._squares = np.array(state["squares"], dtype=np.float64)
        self._frozen = None
