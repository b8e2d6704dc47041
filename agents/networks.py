"""The networks: an actor (observation -> action) and critics (observation, action -> value)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.layers import FINAL_BOUND, Which, stacked
from agents.mlp import Mlp, NormedMlp
from agents.residual_mlp import ResidualMlp

DEFAULT_HIDDEN = (400, 300)

NETWORKS: Mapping[str, type[Mlp] | type[ResidualMlp]] = {"mlp": Mlp, "residual": ResidualMlp}
"""By the name that a stored policy gives."""
_KINDS = {**NETWORKS, "normed": NormedMlp}
"""Those that critics can be, too."""


class Actor(nn.Module):
    """Observation (B, O), normalised -> action (B, M) in [-1, 1]; an excitation is `(action + 1) / 2`."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = DEFAULT_HIDDEN,
        *,
        network: str = "mlp",
        final: float | None = FINAL_BOUND,
        generator: torch.Generator | None = None,
    ) -> None:
        """`final`: where the final layer starts, see `layers.final_bound`.

        Raises: ValueError for a network of no known name, or hidden sizes that it can not have.
        """
        super().__init__()
        self.observation_size, self.action_size, self.hidden = observation_size, action_size, tuple(hidden)
        self.network = network
        self.body = _network(network, (observation_size, *hidden, action_size), generator or torch.Generator(), final)

    def forward(self, observation: Tensor) -> Tensor:
        return torch.tanh(self.drive(observation))

    def drive(self, observation: Tensor) -> Tensor:
        """(B, M) what the tanh is taken of. Beyond ±3 the tanh is flat, and the actor hardly learns."""
        drive: Tensor = self.body(observation)
        return drive


class Critics(nn.Module):
    """C independent critics of the same inputs: (B, O) and (B, M) -> values (C, B), or (C, B, K) with K > 1 outputs.

    Their weights are stacked, so that they compute together. In a stored state each has its own, under
    `bodies.0` and so on.
    """

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = DEFAULT_HIDDEN,
        *,
        count: int = 1,
        outputs: int = 1,
        network: str = "mlp",
        final: float | None = FINAL_BOUND,
        generator: torch.Generator | None = None,
    ) -> None:
        """Raises: ValueError as `Actor`."""
        super().__init__()
        generator = generator or torch.Generator()
        sizes = (observation_size + action_size, *hidden, outputs)
        self.count = count
        self.body = stacked([_network(network, sizes, generator, final) for _ in range(count)])

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return self._outputs(observation, action, None)

    def some(self, which: Tensor, observation: Tensor, action: Tensor) -> Tensor:
        """As calling it, of the critics of these numbers (K,) alone."""
        return self._outputs(observation, action, which)

    def first(self, observation: Tensor, action: Tensor) -> Tensor:
        """(B,) or (B, K): the outputs of the first critic alone."""
        return self._outputs(observation, action, 0)

    def _outputs(self, observation: Tensor, action: Tensor, which: Which) -> Tensor:
        outputs: Tensor = self.body(observation, action, which=which)
        return outputs.squeeze(-1)


def arrays_of(module: nn.Module, prefix: str) -> dict[str, NDArray[Any]]:
    """Copies of a module's parameters as arrays named `prefix/…`."""
    return {f"{prefix}/{name}": array_of(value) for name, value in _values(module).items()}


def load_arrays(module: nn.Module, arrays: Mapping[str, NDArray[Any]], prefix: str) -> None:
    """Copies the arrays named `prefix/…` into the module's parameters, in place.

    Raises: ValueError when one is missing or has another shape, before anything is changed.
    """
    values = _values(module)
    for name, value in values.items():
        found = arrays.get(f"{prefix}/{name}")
        if found is None or found.shape != tuple(value.shape):
            shape = "missing" if found is None else f"of shape {found.shape}"
            raise ValueError(
                f"tensor {prefix}/{name} is {shape}, needed {tuple(value.shape)}; "
                "was it saved with other hidden layers, observation or muscles?"
            )
    with torch.no_grad():
        for name, value in values.items():
            value.copy_(torch.tensor(arrays[f"{prefix}/{name}"]))


def array_of(tensor: Tensor) -> NDArray[Any]:
    """A copy that later updates do not change.

    Python itself copies: numpy and torch would let a waiting thread have the interpreter at each of a hundred tensors,
    and the learner, which stands still for the copies, would wait for it as often (decision 0016).
    """
    array = tensor.detach().cpu().contiguous().numpy()
    return np.frombuffer(bytearray(array.data.cast("B")), array.dtype).reshape(array.shape)


def _values(module: nn.Module) -> dict[str, Tensor]:
    """The parameters by their stored names, in the module's own memory; those of critics one by one."""
    state: dict[str, Tensor] = module.state_dict()
    if not isinstance(module, Critics):
        return state
    names = {name: name.removeprefix("body.") for name in state}
    return {f"bodies.{i}.{names[name]}": value[i] for i in range(module.count) for name, value in state.items()}


def _network(name: str, sizes: Sequence[int], generator: torch.Generator, final: float | None) -> Mlp | ResidualMlp:
    if name not in _KINDS:
        raise ValueError(f"the network is {name!r}, needed one of {', '.join(_KINDS)}; stored by newer code?")
    return _KINDS[name](sizes, generator, final)
