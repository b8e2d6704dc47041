"""Fits an actor network to actions: the inverse-dynamics model, and the actor that is cloned."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.ddpg.schedule import Schedule
from agents.networks import Actor

Float32 = NDArray[np.float32]
_LOOK_EVERY = 50
"""Updates between two looks at what was held out."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is seen, normalised, and what was done then."""

    seen: Float32
    """(B, O)"""
    action: Float32
    """(B, M) in [-1, 1]."""

    def __len__(self) -> int:
        return len(self.action)

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Pairs:
        return Pairs(self.seen[rows], self.action[rows])


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How long and how fast."""

    updates: int = 3000
    batch_size: int = 256
    lr: float = 1e-3
    final: float = 1.0
    """What is left of the rate in the end; it falls like half a cosine."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("updates", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 < self.lr < 1:
            raise ValueError(f"lr={self.lr} must be between 0 and 1, e.g. 0.001")
        if not 0 < self.final <= 1:
            raise ValueError(f"final={self.final} must be above 0 and at most 1, which keeps the rate as it is")


@dataclass(frozen=True, slots=True)
class Point:
    """Of the loss curve: mean squared errors of actions in [-1, 1]."""

    update: int
    fitted: float
    """Mean over the batches since the last point."""
    held_out: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """How well it went."""

    curve: tuple[Point, ...]
    error: float
    """Root mean square on what was held out, of the weights that are kept: the best that were seen."""
    error_of_the_mean: float
    """The same of always doing the mean of the actions that were fitted."""
    fitted: int
    held_out: int

    @property
    def ratio(self) -> float:
        """1 is no better than the mean, 0 is exact."""
        return self.error / self.error_of_the_mean if self.error_of_the_mean else math.inf

    def text(self) -> str:
        """One line for people."""
        return (
            f"error {self.error:.3f} on {self.held_out:,} held-out actions in [-1, 1], the mean's "
            f"{self.error_of_the_mean:.3f} (ratio {self.ratio:.2f}); fitted to {self.fitted:,}"
        )


def fit(
    network: Actor,
    pairs: Pairs,
    held_out: Pairs,
    config: FitConfig,
    tell: Callable[[Point], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Fitted:
    """Fits `network` by least squares, and leaves it with the weights that did best on what was held out.

    Raises: ValueError without pairs to fit or to hold out; FloatingPointError when a loss is not finite.
    """
    if not len(pairs) or not len(held_out):
        raise ValueError(
            f"found {len(pairs)} actions to fit and {len(held_out)} to hold out, needed some of both; likely the run "
            "holds less than two episodes with whole decisions"
        )
    generator = np.random.default_rng(config.seed)
    adam = torch.optim.Adam(network.parameters(), lr=config.lr)
    falling = Schedule(decay="cosine", decay_updates=config.updates, final=config.final)
    best, kept = math.inf, copy.deepcopy(network.state_dict())
    curve: list[Point] = []
    losses: list[float] = []
    for update in range(1, config.updates + 1):
        batch = pairs[generator.integers(len(pairs), size=config.batch_size)]
        loss = _loss(network, batch)
        adam.zero_grad()
        torch.autograd.backward(loss)
        for group in adam.param_groups:
            group["lr"] = config.lr * falling.factor(update - 1)
        adam.step()
        losses.append(float(loss.detach()))
        if update % _LOOK_EVERY == 0 or update == config.updates:
            point = Point(update, float(np.mean(losses)), mean_squared_error(network, held_out))
            if not math.isfinite(point.fitted + point.held_out):
                raise FloatingPointError(
                    f"the loss is {point.fitted} after {update} updates; is lr={config.lr} too high?"
                )
            losses.clear()
            curve.append(point)
            tell(point)
            if point.held_out < best:
                best, kept = point.held_out, copy.deepcopy(network.state_dict())
            if stop():
                break
    network.load_state_dict(kept)
    of_the_mean = float(np.square(held_out.action - pairs.action.mean(axis=0)).mean())
    return Fitted(tuple(curve), math.sqrt(best), math.sqrt(of_the_mean), len(pairs), len(held_out))


def mean_squared_error(network: Actor, pairs: Pairs) -> float:
    """Of the network's actions."""
    with torch.inference_mode():
        return float(_loss(network, pairs))


def _loss(network: Actor, pairs: Pairs) -> torch.Tensor:
    found: torch.Tensor = network(torch.from_numpy(pairs.seen))
    return torch.nn.functional.mse_loss(found, torch.from_numpy(pairs.action))
