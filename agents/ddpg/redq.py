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

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agents.ddpg.actor_critic import ActorCritic, Turn
from agents.ddpg.contract import SmoothedConfig
from agents.ddpg.on_device import Rows


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

    def turn(self) -> Turn:
        # Not only with the actor, as in TD3: the critics' targets must not stand still for G updates.
        return replace(super().turn(), tau=self._pull())

    def _draws(self, size: int) -> tuple[Tensor, ...]:
        noise = super()._draws(size)
        order = torch.rand(self.config.critics, generator=self.generator, device=self.device).argsort()
        return (*noise, order[: self.config.subset])

    @torch.no_grad()
    def _target(self, rows: Rows, noise: Tensor | None = None, drawn: Tensor | None = None) -> Tensor:
        assert drawn is not None
        action = self._next_action(rows.next_observation, noise)
        values = self._critics.target.some(drawn, rows.next_observation, action)
        return self._head.target(rows.reward, rows.discount, values)
