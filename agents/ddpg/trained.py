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
from agents.flat import Flat
from agents.mlp import Mlp
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
        # A GPU is left as it is: there a compiler joins what is done to many parameters.
        flat, following = (_flat(self.network), _flat(self.target)) if device.type == "cpu" else (None, None)
        self.flat = flat
        """Where the network's parameters lie, and the gradients of its next step are written; None on a GPU."""
        self._parameters: list[Tensor] = list(self.network.parameters())
        self._stepped = self._parameters if flat is None else [flat.values]
        self._following: list[Tensor] = list(self.target.parameters()) if following is None else [following.values]
        self._adam = Adam(self._stepped, weight_decay=weight_decay, split=None if flat is None else flat.views)
        self._follow: Callable[[list[Tensor], list[Tensor], float], None] = _follow

    def set_rate(self, updates: int) -> None:
        """The learning rate of the update after so many; the schedule goes by them."""
        rate = self._lr * self._schedule.factor(updates)
        if isinstance(self._rate, float):
            self._rate = rate
        elif rate != self._rate_told:
            self._rate.fill_(rate)
        self._rate_told = rate

    def descend(self, loss: Tensor, finite: Tensor) -> None:
        """One step down the gradient that torch derives of the loss; other networks in the loss are left alone."""
        for parameter in self._parameters:
            parameter.grad = None
        torch.autograd.backward(loss, inputs=self._parameters)
        if self.flat is not None:
            self.flat.gather()
        self.step(loss.detach(), finite)

    def step(self, loss: Tensor, finite: Tensor) -> None:
        """One Adam step down the gradients that are there.

        Args:
            loss: whose gradients they are.
            finite: as in `Adam.step`; a tensor, so that nobody waits for it.
        """
        if self.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._stepped, self.gradient_clip)
        self._adam.step(self._rate, loss, finite)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What is computed inside asks for no gradient of the network, only for one through it."""
        for parameter in self._parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self._parameters:
                parameter.requires_grad_(True)

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """target += tau * (network - target), all parameters in one call."""
        self._follow(self._following, self._stepped, tau)

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


def _flat(network: nn.Module) -> Flat:
    """Brings its parameters side by side, and tells a plain network in it where they are."""
    flat = Flat(network)
    for module in network.modules():
        if isinstance(module, Mlp):
            module.flat = flat
    return flat


def _follow(targets: list[Tensor], online: list[Tensor], tau: float) -> None:
    torch._foreach_lerp_(targets, online, tau)
