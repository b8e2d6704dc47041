"""No exploration."""

from __future__ import annotations

from typing import Any

from agents.exploration.contract import Acts, Float32, clipped


class NoExploration:
    """The policy's own action."""

    def reset(self, policy: Acts) -> None:
        self._policy = policy

    def __call__(self, observation: Float32) -> Float32:
        return self.explored(self._policy(observation))

    def explored(self, action: Float32) -> Float32:
        return clipped(action)

    def describe(self) -> dict[str, Any]:
        return {"kind": "none"}
