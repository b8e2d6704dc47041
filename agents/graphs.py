"""Work for a GPU that is recorded once and then replayed: launching it costs one call, and not one per operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

_FIRST = 3
"""Calls of each kind that run as they are: libraries and compilers prepare themselves in them."""


class Graphs(Generic[T]):
    """Replays `work` of each kind as a CUDA graph. On a CPU it is simply done."""

    def __init__(self, device: torch.device, generator: torch.Generator) -> None:
        """`generator`: what the work draws its random numbers from."""
        self._on_gpu, self._generator = device.type == "cuda", generator
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, T]] = {}
        self._calls: Counter[Hashable] = Counter()
        if self._on_gpu:
            self._stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, kind: Hashable, work: Callable[[], T]) -> T:
        """Does the work, and gives what it returns; tensors in it hold until the next call.

        Args:
            work: The same operations on the same memory, whenever it is of the same kind. It waits for nothing.
        """
        if not self._on_gpu:
            return work()
        if kind in self._recorded:
            graph, result = self._recorded[kind]
            graph.replay()
            return result
        self._calls[kind] += 1
        if self._calls[kind] <= _FIRST:
            return self._as_it_is(work)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = work()
        self._recorded[kind] = graph, result
        graph.replay()
        return result

    def _as_it_is(self, work: Callable[[], T]) -> T:
        # On the stream that records later: autograd remembers where a gradient was first made.
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = work()
        current.wait_stream(self._stream)
        return result
