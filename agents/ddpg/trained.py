"""A network in training: itself, its slowly following target and its optimiser."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
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
        # On a GPU a tensor: a captured step reads it anew each time it is replayed.
        self._rate: float | Tensor = lr if device.type == "cpu" else torch.tensor(lr, device=device)
        self._rate_told = lr
        self.network = network.to(device)
        use_precision(self.network, config.precision, device)
        self.target = copy.deepcopy(self.network).requires_grad_(False)
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._following: list[Tensor] = list(self.target.parameters())
        self._adam = Adam(self._parameters, weight_decay=weight_decay)
        self._follow: Callable[[list[Tensor], list[Tensor], float], None] = _follow

    def set_rate(self, updates: int) -> None:
        """The learning rate of the update after so many; the schedule goes by them."""
        rate = self._lr * self._schedule.factor(updates)
        if isinstance(self._rate, float):
            self._rate = rate
        elif rate != self._rate_told:
            self._rate.fill_(rate)
        self._rate_told = rate

    def step(self, loss: Tensor, finite: Tensor) -> None:
        """One Adam step down the loss's gradient; other networks in the loss are left alone.

        Args:
            finite: as in `Adam.step`; a tensor, so that nobody waits for it.
        """
        for parameter in self._parameters:
            parameter.grad = None
        torch.autograd.backward(loss, inputs=self._parameters)
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.gradient_clip)
        self._adam.step(self._rate, loss.detach(), finite)

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
        self._follow(self._following, self._parameters, tau)

    def compile(self) -> None:
        """Lets torch compile what `step` does after the gradients, and `follow`, when they are first called."""
        self._adam.compile()
        self._follow = torch.compile(_follow)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Network, target, Adam's moments and step counts, as arrays under `name/`."""
        arrays = arrays_of(self.network, f"{self.name}/network") | arrays_of(self.target, f"{self.name}/target")
        return arrays | self._adam.arrays(f"{self.name}/adam")

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Takes over what `arrays` gave. Raises: ValueError when sizes differ."""
        load_arrays(self.network, arrays, f"{self.name}/network")
        load_arrays(self.target, arrays, f"{self.name}/target")
        self._adam.load(arrays, f"{self.name}/adam")


def _follow(targets: list[Tensor], online: list[Tensor], tau: float) -> None:
    torch._foreach_lerp_(targets, online, tau)
