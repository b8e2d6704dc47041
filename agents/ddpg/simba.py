"""TD3 in the modern form: layer-normalised residual networks, weight decay, large batches, atoms if wanted.

The networks are SimBa's (Lee et al., arXiv 2410.09754, section 4). With h the hidden width, every x_l of h numbers:

    x_0 = W s + b                              s: the observation, normalised by running statistics
    x_{l+1} = x_l + MLP(LayerNorm(x_l))        MLP: h -> 4h -> h, ReLU between
    output = W' LayerNorm(x_L) + b'

so there is a linear way through, and what the last layer sees is always of one size. AdamW decays all weights. Targets
and losses are TD3's; with `atoms` they are D4PG's, and of the two target distributions the one of smaller mean counts.

FastTD3 (Seo et al., arXiv 2505.22642) has the atoms, the decay and the noise, on plain networks, with many simulations
and batches of up to 32,768 (`learner.batch_size` here).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from agents.ddpg.actor_critic import ActorCritic
from agents.ddpg.categorical import CategoricalHead, Support
from agents.ddpg.contract import SmoothedConfig


@dataclass(frozen=True, kw_only=True)
class SimbaConfig(SmoothedConfig):
    """The SimBa paper's numbers; TD3's for noise and delay."""

    hidden: tuple[int, ...] = (128,)
    """One width for each residual block of the actor; all the same."""
    critic_hidden: tuple[int, ...] = (512, 512)
    """The same of the critics."""
    actor_lr: float = 1e-4
    critic_lr: float = 1e-4
    weight_decay: float = 0.01
    """Share of every weight that is taken off at each step, times the learning rate."""
    atoms: int | None = None
    """Of a categorical critic; None: the critics tell a value."""
    v_min: float = -100.0
    v_max: float = 100.0
    """Where the atoms are, as in D4PG."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "critic_hidden", tuple(self.critic_hidden))
        for name in ("hidden", "critic_hidden"):
            widths = getattr(self, name)
            if len(set(widths)) != 1 or widths[0] < 1:
                raise ValueError(
                    f"{name} is {widths}, needed the same width for every residual block, and one block or more"
                )
        if self.critic_norm:
            raise ValueError("critic_norm is True, but simba's networks are normalised as they are: leave it out")
        if not 0 <= self.weight_decay < 1:
            raise ValueError(f"weight_decay is {self.weight_decay}, needed 0 <= weight_decay < 1 such as 0.01")
        self.support()

    def support(self) -> Support | None:
        """Of the critics' atoms, if they have any."""
        return None if self.atoms is None else Support(v_min=self.v_min, v_max=self.v_max, atoms=self.atoms)


class Simba(ActorCritic):
    """TD3 on residual networks with weight decay, its critics telling values or distributions."""

    name = "simba"

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: SimbaConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        self.config = c = config or SimbaConfig()
        support = c.support()
        super().__init__(
            observation_size,
            action_size,
            c,
            critics=2,
            head=None if support is None else CategoricalHead(support, torch.device(device)),
            network="residual",
            critic_hidden=c.critic_hidden,
            weight_decay=c.weight_decay,
            identity={"critic_hidden": list(c.critic_hidden)},
            device=device,
            seed=seed,
        )
