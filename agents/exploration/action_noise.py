"""Noise that is added to the policy's action."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from agents.exploration.contract import Acts, Float32, Float64, clipped


class ActionNoise(ABC):
    """The policy's action plus noise, clipped; each kind says what noise."""

    def reset(self, policy: Acts) -> None:
        self._policy = policy

    def __call__(self, observation: Float32) -> Float32:
        return self.explored(self._policy(observation))

    def explored(self, action: Float32) -> Float32:
        return clipped(action + self.noise(len(action)))

    @abstractmethod
    def noise(self, size: int) -> Float64:
        """(size,) of the next decision."""

    @abstractmethod
    def describe(self) -> dict[str, Any]: ...
