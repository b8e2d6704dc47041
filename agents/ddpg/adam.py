"""Adam with decoupled weight decay (Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101).

torch's own fused step, without what its optimiser class does around it for every parameter at every step: on a CPU
that made whole updates 4% slower at batch 256.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.networks import array_of

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Adam:
    """For parameters of one device that are all stepped together."""

    def __init__(self, parameters: Sequence[Tensor], *, weight_decay: float = 0.0) -> None:
        """`weight_decay`: share of every weight that is taken off at each step, times the learning rate."""
        self._parameters, self._weight_decay = list(parameters), weight_decay
        self._moments = [[torch.zeros_like(parameter) for parameter in self._parameters] for _ in _MOMENTS]
        self._steps = torch.zeros((), device=self._parameters[0].device)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Down the gradients that the parameters hold; every one of them must hold one."""
        self._steps += 1
        torch._fused_adamw_(
            self._parameters,
            cast(list[Tensor], [parameter.grad for parameter in self._parameters]),
            self._moments[0],
            self._moments[1],
            [],
            [self._steps] * len(self._parameters),
            lr=lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self._weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Copies of both moments of every parameter, and the steps done, named `prefix/…`."""
        arrays = {
            f"{prefix}/{index}/{name}": array_of(moment)
            for name, moments in zip(_MOMENTS, self._moments, strict=True)
            for index, moment in enumerate(moments)
        }
        # As many as there are parameters: what is stored was once told of each.
        steps = np.full(len(self._parameters), self._steps.item(), dtype=np.float32)
        return arrays | {f"{prefix}/steps": steps}

    def load(self, arrays: Mapping[str, NDArray[Any]], prefix: str) -> None:
        """Goes on where `arrays` was told. Raises: ValueError when a moment is missing or of another shape."""
        for name, moments in zip(_MOMENTS, self._moments, strict=True):
            for index, moment in enumerate(moments):
                found = arrays.get(f"{prefix}/{index}/{name}")
                if found is None or found.shape != tuple(moment.shape):
                    shape = "missing" if found is None else f"of shape {found.shape}"
                    raise ValueError(
                        f"tensor {prefix}/{index}/{name} is {shape}, needed {tuple(moment.shape)}; was it saved with "
                        "other networks, or by code from before the critics were stacked? Train under another run name"
                    )
                moment.copy_(torch.tensor(found))
        self._steps.fill_(float(arrays[f"{prefix}/steps"][0]))
