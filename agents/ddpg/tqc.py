"""Truncated quantile critics (TQC; Kuznetsov et al., arXiv 2005.04269, section 4), with TD3's actor.

    ã = clip(μ'(s') + clip(N(0, σ²), ±c), ±1)
    z_1 <= z_2 <= ... are all N critics' M quantiles of Z'(s', ã) as one sample; its N dropped largest are left out
    Y = {r + d z_i}
    every critic minimises mean w ρ(Y - θ_m(s, a)), the quantile Huber loss (`quantiles.quantile_huber`)
    the actor climbs the mean of all quantiles of all critics at (s, μ(s))

How much is dropped sets the caution in small steps, where a minimum over critics knows only one.

Deviation: the paper builds on SAC, whose stochastic actor is paid for its entropy: there the target holds
z_i - α log π(ã|s') and the actor also climbs -α log π. Here the actor is deterministic, there is no α, and what the
spread of π did for the target is done by TD3's smoothing noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.contract import SmoothedConfig
from agents.ddpg.quantiles import QuantileHead


@dataclass(frozen=True, kw_only=True)
class TQCConfig(SmoothedConfig):
    """The paper's numbers; TD3's for the noise."""

    policy_delay: int = 1
    critics: int = 5
    quantiles: int = 25
    """Of each critic."""
    dropped: int = 2
    """Of the largest quantiles, as many times the number of critics are left out of the target. The paper's tasks
    differ most in this: 5 for Hopper, 0 for HalfCheetah, 2 for the others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critics < 1:
            raise ValueError(f"critics is {self.critics}, needed at least 1")
        if not 0 <= self.dropped < self.quantiles:
            raise ValueError(
                f"dropped is {self.dropped} of {self.quantiles} quantiles, needed 0 or more, and fewer than there are: "
                "nothing would be left to learn from"
            )


class TQC(ActorCritic):
    """Quantile critics whose largest quantiles do not count; the actor climbs all of them."""

    name = "tqc"
    climbs_all = True

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: TQCConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.config = c = config or TQCConfig()
        super().__init__(
            observation_size,
            action_size,
            c,
            critics=c.critics,
            head=QuantileHead(c.quantiles, c.dropped),
            identity={"critics": c.critics},
            device=device,
            seed=seed,
        )
