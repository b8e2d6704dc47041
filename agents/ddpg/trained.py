"""A network in training: itself, its slowly following target and its optimiser."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.ddpg.adam import Adam
from agents.ddpg.contract import AlgorithmConfig
from agents.ddpg.precision import use_precision
from agents.networks import arrays_of, load_arrays

Network = TypeVar("Network", bound=nn.Module)


class Trained(Generic[Network]):
    """`network` learns by Adam, with decoupled weight decay if any; `target` follows it."""

    def __init__(
        self,
        name: str,
        network: Network,
        config: AlgorithmConfig,
        *,
        lr: float,
        device: torch.device,
        weight_decay: float = 0.0,
    ) -> None:
        """Raises: ValueError when the device does not have the configured precision."""
        self.name, self.gradient_clip = name, config.gradient_clip
        self._lr, self._schedule = lr, config.lr_schedule
        self.network = network.to(device)
        use_precision(self.network, config.precision, device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._following: list[Tensor] = list(self.target.parameters())
        self._adam = Adam(self._parameters, weight_decay=weight_decay)

    def step(self, loss: Tensor, updates: int) -> None:
        """One Adam step down the loss's gradient; other networks in the loss are left alone.

        Args:
            updates: of the run before this one; the schedule goes by them.

        Raises: FloatingPointError when the loss is not finite; nothing is changed then.
        """
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the {self.name} loss is {loss.item()}, needed a finite number; a non-finite number in the batch, "
                "or training diverged: lower the learning rate or go back to an earlier checkpoint"
            )
        for parameter in self._parameters:
            parameter.grad = None
        torch.autograd.backward(loss, inputs=self._parameters)
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.gradient_clip)
        self._adam.step(self._lr * self._schedule.factor(updates))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What is computed inside asks for no gradient of the network, only for one through it."""
        self.network.requires_grad_(False)
        try:
            yield
        finally:
            self.network.requires_grad_(True)

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """target += tau * (network - target), all parameters in one call."""
        torch._foreach_lerp_(self._following, self._parameters, tau)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Network, target, Adam's moments and step counts, as arrays under `name/`."""
        arrays = arrays_of(self.network, f"{self.name}/network") | arrays_of(self.target, f"{self.name}/target")
        return arrays | self._adam.arrays(f"{self.name}/adam")

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes over what `arrays` gave. Raises: ValueError when sizes differ."""
        load_arrays(self.network, arrays, f"{self.name}/network")
        load_arrays(self.target, arrays, f"{self.name}/target")
        self._adam.load(arrays, f"{self.name}/adam")
