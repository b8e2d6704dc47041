"""Exploration: what is added to the policy's action while data is gathered, and how much, per worker and episode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Kind = Literal["none", "gaussian", "ornstein_uhlenbeck", "uniform"]
KINDS: tuple[Kind, ...] = ("none", "gaussian", "ornstein_uhlenbeck", "uniform")

GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


class Exploration(Protocol):
    """Turns the policy's action into the one that is tried."""

    def reset(self) -> None:
        """Call at the start of every episode."""

    def __call__(self, action: Float32) -> Float32:
        """(M,) in [-1, 1] -> (M,) float32 in [-1, 1]; once per decision."""

    def describe(self) -> dict[str, Any]:
        """Kind and level, for the episode's document."""


class NoExploration:
    """The policy's own action."""

    def reset(self) -> None: ...

    def __call__(self, action: Float32) -> Float32:
        return np.clip(action, -1.0, 1.0).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return {"kind": "none"}


class GaussianNoise:
    """Independent noise at every decision: `action + sigma * N(0, 1)`, clipped."""

    def __init__(self, sigma: float, generator: np.random.Generator) -> None:
        _require("sigma", sigma, sigma > 0)
        self.sigma, self._generator = sigma, generator

    def reset(self) -> None: ...

    def __call__(self, action: Float32) -> Float32:
        noise = self.sigma * self._generator.standard_normal(len(action))
        return np.clip(action + noise, -1.0, 1.0).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return {"kind": "gaussian", "sigma": self.sigma}


class OrnsteinUhlenbeckNoise:
    """Noise that drifts and returns to 0, so that a push lasts: `dx = -theta x dt + sigma sqrt(2 theta) dW`.

    `sigma` is the deviation of the noise itself (the stationary one), comparable with `GaussianNoise`. The
    step is exact for every dt: correlation between decisions is `exp(-theta dt)`. Episodes start in the stationary
    state, not at 0.
    """

    def __init__(self, sigma: float, theta_per_s: float, dt_s: float, generator: np.random.Generator) -> None:
        """`theta_per_s`: how fast noise is forgotten; `dt_s`: simulated seconds between two decisions."""
        for name, value in (("sigma", sigma), ("theta_per_s", theta_per_s), ("dt_s", dt_s)):
            _require(name, value, value > 0)
        self.sigma, self.theta_per_s, self.dt_s = sigma, theta_per_s, dt_s
        self._generator = generator
        self._keep = math.exp(-theta_per_s * dt_s)
        self._fresh = sigma * math.sqrt(1 - self._keep**2)
        self._noise: NDArray[np.float64] | None = None

    def reset(self) -> None:
        self._noise = None

    def __call__(self, action: Float32) -> Float32:
        draw = self._generator.standard_normal(len(action))
        self._noise = self.sigma * draw if self._noise is None else self._keep * self._noise + self._fresh * draw
        return np.clip(action + self._noise, -1.0, 1.0).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "ornstein_uhlenbeck",
            "sigma": self.sigma,
            "theta_per_s": self.theta_per_s,
            "dt_s": self.dt_s,
        }


class UniformActions:
    """Uniform random actions in [-1, 1] that ignore the policy: the warm-up."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def reset(self) -> None: ...

    def __call__(self, action: Float32) -> Float32:
        return self._generator.uniform(-1.0, 1.0, len(action)).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return {"kind": "uniform"}


@dataclass(frozen=True, kw_only=True)
class ExplorationConfig:
    """How workers explore."""

    kind: Kind = "ornstein_uhlenbeck"
    sigma_min: float = 0.05
    sigma_max: float = 0.4
    """Noise levels of noisy episodes, spread evenly on a log scale between the two."""
    noise_free_share: float = 0.2
    """Share of episodes that follow the policy exactly: they show where it really leads."""
    theta_per_s: float = 4.0
    """Ornstein-Uhlenbeck only. 4 with decisions every 0.04 s gives the DDPG paper's 0.15 per decision."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"exploration kind is {self.kind!r}, needed one of {', '.join(KINDS)}")
        if not 0 < self.sigma_min <= self.sigma_max:
            raise ValueError(f"needed 0 < sigma_min <= sigma_max, found {self.sigma_min} and {self.sigma_max}")
        _require("noise_free_share", self.noise_free_share, 0 <= self.noise_free_share <= 1, "0..1")
        _require("theta_per_s", self.theta_per_s, self.theta_per_s > 0)


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One worker's noise levels, episode by episode.

    At every episode number the workers stand evenly spaced on the ladder, and each worker climbs on by the golden
    ratio: so at any time all levels are in use, and one worker alone also goes through all of them. The stated
    share of rungs is free of noise.
    """

    config: ExplorationConfig
    worker_index: int
    workers: int
    dt_s: float
    """Simulated seconds between two decisions."""
    seed: int
    """Use another one for every life of a worker, or it repeats the noise of its former life."""

    def __post_init__(self) -> None:
        if not 0 <= self.worker_index < self.workers:
            raise ValueError(f"worker_index is {self.worker_index}, needed 0 <= it < workers={self.workers}")
        _require("dt_s", self.dt_s, self.dt_s > 0)

    def rung(self, episode: int) -> float:
        """Height in [0, 1) of the worker's `episode`-th episode; below `noise_free_share` there is no noise."""
        return (self.worker_index / self.workers + episode * GOLDEN_RATIO) % 1.0

    def for_episode(self, episode: int) -> Exploration:
        """The exploration of the worker's `episode`-th episode, with its own random numbers."""
        share, rung = self.config.noise_free_share, self.rung(episode)
        if rung < share:
            return NoExploration()
        height = (rung - share) / (1 - share)
        sigma = self.config.sigma_min * (self.config.sigma_max / self.config.sigma_min) ** height
        generator = np.random.default_rng((self.seed, self.worker_index, episode))
        return build_exploration(
            self.config.kind, generator, sigma=sigma, theta_per_s=self.config.theta_per_s, dt_s=self.dt_s
        )


def build_exploration(
    kind: Kind, generator: np.random.Generator, *, sigma: float = 0.1, theta_per_s: float = 4.0, dt_s: float = 0.04
) -> Exploration:
    """One exploration by name; settings that a kind does not have are ignored."""
    match kind:
        case "none":
            return NoExploration()
        case "gaussian":
            return GaussianNoise(sigma, generator)
        case "ornstein_uhlenbeck":
            return OrnsteinUhlenbeckNoise(sigma, theta_per_s, dt_s, generator)
        case "uniform":
            return UniformActions(generator)
    raise ValueError(f"exploration kind is {kind!r}, needed one of {', '.join(KINDS)}")


def _require(name: str, value: float, holds: bool, needed: str = "a positive number") -> None:
    if not holds:
        raise ValueError(f"{name} is {value}, needed {needed}")
