"""Randomised ensembled double Q-learning (REDQ; Chen et al., arXiv 2101.05982, algorithm 1), with TD3's actor.

    ã = clip(μ'(s') + clip(N(0, σ²), ±c), ±1)
    y = r + d min_{i in K} Q'ᵢ(s', ã),   K: M of the N critics, drawn anew for every update
    all N critics minimise mean w (Qᵢ(s, a) - y)²; all targets follow at every update
    at every G-th update the actor climbs the mean of all N at (s, μ(s))

What makes it learn from little data are many updates per timestep, G = 20 in the paper. That is not this file's
matter but the limiter's: `replay.samples_per_timestep` = G * `learner.batch_size`. `policy_delay` is the same G, so
that the actor moves once per timestep.

Deviations: the paper builds on SAC. Here the actor is deterministic, there is no entropy in target or actor loss, a'
comes from a target actor, and TD3's noise smooths it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.ddpg.actor_critic import ActorCritic, Rows, as_floats
from agents.ddpg.contract import SmoothedConfig
from agents.experience import Batch


@dataclass(frozen=True, kw_only=True)
class REDQConfig(SmoothedConfig):
    """The paper's numbers; TD3's for the noise."""

    policy_delay: int = 20
    critics: int = 10
    """N"""
    subset: int = 2
    """M; 1 is no caution at all, N is the minimum over all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.subset <= self.critics:
            raise ValueError(f"subset is {self.subset} of {self.critics} critics, needed 1 to all of them")


class REDQ(ActorCritic):
    """Many critics; the smallest value of a few, drawn at random, counts; the actor climbs all of them."""

    name = "redq"
    climbs_all = True

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: REDQConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.config = c = config or REDQConfig()
        super().__init__(
            observation_size,
            action_size,
            c,
            critics=c.critics,
            identity={"critics": c.critics},
            device=device,
            seed=seed,
        )

    def update(self, batch: Batch) -> dict[str, float]:
        rows = Rows.of(batch, self.device)
        metrics = self._fit_critics(rows, self._target(rows))
        if (self.updates + 1) % self.config.policy_delay == 0:
            metrics |= self._improve_actor(rows.observation)
        # Not only with the actor, as in TD3: the critics' targets must not stand still for G updates.
        self._follow()
        self.updates += 1
        return as_floats(metrics)

    @torch.no_grad()
    def _target(self, rows: Rows) -> Tensor:
        action = self._next_action(rows.next_observation)
        drawn = torch.randperm(self.config.critics, generator=self.generator)[: self.config.subset].tolist()
        values = self._critics.target.some(drawn, rows.next_observation, action)
        return self._head.target(rows.reward, rows.discount, values)
