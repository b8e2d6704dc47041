"""Explorations that need the policy's network, and what happens where there is none."""

from __future__ import annotations

from typing import Any, Protocol

from agents.exploration.contract import Acts, Exploration, Float32
from agents.policy import Policy


class NetworkExploration(Protocol):
    """As `Exploration`, for policies that have a network."""

    def reset(self, policy: Policy) -> None: ...

    def __call__(self, observation: Float32) -> Float32: ...

    def describe(self) -> dict[str, Any]: ...


class WithFallback:
    """`exploration` where the policy has a network, else `otherwise`: the random policy, for one, has none.

    After `reset` it describes the one that acts.
    """

    def __init__(self, exploration: NetworkExploration, otherwise: Exploration) -> None:
        self._with_network, self._without = exploration, otherwise
        self._acting: NetworkExploration | Exploration = exploration

    def reset(self, policy: Acts) -> None:
        if isinstance(policy, Policy):
            self._acting = self._with_network
            self._with_network.reset(policy)
        else:
            self._acting = self._without
            self._without.reset(policy)

    def __call__(self, observation: Float32) -> Float32:
        return self._acting(observation)

    def describe(self) -> dict[str, Any]:
        return self._acting.describe()
