"""The mirror's columns once more, on the device that learns: batches are drawn and gathered there.

The mirror stays what it is, and the device catches up with it between two updates, which see it stand still.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.replay.mirror import Mirror
from agents.replay.ring import Integers, Ring, bytes_needed

_COLUMNS = ("observation", "action", "reward", "discount", "hop", "policy_version")
_AT_A_TIME = 32_768
"""Points copied while the mirror stands still."""


class DeviceColumns:
    """Feed the mirror from one thread; everything here is called from another, which learns."""

    def __init__(self, mirror: Mirror, device: torch.device) -> None:
        """Raises: MemoryError with the figures when it does not fit the device."""
        self._mirror, self._device = mirror, device
        with mirror.still() as ring:
            self._capacity = ring.capacity
            _check_room(ring, device)
            self._columns = {
                name: torch.from_numpy(np.empty_like(getattr(ring, name), shape=(0,)))
                .new_zeros(getattr(ring, name).shape)
                .to(device)
                for name in _COLUMNS
            }
        self._start = torch.zeros(self._capacity, dtype=torch.int64, device=device)
        """Numbers of the points that a transition starts at, one after the other, the newest over the oldest."""
        self._bounds = torch.zeros(2, dtype=torch.int64, device=device)
        """How many started before the oldest that is held, and how many are held."""
        self._next = 0
        self._started = 0

    def catch_up(self) -> None:
        """Takes what has entered the mirror since the last time."""
        while True:
            with self._mirror.still() as ring:
                begin = max(self._next, ring.first)
                end = min(begin + _AT_A_TIME, ring.next)
                if begin == end:
                    return
                number = np.arange(begin, end)
                place = ring.place(number)
                fresh = {name: torch.from_numpy(getattr(ring, name).take(place, axis=0)) for name in _COLUMNS}
                held, whole = ring.transitions, end == ring.next
            self._put(number, place, fresh)
            self._next = end
            if whole:
                self._bounds.copy_(torch.tensor([self._started - held, held]))
                return

    def drawn(self, uniform: Tensor) -> Tensor:
        """(B,) in [0, 1), float64 -> (B,) numbers of transitions, every one held as likely as the others."""
        first, held = self._bounds[0], self._bounds[1]
        among = torch.minimum((uniform * held).long(), held - 1)
        return self._start[(first + among) % self._capacity]

    def gathered(self, number: Tensor) -> dict[str, Tensor]:
        """The columns of a batch, float32 but for `policy_version`, of transitions that start at points (B,)."""
        columns = self._columns
        here = number % self._capacity
        there = (number + columns["hop"][here]) % self._capacity
        return {
            "observation": columns["observation"][here].float(),
            "action": columns["action"][here],
            "reward": columns["reward"][here],
            "discount": columns["discount"][here],
            "next_observation": columns["observation"][there].float(),
            "policy_version": columns["policy_version"][here],
        }

    def _put(self, number: Integers, place: Integers, fresh: dict[str, Tensor]) -> None:
        where = torch.from_numpy(place).to(self._device)
        for name, values in fresh.items():
            self._columns[name].index_copy_(0, where, values.to(self._device))
        starts = torch.from_numpy(number)[fresh["hop"] > 0]
        following = (self._started + torch.arange(len(starts))) % self._capacity
        self._start.index_copy_(0, following.to(self._device), starts.to(self._device))
        self._started += len(starts)


def _check_room(ring: Ring, device: torch.device) -> None:
    if device.type != "cuda":
        return
    width, actions = ring.observation.shape[1], ring.action.shape[1]
    needed = bytes_needed(ring.capacity, width, actions, str(ring.observation.dtype)) + 8 * ring.capacity
    free, _ = torch.cuda.mem_get_info(device)
    if needed > free:
        raise MemoryError(
            f"a memory of {ring.capacity} decisions needs {needed / 1e9:.2f} GB on {device}, found {free / 1e9:.2f} GB "
            "free; make replay.capacity_timesteps smaller, mirror_floats float16, or learner.on_device false"
        )
