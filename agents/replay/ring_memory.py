"""Where the columns of a ring lie."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

MEMORIES = ("private", "shared", "pinned")
"""`private`: this process's own, in large pages. `shared`: processes forked from this one see what it puts there, and
may sample it themselves. `pinned`: a GPU copies from it without the processor, while other work goes on."""


def column(shape: tuple[int, ...], dtype: type[np.generic], memory: str = "private") -> NDArray[Any]:
    """Zeros that are really there: written to, so that a machine which has promised too much fails now and not hours
    later, and filling the ring is not slowed by the system's clearing of pages.

    Raises: ValueError for an unknown memory, or a pinned one where there is no GPU.
    """
    if memory not in MEMORIES:
        raise ValueError(f"memory {memory!r} is unknown; there are {', '.join(MEMORIES)}")
    if memory == "private":
        return np.full(shape, 0, dtype)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if memory == "shared":
        values = np.frombuffer(mmap.mmap(-1, max(size, 1)), dtype, math.prod(shape)).reshape(shape)
    else:
        values = _pinned(size).view(dtype).reshape(shape)
    values.fill(0)
    return values


def _pinned(size: int) -> NDArray[np.uint8]:
    if not torch.cuda.is_available():
        raise ValueError("memory 'pinned' is for a GPU, and torch finds none here; needed a CUDA device, or 'private'")
    bytes_: NDArray[np.uint8] = torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
    return bytes_
