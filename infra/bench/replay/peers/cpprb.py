"""cpprb's buffers, as its documentation sets them up."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from infra.bench.replay.peers.contract import Draw, Shape

_NAMES = {"observation": "obs", "action": "act", "reward": "rew", "next_observation": "next_obs", "done": "done"}


def uniform(shape: Shape) -> Draw:
    """`ReplayBuffer`."""
    buffer = _filled("ReplayBuffer", shape)
    return lambda size: _renamed(buffer.sample(size))


def prioritised(shape: Shape) -> Draw:
    """`PrioritizedReplayBuffer`; a draw includes weights and the update of the priorities it drew."""
    buffer = _filled("PrioritizedReplayBuffer", shape)
    generator = np.random.default_rng(2)

    def draw(size: int) -> Mapping[str, Any]:
        batch = buffer.sample(size, 0.4)
        buffer.update_priorities(batch["indexes"], generator.random(size, dtype=np.float32))
        return _renamed(batch)

    return draw


def _filled(kind: str, shape: Shape) -> Any:
    widths = {_NAMES[name]: {"shape": width} for name, width in shape.widths.items()}
    buffer = getattr(import_module("cpprb"), kind)(shape.transitions, widths)
    for content in shape.content():
        buffer.add(**{_NAMES[name]: column for name, column in content.items()})
    return buffer


def _renamed(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: batch[theirs] for name, theirs in _NAMES.items()}
