"""The learner where everything between two checkpoints stays on the GPU: drawing, gathering, normalising, updating.

What it learns is what `learner.Learner` learns, from other random numbers. It only hears from the device now and then,
so that neither waits for the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.checkpoints.contract import Blob
from agents.config import RunConfig
from agents.ddpg.actor_critic import ActorCritic, Turn
from agents.ddpg.on_device import Rows, as_floats
from agents.device_normaliser import DeviceNormaliser
from agents.device_reflection import DeviceExchange
from agents.graphs import Graphs
from agents.learner import Learner
from agents.policy import PolicyContract
from agents.replay.contract import Replay
from agents.replay.device_columns import DeviceColumns
from agents.replay.mirror import Mirror
from agents.replay.reflected import Exchange

_HEAR_EVERY = 100
"""Updates. Until then a loss that is not finite goes unheard; but it has changed nothing."""


@dataclass(frozen=True, slots=True)
class _Learned:
    """What an update leaves on the device."""

    metrics: dict[str, Tensor]
    error: Tensor
    """(B,)"""
    policy_version: Tensor
    """(B,)"""


class DeviceLearner(Learner):
    """Draws alike from all transitions on the device; any other way to sample draws on the host, and is slower."""

    algorithm: ActorCritic
    mirror: Mirror

    def __init__(
        self,
        config: RunConfig,
        algorithm: ActorCritic,
        mirror: Mirror,
        contract: PolicyContract,
        *,
        compiled: bool = False,
        exchange: Exchange | None = None,
    ) -> None:
        """`compiled`: torch compiles what is drawn and computed, in the first updates; minutes, the first time.
        `exchange`: of left and right, in a share of every batch.

        Raises: MemoryError when the mirror does not fit the device.
        """
        super().__init__(config, algorithm, mirror, contract)
        device, size = algorithm.device, config.learner.batch_size
        self._statistics = DeviceNormaliser(contract.observation_size, device)
        self._columns = DeviceColumns(mirror, device)
        self._graphs: Graphs[_Learned] = Graphs(device, algorithm.generator)
        self._uniform = config.replay.sampling.name == "uniform"
        self._exchange = None if exchange is None else DeviceExchange(exchange, size, device)
        # Where the host puts what it draws.
        self._number = torch.zeros(size, dtype=torch.int64, device=device)
        self._weight = torch.ones(size, device=device)
        self._last: _Learned | None = None
        self._batch = self._gathered
        if compiled:
            self._batch = torch.compile(self._gathered)
            algorithm.compile()

    def learn(self) -> None:
        self._columns.catch_up()
        number = None if self._uniform else self._drawn_by_host()
        turn = self.algorithm.turn()
        self._last = self._graphs(turn, lambda: self._update(turn))
        self.algorithm.counted()
        if number is not None:
            # What is drawn reflected comes first, and tells no error: see `Reflected.learned`.
            reflected = 0 if self._exchange is None else self._exchange.rows
            error = self._last.error.cpu().numpy()
            if not np.isfinite(error).all():
                self._hear()  # priorities are not made of what diverged
            self.mirror.learned(number[reflected:], error[reflected:])
        if self.updates % _HEAR_EVERY == 0:
            self._hear()

    def metrics(self) -> dict[str, float]:
        self._hear()
        return self._metrics

    def policy(self) -> Blob:
        self.normaliser.load_state_dict(self._statistics.state_dict())
        return super().policy()

    def state(self) -> Blob:
        self._hear()  # so that nothing is stored that diverged
        self.normaliser.load_state_dict(self._statistics.state_dict())
        return super().state()

    def restore(self, blob: Blob, replay: Replay, run: str) -> None:
        super().restore(blob, replay, run)
        self._statistics.load_state_dict(self.normaliser.state_dict())

    def roll_back(self, blob: Blob) -> None:
        super().roll_back(blob)
        self._statistics.load_state_dict(self.normaliser.state_dict())
        self._last = None

    def _update(self, turn: Turn) -> _Learned:
        """One update, all of it on the device."""
        uniform = None
        if self._uniform:
            algorithm, size = self.algorithm, len(self._number)
            uniform = torch.rand(size, dtype=torch.float64, generator=algorithm.generator, device=algorithm.device)
        rows, version = self._batch(uniform)
        metrics, error = self.algorithm.learn(rows, turn)
        return _Learned(metrics, error, version)

    @torch.no_grad()
    def _gathered(self, uniform: Tensor | None) -> tuple[Rows, Tensor]:
        """A batch, normalised, and the versions that acted: of numbers drawn by `uniform`, or by the host."""
        number = self._number if uniform is None else self._columns.drawn(uniform)
        found = self._columns.gathered(number)
        version = found.pop("policy_version")
        if self._exchange is not None:
            found = self._exchange(found)
        self._statistics.update(found["observation"])
        for name in ("observation", "next_observation"):
            found[name] = self._statistics(found[name])
        return Rows(**found, weight=self._weight), version

    def _drawn_by_host(self) -> Any:
        drawn = self.mirror.draw(len(self._number), self._generator)
        number, weight = drawn.number, drawn.weight
        if self._exchange is not None:  # some samplers draw in an order, and the first rows are reflected
            order = self._generator.permutation(len(number))
            number, weight = number[order], weight[order]
        self._number.copy_(torch.from_numpy(number))
        self._weight.copy_(torch.from_numpy(weight))
        return number

    def _hear(self) -> None:
        """Takes over what the device has to say. Raises: FloatingPointError."""
        if self._last is None:
            return
        told = as_floats({**self._last.metrics, "finite": self.algorithm.finite})
        self.ages.sampled(self._last.policy_version.cpu().numpy())
        self._last = None
        if told.pop("finite") != 1.0:
            self.algorithm.finite.fill_(1.0)
            raise FloatingPointError(
                f"a loss was not finite in one of the last {_HEAR_EVERY} updates, needed a finite number; a non-finite "
                "number in the batch, or training diverged: lower the learning rate or go back to an earlier checkpoint"
            )
        self._metrics |= told
