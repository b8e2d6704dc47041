"""Deep deterministic policy gradient (Lillicrap et al., arXiv 1509.02971)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.ddpg.actor_critic import ActorCritic, Rows, as_floats
from agents.ddpg.binning import binned
from agents.ddpg.contract import AlgorithmConfig
from agents.ddpg.losses import value_target
from agents.experience import Batch


@dataclass(frozen=True, kw_only=True)
class DDPGConfig(AlgorithmConfig):
    """The paper's numbers: learning rates 1e-4 and 1e-3, tau 0.001."""


class DDPG(ActorCritic):
    """One critic; actor, critic and targets move at every update."""

    name = "ddpg"

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: DDPGConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.config = config or DDPGConfig()
        super().__init__(observation_size, action_size, self.config, critics=1, device=device, seed=seed)

    def update(self, batch: Batch) -> dict[str, float]:
        rows = Rows.of(batch, self.device)
        metrics = self._fit_critics(rows, self._target(rows))
        metrics |= self._improve_actor(rows.observation)
        self._follow()
        self.updates += 1
        return as_floats(metrics)

    @torch.no_grad()
    def _target(self, rows: Rows) -> Tensor:
        """(B,) r + discount Q'(s', mu'(s'))"""
        action = binned(self._actor.target(rows.next_observation), self._bins)
        return value_target(rows.reward, rows.discount, self._critics.target(rows.next_observation, action)[0])
