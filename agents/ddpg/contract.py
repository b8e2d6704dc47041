"""What a learning algorithm promises, and the settings that the variants share."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob
from agents.ddpg.precision import PRECISIONS, Precision
from agents.ddpg.schedule import Schedule
from agents.experience import Batch
from agents.layers import FINAL_BOUND
from agents.networks import DEFAULT_HIDDEN, Actor


class Algorithm(Protocol):
    """Learns from batches. Observations come normalised, actions in [-1, 1]."""

    @property
    def name(self) -> str:
        """As in `build_algorithm`."""

    @property
    def actor(self) -> Actor:
        """The network being trained; `Policy(...)` takes a copy of it."""

    @property
    def mean(self) -> Actor | None:
        """Its running mean, where the settings ask for one: then that is the policy, and `actor` explores."""

    @property
    def updates(self) -> int:
        """Batches learned from, over the whole life of the run."""

    @property
    def td_error(self) -> NDArray[np.float32]:
        """(B,) absolute errors of the latest batch, mean over the critics: the new priorities. (0,) before it.

        Of distributions too it is the error of the expected return, so that priorities mean the same everywhere.
        """

    def update(self, batch: Batch) -> dict[str, float]:
        """Learns from one batch of normalised observations.

        Metrics, in units of the return: `critic/loss` (squared; of quantiles Huber's, of atoms a cross-entropy in
        nats), `critic/value`, `critic/target`, `critic/td_error`; after an actor update `actor/loss`, `actor/value`
        (of its own actions) and `actor/saturated` (share of actions beyond ±0.99, where the tanh passes almost no
        gradient); of atoms also `critic/at_ends` (share of the targets' probability on the two outermost).

        Raises: FloatingPointError for a loss that is not finite; the network it was for is not changed.
        """

    def state(self) -> Blob:
        """Everything needed to go on: networks, targets, optimisers, random state, counters."""

    def restore(self, blob: Blob) -> None:
        """Goes on bit for bit where `state` was taken (on the same machine and thread count).

        Tensors and metadata that are not the algorithm's own are ignored: a learner may add its own. Learning rates
        and other numbers of the configuration are not restored: those given to the constructor hold.

        Raises: ValueError when the blob holds another algorithm or networks of other sizes.
        """


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """Settings of all variants."""

    hidden: tuple[int, ...] = DEFAULT_HIDDEN
    """Widths of the hidden layers of actor and critics; empty: linear networks."""
    final_bound: float | None = FINAL_BOUND
    """Final layers start uniform in ± this, as DDPG's do (arXiv 1509.02971, section 7): first actions and values are
    near 0. None: in ±1/sqrt(inputs), as hidden layers do, and as the code of TD3's authors has it."""
    critic_norm: bool = False
    """Whether the critics' hidden layers are normalised before their ReLU (`mlp.NormedMlp`), which bounds what they say
    of actions that nobody has taken (RLPD, arXiv 2302.02948, section 4.2)."""
    actor_lr: float = 1e-4
    critic_lr: float = 1e-3
    lr_schedule: Schedule = field(default_factory=Schedule)
    """What both rates are multiplied by, as a run goes on; e.g. `{decay = "cosine", decay_updates = 1000000}`."""
    precision: Precision = "float32"
    """Of the hidden layers while learning. `bfloat16` is faster on a device that has it. Parameters, last layers,
    losses and Adam's moments stay float32, and so does what acts."""
    tau: float = 0.001
    """Share by which targets move towards the networks at each target update."""
    target_copy_updates: int | None = None
    """Updates after which the targets become copies of the networks, instead of moving by tau. None: they move."""
    gradient_clip: float | None = None
    """Largest norm of a network's gradient; None: not clipped."""
    action_penalty: float = 0.1
    """Weight of the mean squared drive (what the actor's tanh is taken of), in units of the critic's value; 0: none.
    Without it the actor saturates within a few hundred updates, long before the critic can tell actions apart."""
    bins: int | None = None
    """Levels an excitation can take in [0, 1]; None: continuous."""
    mean_updates: int | None = None
    """What is published as the policy, scored and exported, is the running mean of the actor, which reaches back so
    many updates, and a twentieth of all at most; workers explore with the actor itself. None: one network is both."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden is {self.hidden}, needed positive widths")
        if self.final_bound is not None and not 0 < self.final_bound < math.inf:
            raise ValueError(f"final_bound is {self.final_bound}, needed a positive number such as 0.003, or None")
        for name in ("actor_lr", "critic_lr"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise ValueError(f"{name} is {value}, needed a number between 0 and 1 such as 0.0003")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}, needed one of {', '.join(PRECISIONS)}")
        if self.target_copy_updates is not None and self.target_copy_updates < 1:
            raise ValueError(f"target_copy_updates is {self.target_copy_updates}, needed at least 1, or None for tau")
        if not 0 < self.tau <= 1:
            raise ValueError(f"tau is {self.tau}, needed 0 < tau <= 1; with 0 the targets never learn")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip is {self.gradient_clip}, needed a positive norm, or None for no clipping")
        if not 0 <= self.action_penalty < math.inf:
            raise ValueError(f"action_penalty is {self.action_penalty}, needed 0 or more; below 0 rewards saturation")
        if self.bins is not None and self.bins < 2:
            raise ValueError(f"bins is {self.bins}, needed at least 2 levels, or None for continuous actions")
        if self.mean_updates is not None and self.mean_updates < 1:
            raise ValueError(f"mean_updates is {self.mean_updates}, needed at least 1 such as 20000, or None")


@dataclass(frozen=True, kw_only=True)
class SmoothedConfig(AlgorithmConfig):
    """Settings of the variants that descend from TD3."""

    actor_lr: float = 3e-4
    critic_lr: float = 3e-4
    tau: float = 0.005
    policy_delay: int = 2
    """Critic updates per update of the actor."""
    target_noise: float = 0.2
    """Deviation of the noise on target actions, in [-1, 1] action units; 0: none."""
    noise_clip: float = 0.5
    """That noise stays in ±noise_clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy_delay < 1:
            raise ValueError(f"policy_delay is {self.policy_delay}, needed at least 1 critic update per actor update")
        if self.target_copy_updates is not None and self.target_copy_updates % self.policy_delay:
            raise ValueError(
                f"target_copy_updates is {self.target_copy_updates}, needed a multiple of policy_delay = "
                f"{self.policy_delay}, after which actor and targets move"
            )
        for name in ("target_noise", "noise_clip"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, needed 0 or more")
