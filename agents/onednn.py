"""Float32 products by oneDNN, where what torch takes for them leaves half of the processor idle.

For float32 torch calls MKL, which uses AVX-512 on Intel's processors only: on an AMD EPYC (Zen 5) it reached 107
GFLOP/s a core, and oneDNN, which torch brings along for bfloat16, 230 (decision 0030). Which of the two it is depends
on nothing but the processor and the shapes, so that a resumed run computes the same bits.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

_SMALL = 1 << 20
"""Multiplications below which a call of oneDNN, some 12 µs, takes longer than it saves."""


def multiplies_faster(first: Tensor, second: Tensor) -> bool:
    """Whether oneDNN should multiply these matrices, or the pairs of these stacks: in float32, on such a processor."""
    return (
        first.dtype == torch.float32
        and first.dim() > 1
        and first.shape[-2] * first.shape[-1] * second.shape[-1] >= _SMALL
        and first.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and processor_profits()
    )


def multiplied(first: Tensor, second: Tensor, bias: Tensor | None = None) -> Tensor:
    """(M, K) by (K, N), plus (N,) -> (M, N). Not differentiable."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(_dense(first), _dense(second).mT, bias, "none", [], "")
    return found


def _dense(matrix: Tensor) -> Tensor:
    """Itself, or a copy of what is a part of a wider one: there oneDNN has only its slow, general code."""
    return matrix if matrix.is_contiguous() or matrix.mT.is_contiguous() else matrix.contiguous()


@cache
def processor_profits() -> bool:
    """Whether it has AVX-512, and MKL does not use it there."""
    if not (torch._C.has_mkl and torch._C._has_mkldnn):
        return False
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and _vendor() == "AuthenticAMD"


def _vendor() -> str:
    """Of the processor; empty where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")
