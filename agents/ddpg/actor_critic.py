"""What all variants share: one actor, some critics, their targets, one update, and the state to go on from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.checkpoints.contract import Blob
from agents.ddpg.binning import binned, binned_straight_through
from agents.ddpg.by_hand import ByHand
from agents.ddpg.contract import AlgorithmConfig, SmoothedConfig
from agents.ddpg.heads import Head, ValueHead
from agents.ddpg.losses import actor_loss, smoothed
from agents.ddpg.mean_actor import MeanActor
from agents.ddpg.on_device import Rows, as_floats, restore_generator
from agents.ddpg.trained import Trained
from agents.experience import Batch
from agents.networks import Actor, Critics

SATURATED = 0.99


@dataclass(frozen=True, slots=True)
class Turn:
    """What an update does besides fitting the critics."""

    improves: bool
    """Whether the actor takes a step."""
    tau: float | None
    """How far the targets move; None: they stay."""


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
        # Of the CPU: the same seed gives the same networks on every device.
        start = torch.Generator().manual_seed(seed)
        self.updates = 0
        self.td_error: NDArray[np.float32] = np.zeros(0, dtype=np.float32)
        self.finite = torch.ones((), device=self.device)
        """1 while every loss was a finite number, since it was last set to 1; on the device."""
        self._head = head or ValueHead()
        sizes, widths = (observation_size, action_size), config.hidden if critic_hidden is None else critic_hidden
        alike: dict[str, Any] = {"final": config.final_bound, "generator": start}
        actor = Actor(*sizes, config.hidden, network=network, **alike)
        judge = "normed" if config.critic_norm else network
        ensemble = Critics(*sizes, widths, network=judge, count=critics, outputs=self._head.outputs, **alike)
        self.generator = start if self.device.type == "cpu" else torch.Generator(self.device).manual_seed(seed)
        """Of the noise; of the device, so that what draws from it can be captured in a graph."""
        decay, where = weight_decay, self.device
        self._actor = Trained("actor", actor, config, lr=config.actor_lr, weight_decay=decay, device=where)
        self._critics = Trained("critic", ensemble, config, lr=config.critic_lr, weight_decay=decay, device=where)
        self._mean = None if config.mean_updates is None else MeanActor(self._actor.network, config.mean_updates)
        self._tau, self._bins, self._penalty = config.tau, config.bins, config.action_penalty
        self._copy_updates = config.target_copy_updates
        # On a processor every operation costs its call; on a GPU a compiler joins them, which must see a graph.
        by_hand = self.device.type == "cpu" and network == "mlp"
        self._by_hand = ByHand(self._actor, self._critics, self._head) if by_hand else None
        # What every first layer would round an observation to by itself.
        rounds = self._by_hand is not None and config.precision == "bfloat16" and all((config.hidden, widths))
        self._observed = torch.bfloat16 if rounds else torch.float32
        self._smoothing = config if isinstance(config, SmoothedConfig) else None
        self._identity: dict[str, Any] = {
            "algorithm": self.name,
            "observation_size": observation_size,
            "action_size": action_size,
            "hidden": list(config.hidden),
            **({"critic_norm": True} if config.critic_norm else {}),
            **self._head.identity,
            **(identity or {}),
        }

    @property
    def actor(self) -> Actor:
        return self._actor.network

    @property
    def mean(self) -> Actor | None:
        return None if self._mean is None else self._mean.network

    def state(self) -> Blob:
        tensors = self._actor.arrays() | self._critics.arrays()
        if self._mean is not None:
            tensors |= self._mean.arrays()
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
        if self._mean is not None:
            self._mean.load(blob.tensors)
        restore_generator(self.generator, blob.tensors["generator"])
        self.finite.fill_(1.0)
        self.updates = int(updates)

    def update(self, batch: Batch) -> dict[str, float]:
        found, error = self.learn(Rows.of(batch, self.device, self._observed), self.turn())
        metrics, self.td_error = as_floats(found), error.cpu().numpy()
        for network in ("critic", "actor"):
            loss = metrics.get(f"{network}/loss", 0.0)
            if not math.isfinite(loss):
                self.finite.fill_(1.0)
                raise FloatingPointError(
                    f"the {network} loss is {loss}, needed a finite number; a non-finite number in the batch, or "
                    "training diverged: lower the learning rate or go back to an earlier checkpoint"
                )
        self.counted()
        return metrics

    def counted(self) -> None:
        """An update more was done: for whoever calls `learn`."""
        self.updates += 1
        if self._mean is not None:
            self._mean.follow()

    def turn(self) -> Turn:
        """What the next update does. Sets its learning rates."""
        self._actor.set_rate(self.updates)
        self._critics.set_rate(self.updates)
        improves = (self.updates + 1) % (self._smoothing.policy_delay if self._smoothing else 1) == 0
        return Turn(improves, self._pull() if improves else None)

    def learn(self, rows: Rows, turn: Turn) -> tuple[dict[str, Tensor], Tensor]:
        """One update on the device: its metrics, and the (B,) absolute errors. The caller says that it is `counted`.

        Nothing in it waits for the device, and what differs from one update to the next is in tensors that stay where
        they are, or in `turn`: so the work of a turn can be captured in a graph once, and replayed. A network whose
        loss is not finite keeps its parameters, and so does the actor then; `finite` tells.
        """
        draws = self._draws(len(rows.reward))
        metrics, error = self._fit_critics(rows, self._target(rows, *draws))
        if turn.improves:
            metrics |= self._improve_actor(rows.observation)
        if turn.tau is not None:
            self._actor.follow(turn.tau)
            self._critics.follow(turn.tau)
        return metrics, error

    def compile(self) -> None:
        """Lets torch compile what an update computes, each piece when it is first needed: tens of seconds."""
        self._by_hand = None
        for piece in ("_target", "_judged", "_climbed"):
            setattr(self, piece, torch.compile(getattr(self, piece)))
        self._actor.compile()
        self._critics.compile()

    def _draws(self, size: int) -> tuple[Tensor, ...]:
        """What is random in the target of so many rows."""
        if self._smoothing is None:
            return ()
        shape = (size, self.actor.action_size)
        return (torch.randn(shape, generator=self.generator, device=self.device),)

    @torch.no_grad()
    def _target(self, rows: Rows, noise: Tensor | None = None) -> Tensor:
        """What the critics should say: r + discount Z'(s', a'), in the form of the head."""
        outputs = self._critics.target(rows.next_observation, self._next_action(rows.next_observation, noise))
        return self._head.target(rows.reward, rows.discount, outputs)

    def _next_action(self, observation: Tensor, noise: Tensor | None) -> Tensor:
        """(B, M) a' = mu'(s'), smoothed by noise where the variant does that, and binned."""
        action = self._actor.target(observation)
        if self._smoothing is not None and noise is not None:
            action = smoothed(action, self._smoothing.target_noise * noise, self._smoothing.noise_clip)
        return binned(action, self._bins)

    def _fit_critics(self, rows: Rows, target: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """One step of the critics towards the targets. The executed action is judged."""
        if self._by_hand is not None:
            loss, outputs = self._by_hand.fit(rows, target)
            error, metrics = self._errors(outputs, target)
            self._critics.step(loss, self.finite)
        else:
            loss, error, metrics = self._judged(rows, target)
            self._critics.descend(loss, self.finite)
        return {"critic/loss": loss.detach(), **metrics}, error

    def _judged(self, rows: Rows, target: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss (), absolute errors of the expected return (B,), metrics."""
        outputs = self._critics.network(rows.observation, rows.action)
        return self._head.loss(outputs, target, rows.weight), *self._errors(outputs, target)

    @torch.no_grad()
    def _errors(self, outputs: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Absolute errors of the expected return (B,), metrics."""
        value, expected = self._head.value(outputs), self._head.expected(target)
        error = (value - expected).abs().mean(dim=0)
        metrics = {"critic/value": value.mean(), "critic/target": expected.mean(), "critic/td_error": error.mean()}
        return error, metrics | self._head.metrics(target)

    def _improve_actor(self, observation: Tensor) -> dict[str, Tensor]:
        """One step of the actor up the critics' value of its own actions."""
        if self._by_hand is not None:
            loss, value, action = self._by_hand.climb(
                observation, bins=self._bins, penalty=self._penalty, all_critics=self.climbs_all
            )
            self._actor.step(loss, self.finite)
        else:
            with self._critics.held():
                loss, value, action = self._climbed(observation)
            self._actor.descend(loss, self.finite)
        saturated = (action.detach().abs() > SATURATED).float().mean()
        return {"actor/loss": loss.detach(), "actor/value": value.detach(), "actor/saturated": saturated}

    def _climbed(self, observation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (), the value () that is climbed, actions (B, M)."""
        drive = self._actor.network.drive(observation)
        action = torch.tanh(drive)
        critics = self._critics.network if self.climbs_all else self._critics.network.first
        value = self._head.value(critics(observation, binned_straight_through(action, self._bins))).mean()
        return actor_loss(value, drive, self._penalty), value, action

    def _pull(self) -> float | None:
        """How far the targets move in the next update: by tau, or all the way when they are to be copies."""
        if self._copy_updates is None:
            return self._tau
        return 1.0 if (self.updates + 1) % self._copy_updates == 0 else None
