"""Coloured noise (Eberhard et al., "Pink Noise Is All You Need", ICLR 2023): slow and fast pushes at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.exploration.action_noise import ActionNoise
from agents.exploration.contract import Acts, Float64, require

LARGEST_BETA = 2.0


class PinkNoise(ActionNoise):
    """Noise whose power falls with its frequency f as `1 / f**beta`: 0 is white, 1 pink, 2 Brownian.

    A sequence is drawn for a whole episode; an episode that is longer goes on with another one. `sigma` is the
    deviation of the noise at every decision.
    """

    def __init__(self, sigma: float, beta: float, decisions: int, generator: np.random.Generator) -> None:
        """`decisions`: of a whole episode; slower waves than that there are none."""
        require("sigma", sigma, sigma > 0)
        require("beta", beta, 0 <= beta <= LARGEST_BETA, f"0..{LARGEST_BETA:g}")
        require("decisions", decisions, decisions >= 1, "at least 1")
        self.sigma, self.beta, self.decisions = sigma, beta, decisions
        self._generator = generator
        self._sequence: Float64 = np.zeros((0, 0))
        self._place = 0

    def reset(self, policy: Acts) -> None:
        super().reset(policy)
        self._sequence, self._place = np.zeros((0, 0)), 0

    def noise(self, size: int) -> Float64:
        if self._place == len(self._sequence):
            self._sequence = self.sigma * coloured(self.decisions, size, self.beta, self._generator)
            self._place = 0
        noise: Float64 = self._sequence[self._place]
        self._place += 1
        return noise

    def describe(self) -> dict[str, Any]:
        return {"kind": "pink", "sigma": self.sigma, "beta": self.beta}


def coloured(length: int, size: int, beta: float, generator: np.random.Generator) -> Float64:
    """(length, size): columns of stationary noise with deviation 1 and a spectrum of `1 / f**beta`.

    White noise whose waves are made stronger or weaker. The constant part is as strong as the slowest wave.
    """
    frequency = np.abs(np.fft.fftfreq(length))
    frequency[0] = 1 / length
    gain = frequency ** (-beta / 2)
    gain /= np.sqrt(np.mean(gain**2))
    waves = np.fft.rfft(generator.standard_normal((length, size)), axis=0)
    noise: Float64 = np.fft.irfft(waves * gain[: len(waves), None], n=length, axis=0)
    return noise
