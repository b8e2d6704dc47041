"""Deep deterministic policy gradient (Lillicrap et al., arXiv 1509.02971, algorithm 1).

y = r + d Q'(s', μ'(s'))
the critic minimises mean w (Q(s, a) - y)²; the actor climbs mean Q(s, μ(s)); θ' ← θ' + τ (θ - θ')
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.contract import AlgorithmConfig


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
