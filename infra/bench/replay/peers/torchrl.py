"""TorchRL's buffers over a tensor storage in memory."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from infra.bench.replay.peers.contract import Draw, PeerMissing, Shape


def uniform(shape: Shape) -> Draw:
    """`ReplayBuffer`, its fastest."""
    data = _data()
    buffer = data.ReplayBuffer(storage=data.LazyTensorStorage(shape.transitions))
    _fill(buffer, shape)
    draw: Draw = buffer.sample
    return draw


def prioritised(shape: Shape) -> Draw:
    """`TensorDictPrioritizedReplayBuffer`; a draw includes weights and the update of the priorities it drew.

    Raises: PeerMissing when the extension with its trees was built for another torch.
    """
    data = _data()
    try:
        storage = data.LazyTensorStorage(shape.transitions)
        buffer = data.TensorDictPrioritizedReplayBuffer(alpha=0.6, beta=0.4, storage=storage)
    except RuntimeError as error:
        torch = import_module("torch").__version__.partition("+")[0]
        raise PeerMissing(f"its C++ extension does not load with torch {torch}") from error
    _fill(buffer, shape)
    torch, generator = import_module("torch"), np.random.default_rng(2)

    def draw(size: int) -> Mapping[str, Any]:
        batch = buffer.sample(size)
        batch.set(buffer.priority_key, torch.from_numpy(generator.random(size, dtype=np.float32)))
        buffer.update_tensordict_priority(batch)
        drawn: Mapping[str, Any] = batch
        return drawn

    return draw


def _data() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the extension does not load: `prioritised` says so
        data = import_module("torchrl.data")
    logging.getLogger("torchrl").setLevel(logging.WARNING)
    return data


def _fill(buffer: Any, shape: Shape) -> None:
    dictionary = import_module("tensordict").TensorDict
    for content in shape.content():
        buffer.extend(dictionary(content, batch_size=[len(content["reward"])]))
