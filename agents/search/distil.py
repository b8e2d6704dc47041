"""A policy that does by itself what another one does with offsets to its first decisions.

Least squares on three kinds of decisions: those of the led start, which are the same in every episode; those near it,
from starts that are disturbed, so that it comes back to the start that was found (DART, Laskey et al., arXiv
1703.09327); and those after it, in which the policy is to stay what it was. Then the new policy plays itself, what it
should have done where it came to is added, and the fit goes on (DAgger, Ross et al., arXiv 1011.0686).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.imitation.regression import FitConfig, Fitted, Pairs, Point, fit
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.policy import Policy
from agents.search.offsets import Does, Float32, play
from agents.search.start import FoundStart, scored_config
from environment.seeds import drawn_seed
from environment.vector import ONLY_WHEN_ASKED, ProstheticsVectorEnv

_AFTER = 4
"""Decisions after the last offset that count as near the start."""


@dataclass(frozen=True, kw_only=True)
class DistilConfig:
    """What is shown, and how long it is learned."""

    episodes: int = 64
    """Whole ones in every round: led in the first, the new policy's own in those after it."""
    disturbed: int = 96
    """Starts."""
    disturbances: tuple[float, ...] = (0.01, 0.03, 0.06, 0.1)
    """Standard deviations of what is added to actions in disturbed starts, in turn."""
    rounds: int = 3
    """Of playing and fitting."""
    shares: tuple[float, float, float] = (0.25, 0.25, 0.5)
    """Of a batch: the led start, near it, after it."""
    bodies: int = 32
    """Simulated at once."""
    fit: FitConfig
    """Of every round."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"rounds={self.rounds} must be at least 1")
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
    led, actor = len(found.offsets), copy.deepcopy(policy.actor).requires_grad_(True)

    def learned(near: _Shown, whole: _Shown) -> tuple[Policy, Fitted]:
        kinds = (whole.where(whole.number < led), near, whole.where(whole.number >= led))
        fitted = _fit(actor, policy.normaliser, kinds, config, tell, stop)
        return Policy(actor, policy.normaliser, policy.contract, version=policy.version), fitted

    with closing(_environment(policy, config, threads)) as environment:
        show = _Show(environment, policy, found, config, np.random.default_rng(config.seed))
        near, whole = show.disturbed(led + _AFTER), show.episodes(None)
        if whole.number.max() < led:
            raise ValueError("every episode is over before its start is; needed a policy that goes on after it")
        student, fitted = learned(near, whole)
        for _ in range(1, config.rounds):
            if stop():
                break
            whole = whole.with_(show.episodes(student))
            student, fitted = learned(near, whole)
    return student, fitted


def _fit(
    actor: Actor,
    normaliser: Normaliser,
    kinds: Sequence[_Shown],
    config: DistilConfig,
    tell: Callable[[Point], None],
    stop: Callable[[], bool],
) -> Fitted:
    """Fits `actor` to what is shown, every kind by its share."""
    rows = round(max(len(kind.seen) / share for kind, share in zip(kinds, config.shares, strict=True)))
    shown = [kind.repeated(round(rows * share)) for kind, share in zip(kinds, config.shares, strict=True)]
    together = shown[0].with_(*shown[1:])
    pairs = Pairs(normaliser(together.seen), together.action)
    return fit(actor, pairs[~together.held_out], pairs[together.held_out], config.fit, tell, stop)


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

    def with_(self, *others: _Shown) -> _Shown:
        """These rows, then those of the others."""
        all_of_them = (self, *others)
        return _Shown(
            np.concatenate([one.seen for one in all_of_them]),
            np.concatenate([one.action for one in all_of_them]),
            np.concatenate([one.number for one in all_of_them]),
            np.concatenate([one.held_out for one in all_of_them]),
        )


def _environment(policy: Policy, config: DistilConfig, threads: int) -> ProstheticsVectorEnv:
    return ProstheticsVectorEnv(scored_config(policy), config.bodies, threads=threads, autoreset_mode=ONLY_WHEN_ASKED)


@dataclass(frozen=True, slots=True)
class _Show:
    """Plays episodes and tells what was to be done in them."""

    environment: ProstheticsVectorEnv
    policy: Policy
    found: FoundStart
    config: DistilConfig
    generator: np.random.Generator

    def disturbed(self, decisions: int) -> _Shown:
        """Starts of so many decisions in which something else is done."""
        config = self.config
        sizes = np.array(config.disturbances)[np.arange(config.bodies) % len(config.disturbances), None]

        def does(_: Float32, action: Float32) -> Float32:
            noise = sizes * self.generator.standard_normal(action.shape)
            return np.clip(action + noise, -1.0, 1.0).astype(np.float32)

        return self._shown(config.disturbed, decisions, does)

    def episodes(self, student: Policy | None) -> _Shown:
        """Whole ones, in which the student acts; None: what it is to learn is done."""
        return self._shown(self.config.episodes, None, None if student is None else lambda seen, _: student(seen))

    def _shown(self, episodes: int, decisions: int | None, does: Does | None) -> _Shown:
        bodies, parts = self.config.bodies, list[_Shown]()
        for group in range(0, episodes, bodies):
            seeds = [drawn_seed(self.generator) for _ in range(bodies)]
            held_out = (group + np.arange(bodies)) % 10 == 0
            for decided in play(self.environment, self.policy, seeds, self.found.offsets, decisions, does):
                rows = np.flatnonzero(decided.playing[: episodes - group])
                number = np.full(len(rows), decided.number)
                parts.append(_Shown(decided.seen[rows], decided.action[rows], number, held_out[rows]))
        return parts[0].with_(*parts[1:])
