"""The same loop in LeanRL's style, for a GPU: memory on the device, updates compiled and captured as CUDA graphs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infra.bench.learner.contract import POLICY_DELAY, TAU, Case, Update
from infra.bench.learner.peers.eager import Loop


def compiled(case: Case) -> Update:
    """Warm-up and capture are over when it returns. On a CPU it is compiled only."""
    parts = list(case.content())
    columns = {
        name: torch.from_numpy(np.concatenate([part[name] for part in parts])).to(case.device) for name in parts[0]
    }
    loop = Loop(case)
    fit: Any = torch.compile(loop.fit_critics)
    improve: Any = torch.compile(loop.improve_actor)
    if case.device != "cpu":
        capture = import_module("tensordict.nn").CudaGraphModule
        fit, improve = capture(fit), capture(improve)
    done = 0

    def sample() -> dict[str, Tensor]:
        rows = torch.randint(len(columns["reward"]), (case.batch,), device=case.device)
        return {name: column[rows] for name, column in columns.items()}

    pairs = [(loop.actor, loop.target_actor), (loop.q1, loop.target_q1), (loop.q2, loop.target_q2)]
    online = [parameter.detach() for source, _ in pairs for parameter in source.parameters()]
    targets = [parameter.detach() for _, target in pairs for parameter in target.parameters()]

    def follow() -> None:
        torch._foreach_lerp_(targets, online, TAU)

    def update(count: int) -> None:
        nonlocal done
        for _ in range(count):
            done += 1
            batch = sample()
            fit(batch)
            if done % POLICY_DELAY == 0:
                improve(batch["observation"])
                follow()

    update(10 * POLICY_DELAY)
    return update
