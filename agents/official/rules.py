"""Where a policy is scored: its task's own reward and limits, seen and moved as the policy was trained to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.policy import PolicyContract
from environment.config import OSIM_RL_ACCURACY, OSIM_RL_INTEGRATOR, EnvironmentConfig
from environment.imitation.build import fixed_clock_of
from environment.observations import Observation
from environment.physics.native.settings import NativeSettings
from environment.state import StateLayout

Float32 = NDArray[np.float32]

ACCURATE = NativeSettings("BogackiShampine32", 1e-6)
"""Of the native engine, for scores. Ten times tighter than rollouts: a policy that lives on their error falls here."""
AS_OSIM_RL = NativeSettings(OSIM_RL_INTEGRATOR, OSIM_RL_ACCURACY, stale_controls=True)
"""Of the native engine, as official scores are integrated, fault included: about the score of OpenSim, in seconds."""
Act = Callable[[Float32], Float32]
"""Observations (N, O), not normalised -> actions (N, M) in [-1, 1], one row for each episode."""
Actor = Callable[[Sequence[int]], Act]
"""Seeds (N,) of the episodes that begin -> what acts in them."""


class BatchPolicy(Protocol):
    """What is scored; `agents.policy.Policy` is one."""

    @property
    def contract(self) -> PolicyContract:
        """What it sees and moves."""

    def __call__(self, observation: Float32) -> Float32:
        """(N, O) not normalised -> (N, M) float32 in [-1, 1], without noise."""


class _Muscled(Protocol):
    @property
    def muscles(self) -> tuple[str, ...]: ...


class _Body(Protocol):
    """What is asked of `ProstheticsEnv` and `ProstheticsVectorEnv` alike."""

    config: EnvironmentConfig
    layout: StateLayout
    observe: Observation

    @property
    def physics(self) -> _Muscled: ...


def body_of(contract: PolicyContract) -> str:
    """`prosthetics` of a policy of `prosthetics-round2`: the same body is scored in both rounds."""
    return contract.task.rpartition("-")[0]


def environment_of(contract: PolicyContract, task: str, max_steps: int | None = None) -> EnvironmentConfig:
    """The environment of `task`, seen and moved as `contract` says, on the default physics."""
    return EnvironmentConfig(
        task=task,
        observation=contract.observation.partition("/")[0],
        clock=contract.clock,
        frame_skip=contract.frame_skip,
        bins=contract.bins,
        max_steps=max_steps,
    )


def on_native(config: EnvironmentConfig, settings: NativeSettings = ACCURATE) -> EnvironmentConfig:
    """The same on the native engine."""
    found = replace(
        config,
        physics="native",
        integrator=settings.integrator,
        accuracy=settings.accuracy,
        stale_controls=settings.stale_controls,
    )
    if found.physics_settings != settings:
        raise ValueError(f"scores are not made with {settings.name}: an environment has no such setting")
    return found


def on_opensim(config: EnvironmentConfig) -> EnvironmentConfig:
    """The same on OpenSim as osim-rl has it, faults included. A shorter limit stays."""
    return replace(config.official(), max_steps=config.max_steps)


def check_fits(contract: PolicyContract, environment: _Body) -> None:
    """Raises: PolicyMismatch when a policy of this contract can not act in `environment`, whatever its round."""
    config, muscles = environment.config, tuple(environment.physics.muscles)
    needed = PolicyContract(
        layout_sha256=environment.layout.sha256,
        observation=environment.observe.name,
        observation_size=len(environment.observe.names),
        action_size=len(muscles),
        frame_skip=config.frame_skip,
        bins=config.bins,
        action_names=muscles,
        task=config.task,
        clock=fixed_clock_of(config),
    )
    contract.check(needed, ignore=("task",))


def uniform(muscles: int) -> Actor:
    """The random baseline: uniform actions, which depend on the seed alone."""

    def begin(seeds: Sequence[int]) -> Act:
        generators = [np.random.default_rng([seed, 2]) for seed in seeds]  # 1 are the environment's frame skips
        return lambda _: np.stack([one.uniform(-1.0, 1.0, muscles) for one in generators]).astype(np.float32)

    return begin
