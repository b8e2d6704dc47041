"""A policy that does by itself what another one does with offsets to its first decisions.

Least squares on three kinds of decisions: those of the led start, which are the same in every episode; those near it,
from starts that are disturbed, so that it comes back to the start that was found (as DART, Laskey et al., arXiv
1703.09327); and those after it, in which the policy is to stay what it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.imitation.regression import FitConfig, Fitted, Pairs, Point, fit
from agents.policy import Policy
from agents.search.offsets import Disturb, Float32, play
from agents.search.start import FoundStart, scored_config
from environment.seeds import drawn_seed
from environment.vector import ONLY_WHEN_ASKED, ProstheticsVectorEnv

_AFTER = 4
"""Decisions after the last offset that count as near the start."""


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """What is shown, and how long it is learned."""

    episodes: int = 64
    """Whole ones; their decisions after the start."""
    disturbed: int = 96
    """Starts."""
    disturbances: tuple[float, ...] = (0.01, 0.03, 0.06, 0.1)
    """Standard deviations of what is added to actions in disturbed starts, in turn."""
    shares: tuple[float, float, float] = (0.25, 0.25, 0.5)
    """Of a batch: the led start, near it, after it."""
    bodies: int = 32
    """Simulated at once."""
    fit: FitConfig
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("episodes", "disturbed", "bodies"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 2: some of each are held out")
        if not self.disturbances or min(self.disturbances) <= 0:
            raise ValueError(f"disturbances={self.disturbances} must be some numbers above 0")
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"shares={self.shares} must be above 0 and 1 together")


def distil(
    policy: Policy,
    found: FoundStart,
    config: DistilConfig,
    *,
    threads: int = 1,
    tell: Callable[[Point], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Policy, Fitted]:
    """The policy that starts as `found` says. Stopped, it gives what it has.

    Raises: ValueError, FloatingPointError.
    """
    led = len(found.offsets)
    with closing(_environment(policy, config, threads)) as environment:
        whole = _shown(environment, policy, found, config.episodes, config, None)
        near = _shown(environment, policy, found, config.disturbed, config, led + _AFTER)
    kinds = (whole.where(whole.number < led), near, whole.where(whole.number >= led))
    if not len(kinds[-1].seen):
        raise ValueError("every episode is over before its start is; needed a policy that goes on after it")
    rows = round(max(len(kind.seen) / share for kind, share in zip(kinds, config.shares, strict=True)))
    shown = [kind.repeated(round(rows * share)) for kind, share in zip(kinds, config.shares, strict=True)]
    pairs = Pairs(
        policy.normaliser(np.concatenate([kind.seen for kind in shown])),
        np.concatenate([kind.action for kind in shown]),
    )
    away = np.concatenate([kind.held_out for kind in shown])
    actor = copy.deepcopy(policy.actor).requires_grad_(True)
    fitted = fit(actor, pairs[~away], pairs[away], config.fit, tell, stop)
    return Policy(actor, policy.normaliser, policy.contract, version=policy.version), fitted


@dataclass(frozen=True, slots=True)
class _Shown:
    """Decisions, one per row."""

    seen: Float32
    action: Float32
    number: NDArray[np.int64]
    """Of the decision in its episode."""
    held_out: NDArray[np.bool_]
    """Whole episodes."""

    def where(self, mask: NDArray[np.bool_]) -> _Shown:
        return _Shown(self.seen[mask], self.action[mask], self.number[mask], self.held_out[mask])

    def repeated(self, rows: int) -> _Shown:
        """As many rows as asked for, over and over in their order."""
        places = np.arange(rows) % len(self.seen)
        return _Shown(self.seen[places], self.action[places], self.number[places], self.held_out[places])


def _environment(policy: Policy, config: DistilConfig, threads: int) -> ProstheticsVectorEnv:
    return ProstheticsVectorEnv(scored_config(policy), config.bodies, threads=threads, autoreset_mode=ONLY_WHEN_ASKED)


def _shown(
    environment: ProstheticsVectorEnv,
    policy: Policy,
    found: FoundStart,
    episodes: int,
    config: DistilConfig,
    decisions: int | None,
) -> _Shown:
    """Decisions of so many episodes; disturbed ones, where a number of `decisions` is given."""
    generator = np.random.default_rng([config.seed, 0 if decisions is None else 1])
    parts: list[_Shown] = []
    for group in range(0, episodes, config.bodies):
        playing = min(config.bodies, episodes - group)
        seeds = [drawn_seed(generator) for _ in range(config.bodies)]
        held_out = (group + np.arange(config.bodies)) % 10 == 0
        disturb = None if decisions is None else _disturb(group + np.arange(config.bodies), config, generator)
        for decided in play(environment, policy, seeds, found.offsets, decisions, disturb):
            rows = np.flatnonzero(decided.playing[:playing])
            number = np.full(len(rows), decided.number)
            parts.append(_Shown(decided.seen[rows], decided.action[rows], number, held_out[rows]))
    return _Shown(
        np.concatenate([part.seen for part in parts]),
        np.concatenate([part.action for part in parts]),
        np.concatenate([part.number for part in parts]),
        np.concatenate([part.held_out for part in parts]),
    )


def _disturb(episodes: NDArray[np.int64], config: DistilConfig, generator: np.random.Generator) -> Disturb:
    sizes = np.array(config.disturbances)[episodes % len(config.disturbances), None]

    def disturb(actions: Float32) -> Float32:
        noise = sizes * generator.standard_normal(actions.shape)
        return np.clip(actions + noise, -1.0, 1.0).astype(np.float32)

    return disturb
