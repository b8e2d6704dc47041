"""Distributed distributional DDPG (D4PG; Barth-Maron et al., arXiv 1804.08617, algorithm 1 and appendix A).

    Y = Φ(r + d Z'(s', μ'(s')))              Φ: back onto the atoms (`categorical.projected`)
    the critic minimises mean w H(Y, Z(s, a)), a cross-entropy; the actor climbs mean E Z(s, μ(s))

DDPG whose critic tells the whole distribution of the return, as probabilities of atoms. The paper's n-step returns and
priorities come with the batch (`replay.n_step`, `replay.sampling`), its many actors are the workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.categorical import CategoricalHead, Support
from agents.ddpg.contract import AlgorithmConfig


@dataclass(frozen=True, kw_only=True)
class D4PGConfig(AlgorithmConfig):
    """The paper's learning rates; a support that holds the returns of rewards up to 1 at a gamma of 0.99."""

    actor_lr: float = 1e-4
    critic_lr: float = 1e-4
    tau: float = 0.01
    v_min: float = -100.0
    v_max: float = 100.0
    """The least and the most return that the critic can tell, in units of the scaled reward (`learner.reward_scale`).
    The metric `critic/at_ends` tells when it is too narrow."""
    atoms: int = 101

    def __post_init__(self) -> None:
        super().__post_init__()
        Support(v_min=self.v_min, v_max=self.v_max, atoms=self.atoms)


class D4PG(ActorCritic):
    """One categorical critic; actor, critic and targets move at every update."""

    name = "d4pg"

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: D4PGConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.config = c = config or D4PGConfig()
        head = CategoricalHead(Support(v_min=c.v_min, v_max=c.v_max, atoms=c.atoms), torch.device(device))
        super().__init__(observation_size, action_size, c, critics=1, head=head, device=device, seed=seed)
