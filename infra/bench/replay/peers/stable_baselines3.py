"""Stable-Baselines3's buffer. It has no prioritised one."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from infra.bench.replay.peers.contract import Draw, Shape

_NAMES = {
    "observation": "observations",
    "action": "actions",
    "reward": "rewards",
    "next_observation": "next_observations",
    "done": "dones",
}


def uniform(shape: Shape) -> Draw:
    """`ReplayBuffer` of one environment."""
    with contextlib.redirect_stderr(io.StringIO()):  # it imports the retired gym where there is one, which says so
        buffers = import_module("stable_baselines3.common.buffers")
    buffer = buffers.ReplayBuffer(
        shape.transitions,
        buffers.spaces.Box(-np.inf, np.inf, (shape.observation_size,), np.float32),
        buffers.spaces.Box(-1.0, 1.0, (shape.action_size,), np.float32),
        device="cpu",
    )
    # Its `add` takes one at a time, minutes for a million: the same columns are filled at once here.
    filled = 0
    for content in shape.content():
        rows = slice(filled, filled + len(content["reward"]))
        for name, theirs in _NAMES.items():
            column = getattr(buffer, theirs)
            column[rows] = content[name].reshape(-1, *column.shape[1:])
        filled = rows.stop
    buffer.full = True

    def draw(size: int) -> Mapping[str, Any]:
        batch = buffer.sample(size)
        return {name: getattr(batch, theirs) for name, theirs in _NAMES.items()}

    return draw
