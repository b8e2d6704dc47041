"""Which offsets to a policy's first decisions earn most: a search over one start, which every episode shares."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.official.rules import AS_OSIM_RL, BatchPolicy, body_of, check_fits, environment_of, on_native
from agents.policy import Policy
from agents.search.evolution import Evolution, EvolutionConfig
from agents.search.offsets import play
from environment.config import EnvironmentConfig
from environment.timestep import CONTROL_STEP_S
from environment.vector import ONLY_WHEN_ASKED, ProstheticsVectorEnv

Float64 = NDArray[np.float64]
_SEED = 2**16
"""Of all episodes here. It decides when targets change, which is later than the search looks: any other would do as
well. No score is of it."""
_LARGEST = 2.0
"""Offset: from one end of what an action can be to the other."""
_ALIKE_S = 2.4
"""The challenge's targets first change after 3 s; in one episode of seven thousand before this."""
_LARGEST_REWARD = 10.0
"""Of a control step in round 2."""


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """How much of an episode is searched, and how much of it counts."""

    led_s: float = 1.0
    """Decisions before it have offsets."""
    after_s: float = 1.2
    """Of what comes then, which counts too: a start has to lead somewhere."""
    apart_points: float = 10.0
    """What it costs to be elsewhere at the end than without offsets, by a standard deviation in every number that is
    seen: the policy knows what comes then in its own stride."""
    evolution: EvolutionConfig = field(default_factory=EvolutionConfig)

    def __post_init__(self) -> None:
        if not self.apart_points >= 0:
            raise ValueError(f"apart_points={self.apart_points:g} must be at least 0")
        if not self.led_s > 0 or not self.after_s >= 0 or self.judged_s > _ALIKE_S:
            raise ValueError(
                f"led_s={self.led_s:g} must be above 0, after_s={self.after_s:g} at least 0, and together at most "
                f"{_ALIKE_S:g}: later on targets change, and episodes are no longer alike"
            )

    @property
    def judged_s(self) -> float:
        """The return until then is what counts."""
        return self.led_s + self.after_s


@dataclass(frozen=True, slots=True)
class Point:
    """Of the search's curve: points lost until `judged_s` of the most that can be earned, and for being apart then."""

    generation: int
    lost: float
    """With the mean's offsets."""
    least: float
    """The least of all means until now."""


@dataclass(frozen=True, slots=True)
class FoundStart:
    """What the search came to."""

    offsets: Float64
    """(K, M) of the best mean: to be added to the policy's first K actions."""
    lost_before: float
    """Points lost until `judged_s` by the policy itself."""
    lost: float
    """With the offsets, and what it costs to be apart."""


def scored_config(policy: BatchPolicy) -> EnvironmentConfig:
    """Round 2 as official scores have it, on the native engine."""
    contract = policy.contract
    return on_native(environment_of(contract, f"{body_of(contract)}-round2"), AS_OSIM_RL)


def held_steps(policy: BatchPolicy) -> int:
    """Control steps of a decision. Raises: ValueError for a policy with drawn holds."""
    held = policy.contract.frame_skip
    if not isinstance(held, int):
        raise ValueError(
            f"the policy's frame skip is drawn, {held}, so its episodes begin in many ways; a start is searched for a "
            "policy with one frame skip"
        )
    return held


def search_start(
    policy: Policy,
    config: StartConfig,
    *,
    threads: int = 1,
    tell: Callable[[Point], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> FoundStart:
    """Never worse than without offsets: those are where the search begins. Stopped, it gives what it has.

    Raises: PolicyMismatch, ValueError when a start can not be searched for this policy.
    """
    scored, held = scored_config(policy), held_steps(policy)
    led, judged = (max(1, round(seconds / (held * CONTROL_STEP_S))) for seconds in (config.led_s, config.judged_s))
    # One body more than samples: it plays the mean.
    bodies = 2 * config.evolution.pairs + 1
    with closing(ProstheticsVectorEnv(scored, bodies, threads=threads, autoreset_mode=ONLY_WHEN_ASKED)) as environment:
        check_fits(policy.contract, environment)
        evolution = Evolution((led, len(environment.physics.muscles)), _LARGEST, config.evolution)
        own, own_ends = _lost(environment, policy, evolution.mean, judged)
        best, least = evolution.mean, float(own[0])
        for generation in range(config.evolution.generations + 1):
            mean = evolution.mean
            lost, ends = _lost(environment, policy, np.concatenate([mean[None], evolution.ask()]), judged)
            lost += config.apart_points * np.square(ends - own_ends).mean(axis=1)
            if lost[0] < least:
                best, least = mean, float(lost[0])
            tell(Point(generation, float(lost[0]), least))
            if stop():
                break
            evolution.tell(-lost[1:])
    return FoundStart(best, float(own[0]), least)


def _lost(
    environment: ProstheticsVectorEnv, policy: Policy, offsets: Float64, decisions: int
) -> tuple[Float64, NDArray[np.float32]]:
    """(N,) points of those that can be earned in so many decisions; (N, O) what is seen at the last one, normalised.

    Args:
        offsets: As `play` takes them.
    """
    played = list(play(environment, policy, [_SEED] * environment.num_envs, offsets, decisions))
    most = _LARGEST_REWARD * decisions * held_steps(policy)
    lost: Float64 = most - np.sum([decided.rewards for decided in played], axis=0)
    return lost, policy.normaliser(played[-1].seen)
