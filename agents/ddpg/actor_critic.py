"""What all variants share: one actor, some critics, their targets, one update, and the state to go on from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.checkpoints.contract import Blob
from agents.ddpg.binning import binned, binned_straight_through
from agents.ddpg.contract import AlgorithmConfig, SmoothedConfig
from agents.ddpg.heads import Head, ValueHead
from agents.ddpg.losses import actor_loss, smoothed
from agents.ddpg.trained import Trained
from agents.experience import Batch
from agents.networks import Actor, Critics

SATURATED = 0.99


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch's columns as float32 tensors on the device."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor
    weight: Tensor

    @staticmethod
    def of(batch: Batch, device: torch.device) -> Rows:
        # Copies: tensors of torch's own memory have one alignment, so the same numbers give the same sums.
        return Rows(
            *(
                torch.tensor(getattr(batch, field.name), dtype=torch.float32, device=device)
                for field in dataclasses.fields(Rows)
            )
        )


class ActorCritic:
    """Base of the variants. Each gives its critics: how many, of which form, and what their outputs mean."""

    name: str
    climbs_all = False
    """Whether the actor climbs the mean of all critics, and not the first one."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        config: AlgorithmConfig,
        *,
        critics: int,
        head: Head | None = None,
        network: str = "mlp",
        critic_hidden: Sequence[int] | None = None,
        weight_decay: float = 0.0,
        identity: Mapping[str, Any] | None = None,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        """Fresh networks.

        Args:
            network: of actor and critics, as in `agents.networks`.
            critic_hidden: None: as the actor's.
            identity: what a stored state must agree in, beside what all variants must.
        """
        self.device = torch.device(device)
        # On the CPU even when the networks are not: the same noise on every device, and one state to save.
        self.generator = torch.Generator().manual_seed(seed)
        self.updates = 0
        self.td_error: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self._head = head or ValueHead()
        actor = Actor(observation_size, action_size, config.hidden, network=network, generator=self.generator)
        ensemble = Critics(
            observation_size,
            action_size,
            config.hidden if critic_hidden is None else critic_hidden,
            count=critics,
            outputs=self._head.outputs,
            network=network,
            generator=self.generator,
        )
        decay, where = weight_decay, self.device
        self._actor = Trained("actor", actor, config, lr=config.actor_lr, weight_decay=decay, device=where)
        self._critics = Trained("critic", ensemble, config, lr=config.critic_lr, weight_decay=decay, device=where)
        self._tau, self._bins, self._penalty = config.tau, config.bins, config.action_penalty
        self._copy_updates = config.target_copy_updates
        self._smoothing = config if isinstance(config, SmoothedConfig) else None
        self._identity: dict[str, Any] = {
            "algorithm": self.name,
            "observation_size": observation_size,
            "action_size": action_size,
            "hidden": list(config.hidden),
            **self._head.identity,
            **(identity or {}),
        }

    @property
    def actor(self) -> Actor:
        return self._actor.network

    def state(self) -> Blob:
        tensors = self._actor.arrays() | self._critics.arrays()
        tensors["generator"] = self.generator.get_state().numpy().copy()
        return Blob(tensors, {"algorithm": {**self._identity, "updates": self.updates}})

    def restore(self, blob: Blob) -> None:
        found = dict(blob.metadata.get("algorithm", {}))
        updates = found.pop("updates", None)
        if found != self._identity or updates is None:
            raise ValueError(
                f"the blob holds {found or 'no algorithm'}, needed {self._identity}; "
                "was the run's algorithm, observation or network size changed?"
            )
        self._actor.load(blob.tensors)
        self._critics.load(blob.tensors)
        self.generator.set_state(torch.tensor(blob.tensors["generator"]))
        self.updates = int(updates)

    def update(self, batch: Batch) -> dict[str, float]:
        rows = Rows.of(batch, self.device)
        metrics = self._fit_critics(rows, self._target(rows))
        if (self.updates + 1) % (self._smoothing.policy_delay if self._smoothing else 1) == 0:
            metrics |= self._improve_actor(rows.observation)
            self._follow()
        self.updates += 1
        return as_floats(metrics)

    @torch.no_grad()
    def _target(self, rows: Rows) -> Tensor:
        """What the critics should say: r + discount Z'(s', a'), in the form of the head."""
        outputs = self._critics.target(rows.next_observation, self._next_action(rows.next_observation))
        return self._head.target(rows.reward, rows.discount, outputs)

    def _next_action(self, observation: Tensor) -> Tensor:
        """(B, M) a' = mu'(s'), smoothed by noise where the variant does that, and binned."""
        action = self._actor.target(observation)
        if self._smoothing is not None:
            noise = self._smoothing.target_noise * torch.randn(action.shape, generator=self.generator)
            action = smoothed(action, noise.to(self.device), self._smoothing.noise_clip)
        return binned(action, self._bins)

    def _fit_critics(self, rows: Rows, target: Tensor) -> dict[str, Tensor]:
        """One step of the critics towards the targets. The executed action is judged."""
        outputs = self._critics.network(rows.observation, rows.action)
        loss = self._head.loss(outputs, target, rows.weight)
        self._critics.step(loss, self.updates)
        with torch.no_grad():
            value, expected = self._head.value(outputs), self._head.expected(target)
            error = (value - expected).abs().mean(dim=0)
            self.td_error = error.cpu().numpy()
            return {
                "critic/loss": loss.detach(),
                "critic/value": value.mean(),
                "critic/target": expected.mean(),
                "critic/td_error": error.mean(),
                **self._head.metrics(target),
            }

    def _improve_actor(self, observation: Tensor) -> dict[str, Tensor]:
        """One step of the actor up the critics' value of its own actions."""
        drive = self._actor.network.drive(observation)
        action = torch.tanh(drive)
        critics = self._critics.network if self.climbs_all else self._critics.network.first
        with self._critics.held():
            value = self._head.value(critics(observation, binned_straight_through(action, self._bins))).mean()
        self._actor.step(actor_loss(value, drive, self._penalty), self.updates)
        with torch.no_grad():
            return {"actor/value": value.detach(), "actor/saturated": (action.abs() > SATURATED).float().mean()}

    def _follow(self) -> None:
        """Moves the targets by tau, or copies the networks when it is time for that."""
        if self._copy_updates is None:
            tau = self._tau
        elif (self.updates + 1) % self._copy_updates == 0:
            tau = 1.0
        else:
            return
        self._actor.follow(tau)
        self._critics.follow(tau)


def as_floats(metrics: dict[str, Tensor]) -> dict[str, float]:
    """Brings all metrics over at once: one wait for the device, not one each."""
    return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))
