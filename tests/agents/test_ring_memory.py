"""Where the columns of a ring lie."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from agents.replay.ring import Ring
from agents.replay.ring_memory import MEMORIES, column
from agents.replay_config import ReplayConfig

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory needs a GPU")


@pytest.mark.parametrize("memory", ["private", "shared", pytest.param("pinned", marks=needs_gpu)])
def test_every_memory_gives_the_same_columns(memory: str) -> None:
    for shape, dtype in (((5, 3), np.float16), ((7,), np.int64), ((0,), np.float32)):
        values = column(shape, dtype, memory)
        assert (values.shape, values.dtype) == (shape, np.dtype(dtype))
        assert values.flags.writeable
        assert not values.any()


@pytest.mark.parametrize(("memory", "seen"), [("shared", 4.5), ("private", 0.0)])
def test_a_forked_process_sees_what_is_put_into_shared_memory_alone(memory: str, seen: float) -> None:
    ring = Ring(10, 3, 2, memory=memory)
    wait, go = os.pipe()
    found, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(wait, 1)
        os.write(tell, ring.observation[2].tobytes())
        os._exit(0)
    ring.observation[2] = 4.5
    os.write(go, b".")
    os.waitpid(child, 0)
    assert np.frombuffer(os.read(found, 100), np.float32).tolist() == [seen] * 3
    for end in (wait, go, found, tell):
        os.close(end)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_pinned_memory_without_a_gpu_is_refused() -> None:
    with pytest.raises(ValueError, match="needed a CUDA device, or 'private'"):
        Ring(10, 3, 2, memory="pinned")


def test_an_unknown_memory_is_named() -> None:
    for refuse in (lambda: column((1,), np.float32, "disk"), lambda: ReplayConfig(mirror_memory="disk")):
        with pytest.raises(ValueError, match=f"'disk' is unknown; there are {', '.join(MEMORIES)}"):
            refuse()
