"""Mixed precision: hidden layers in bfloat16, everything else in float32."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from agents.mlp import Mlp
from agents.residual_mlp import ResidualMlp

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def use_precision(network: nn.Module, precision: Precision, device: torch.device) -> None:
    """Lets the hidden layers of an actor or of critics compute in that precision.

    Every CPU can do bfloat16; one without instructions for it only loses by it.

    Raises: ValueError for bfloat16 on a GPU that only imitates it.
    """
    wanted = precision == "bfloat16"
    if wanted and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        raise ValueError(f"precision is bfloat16, but the device {name} does not have it; use float32")
    for module in network.modules():
        if isinstance(module, (Mlp, ResidualMlp)):
            module.in_bfloat16 = wanted
