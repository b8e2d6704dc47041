"""Products of float32 matrices by oneDNN, beside what torch takes for them: whether `agents/onednn.py` decides well.

Shapes are those of a TD3 update, where B is the batch: a layer's outputs, and the gradients of its inputs and weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from agents import onednn
from infra.bench.machine import machine

LAYERS = ((208, 400), (400, 300), (1279, 400), (208, 1024), (1024, 512), (300, 19))
"""Inputs and outputs: of critics (observation and action), of hidden layers, and of an actor's end."""
BATCHES = (100, 256, 4096)
_TURN_S = 0.002
"""How long a turn takes at least, so that the clock does not count."""


def products(quick: bool = False) -> dict[str, Any]:
    """The benchmark: a row for each product and number of threads; quick: at one batch, on one thread."""
    before = torch.get_num_threads()
    rows = []
    try:
        for threads in (1,) if quick else (1, 2):
            torch.set_num_threads(threads)
            for batch in (256,) if quick else BATCHES:
                rows += list(measured(batch, LAYERS, threads, budget_s=0.2 if quick else 0.5))
    finally:
        torch.set_num_threads(before)
    rule = "oneDNN for large ones" if onednn.processor_profits() else "torch's own for all"
    return {
        "bench": "products",
        "about": f"Billions of operations a second, best of turns in one process. The rule for this processor: {rule}.",
        "machine": machine("torch") | {"instructions": torch.backends.cpu.get_cpu_capability()},
        "rows": rows,
    }


def measured(batch: int, layers: Sequence[tuple[int, int]], threads: int, budget_s: float) -> Iterator[dict[str, Any]]:
    """Of each layer at that batch, what it computes, and what its gradients are computed by."""
    for inputs, outputs in layers:
        given, weight = torch.randn(batch, inputs), torch.randn(outputs, inputs)
        gradient = torch.randn(batch, outputs)
        for what, first, second in (
            ("outputs", given, weight.mT),
            ("gradient of inputs", gradient, weight),
            ("gradient of weights", gradient.mT, given),
        ):
            ours, torchs = best_seconds(
                (partial(onednn.multiplied, first, second), partial(torch.mm, first, second)), budget_s
            )
            giga = 2e-9 * batch * inputs * outputs
            name = f"batch {batch:,}, {inputs:,} to {outputs:,}, {what}, {threads} thread{'s' if threads > 1 else ''}"
            yield {
                "name": name,
                "value": giga / ours,
                "unit": "GFLOP/s",
                "peer": "torch's own",
                "peer_value": giga / torchs,
                "ratio": torchs / ours,
                "taken": onednn.multiplies_faster(first, second),
            }


def best_seconds(calls: Sequence[Callable[[], Tensor]], budget_s: float) -> list[float]:
    """Of one call of each, in turns until `budget_s` is over, and once at least: the best, since whatever else runs
    only ever adds.
    """
    repeats = []
    for call in calls:
        call()
        started = time.perf_counter()
        call()
        repeats.append(1 + int(_TURN_S / max(time.perf_counter() - started, 1e-7)))
    best, until = [float("inf")] * len(calls), time.perf_counter() + budget_s
    while True:
        for place, (call, times) in enumerate(zip(calls, repeats, strict=True)):
            started = time.perf_counter()
            for _ in range(times):
                call()
            best[place] = min(best[place], (time.perf_counter() - started) / times)
        if time.perf_counter() > until:
            return best
