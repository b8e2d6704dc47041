"""Twin delayed DDPG (Fujimoto et al., arXiv 1802.09477)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.ddpg.actor_critic import ActorCritic, Rows, as_floats
from agents.ddpg.binning import binned
from agents.ddpg.contract import AlgorithmConfig
from agents.ddpg.losses import smoothed, value_target
from agents.experience import Batch


@dataclass(frozen=True, kw_only=True)
class TD3Config(AlgorithmConfig):
    """The paper's numbers, with the learning rate of its authors' code."""

    actor_lr: float = 3e-4
    critic_lr: float = 3e-4
    tau: float = 0.005
    policy_delay: int = 2
    """Critic updates per update of the actor and of the targets."""
    target_noise: float = 0.2
    """Deviation of the noise on target actions, in [-1, 1] action units; 0: none."""
    noise_clip: float = 0.5
    """That noise stays in ±noise_clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy_delay < 1:
            raise ValueError(f"policy_delay is {self.policy_delay}, needed at least 1 critic update per actor update")
        for name in ("target_noise", "noise_clip"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, needed 0 or more")


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

    def update(self, batch: Batch) -> dict[str, float]:
        rows = Rows.of(batch, self.device)
        metrics = self._fit_critics(rows, self._target(rows))
        if (self.updates + 1) % self.config.policy_delay == 0:
            metrics |= self._improve_actor(rows.observation)
            self._follow()
        self.updates += 1
        return as_floats(metrics)

    @torch.no_grad()
    def _target(self, rows: Rows) -> Tensor:
        """(B,) r + discount min_i Q'_i(s', mu'(s') + clipped noise)"""
        action = self._actor.target(rows.next_observation)
        noise = self.config.target_noise * torch.randn(action.shape, generator=self.generator)
        action = binned(smoothed(action, noise.to(self.device), self.config.noise_clip), self._bins)
        values = self._critics.target(rows.next_observation, action)
        return value_target(rows.reward, rows.discount, values.amin(dim=0))
