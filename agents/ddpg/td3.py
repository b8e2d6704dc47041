"""Twin delayed DDPG (Fujimoto et al., arXiv 1802.09477, algorithm 1).

ã = clip(μ'(s') + clip(N(0, σ²), ±c), ±1)
y = r + d min(Q'₁(s', ã), Q'₂(s', ã))
both critics minimise mean w (Qᵢ(s, a) - y)²; at every second update the actor climbs mean Q₁(s, μ(s)) and all
targets follow
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.contract import SmoothedConfig


@dataclass(frozen=True, kw_only=True)
class TD3Config(SmoothedConfig):
    """The paper's numbers, with the learning rate of its authors' code."""


class TD3(ActorCritic):
    """Two critics whose smaller value counts, smoothed target actions, a delayed actor."""

    name = "td3"

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: TD3Config | None = None,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.config = config or TD3Config()
        super().__init__(observation_size, action_size, self.config, critics=2, device=device, seed=seed)
