"""Another engine's episodes against the reference's: the same actions, the same targets, up to the fall."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environment.physics.contract import Physics
from infra.bench.fidelity.episodes import DEADLINE, Episode, play
from infra.bench.fidelity.references import Reference

FIRST_STEPS = 100
"""One second."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One episode in both engines, over the steps that both took."""

    name: str
    error_mm: NDArray[np.float64]
    """(T,) distance of the centres of mass after each step."""
    first_return_error_percent: float
    """Over the first second."""
    returns: tuple[float, float]
    """Of the whole episodes: the engine's, the reference's."""
    fall_steps: tuple[int | None, int | None]
    lengths: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over all episodes."""

    episodes: int
    steps: int
    first_error_mm: float
    """Largest distance of the centres of mass in the first second."""
    first_error_95_mm: float
    """95 of 100 episodes stay below it."""
    whole_error_mm: float
    """Largest distance over whole episodes."""
    whole_error_median_mm: float
    """Half of the episodes stay below it."""
    first_return_error_percent: float
    return_correlation: float
    """Of whole episodes; 1.0 when all returns are alike in both."""
    same_fall_step: float
    """Share of the episodes."""
    most_steps_apart: int
    """Between the ends of an episode in both."""
    worst: str
    """The episode with the largest error in the first second."""
    steps_per_s: float
    """Control steps per second of processor time, the environment included."""


def agreement(physics: Physics, references: Iterable[Reference]) -> Agreement:
    """Plays the references' actions in `physics`. References that met their deadline are passed over.

    Raises: ValueError when there is no reference.
    """
    pairs, seconds = [], 0.0
    for reference in references:
        if reference.episode.ended == DEADLINE:
            continue
        ours = play(physics, reference.policy, excitations=reference.episode.excitations)
        pairs.append(pair(reference.policy.name, ours, reference.episode))
        seconds += ours.seconds
    if not pairs:
        raise ValueError("there are no reference episodes to compare with; `bench references` computes them")
    return summary(pairs, seconds)


def doubtful(physics: Physics, references: Sequence[Reference], bound_mm: float) -> list[Reference]:
    """Those from which `physics` strays farther than the bound: either of the two may be the one that is off."""
    found = []
    for reference in references:
        ours = play(physics, reference.policy, excitations=reference.episode.excitations)
        if pair(reference.policy.name, ours, reference.episode).error_mm.max() > bound_mm:
            found.append(reference)
    return found


def pair(name: str, ours: Episode, truth: Episode) -> Pair:
    both = min(len(ours.rewards), len(truth.rewards))
    apart_m = np.linalg.norm(ours.mass_center_m[1 : both + 1] - truth.mass_center_m[1 : both + 1], axis=1)
    first = min(both, FIRST_STEPS)
    expected = truth.rewards[:first].sum()
    return Pair(
        name=name,
        error_mm=1e3 * apart_m,
        first_return_error_percent=float(100 * abs(ours.rewards[:first].sum() - expected) / abs(expected)),
        returns=(float(ours.rewards.sum()), float(truth.rewards.sum())),
        fall_steps=(ours.fall_step, truth.fall_step),
        lengths=(len(ours.rewards), len(truth.rewards)),
    )


def summary(pairs: list[Pair], seconds: float) -> Agreement:
    firsts = [float(one.error_mm[:FIRST_STEPS].max()) for one in pairs]
    wholes = [float(one.error_mm.max()) for one in pairs]
    returns = np.array([one.returns for one in pairs])
    return Agreement(
        episodes=len(pairs),
        steps=sum(one.lengths[0] for one in pairs),
        first_error_mm=max(firsts),
        first_error_95_mm=float(np.quantile(firsts, 0.95)),
        whole_error_mm=max(wholes),
        whole_error_median_mm=float(np.median(wholes)),
        first_return_error_percent=max(one.first_return_error_percent for one in pairs),
        return_correlation=_correlation(returns),
        same_fall_step=float(np.mean([one.fall_steps[0] == one.fall_steps[1] for one in pairs])),
        most_steps_apart=max(abs(ours - theirs) for ours, theirs in (one.lengths for one in pairs)),
        worst=pairs[int(np.argmax(firsts))].name,
        steps_per_s=sum(one.lengths[0] for one in pairs) / seconds,
    )


def _correlation(returns: NDArray[np.float64]) -> float:
    if len(returns) < 2 or not returns.std(axis=0).all():
        return float(np.allclose(returns[:, 0], returns[:, 1], rtol=1e-12, atol=0.0))
    return float(np.corrcoef(returns[:, 0], returns[:, 1])[0, 1])
