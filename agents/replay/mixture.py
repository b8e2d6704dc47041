"""Several memories sampled as one: a run's own decisions, those of other runs, and the same seen with other targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.experience import Batch
from agents.replay.contract import Replay

Integers = NDArray[np.int64]
Float32 = NDArray[np.float32]

_PART_SHIFT = 56
"""A decision's number in a mixture carries the part that it is of above this bit."""
_DRAWN = "drawn"


class Memory(Protocol):
    """What a learner samples: a `Mirror`, or a `Mixture` of some."""

    @property
    def transitions(self) -> int:
        """Decisions that can be sampled now."""

    @property
    def timesteps(self) -> int:
        """Of the episodes held now, reset states included."""

    @property
    def taken_steps(self) -> int:
        """Control steps that have ever entered, those that left since included."""

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """Raises: ValueError when nothing can be sampled yet."""

    def learned(self, number: Integers, td_error: Float32) -> None:
        """How wrong the critic was (B,) at decisions that were sampled (`Batch.number`)."""

    def follow(self, replay: Replay, run: str) -> int:
        """Takes what is new in the log; returns the control steps that entered."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What `restore` needs to draw the same batches again."""

    def restore(self, state: Mapping[str, NDArray[Any]], replay: Replay, run: str) -> None:
        """Of a memory that has taken nothing yet. Raises: LookupError when the log has lost what it held."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the memories."""

    name: str
    memory: Memory
    share: float
    """Of every batch, of the first one if it fades."""
    run: str | None = None
    """Whose log it follows; None is the learner's own run."""
    fade_batches: int | None = None
    """Batches after which the share, which gets less from the first one on, is nothing. None: it stays."""

    def share_after(self, batches: int) -> float:
        """Of the next batch, after so many."""
        return self.share if self.fade_batches is None else self.share * max(0.0, 1.0 - batches / self.fade_batches)


class Mixture:
    """Every batch has the same number of decisions of each part; one that holds nothing yet, and what has faded, leaves
    its share to the others, in their proportions. Shares are right to one decision in a batch."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raises: ValueError when shares are not positive or do not add up to 1."""
        total = sum(part.share for part in parts)
        if not parts or any(not part.share > 0 for part in parts) or abs(total - 1.0) > 1e-9:
            shares = {part.name: part.share for part in parts}
            raise ValueError(f"shares of a batch are {shares}; needed positive ones that add up to 1")
        if all(part.fade_batches is not None for part in parts):
            raise ValueError(f"all of {', '.join(part.name for part in parts)} fade; needed one that stays")
        self.parts = tuple(parts)
        self._drawn = 0
        """Batches."""

    @property
    def transitions(self) -> int:
        return sum(part.memory.transitions for part in self.parts if part.share_after(self._drawn))

    @property
    def timesteps(self) -> int:
        return sum(part.memory.timesteps for part in self.parts)

    @property
    def taken_steps(self) -> int:
        # Two views of one run, as with hindsight, have taken the same steps.
        return sum({part.run: part.memory.taken_steps for part in self.parts}.values())

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        batches = []
        for place, size in enumerate(self._sizes(batch_size)):
            if size:
                batch = self.parts[place].memory.sample(size, generator)
                batches.append((place, batch))
        columns = {
            field.name: np.concatenate([getattr(batch, field.name) for _, batch in batches])
            for field in fields(Batch)
            if field.name != "number"
        }
        self._drawn += 1
        number = [place << _PART_SHIFT | batch.number for place, batch in batches if batch.number is not None]
        return Batch(**columns, number=np.concatenate(number))

    def learned(self, number: Integers, td_error: Float32) -> None:
        part = number >> _PART_SHIFT
        for place, one in enumerate(self.parts):
            own = part == place
            if own.any():
                one.memory.learned(number[own] & ((1 << _PART_SHIFT) - 1), td_error[own])

    def follow(self, replay: Replay, run: str) -> int:
        before = self.taken_steps
        for part in self.parts:
            part.memory.follow(replay, part.run or run)
        return self.taken_steps - before

    def state_dict(self) -> dict[str, NDArray[Any]]:
        state = {_DRAWN: np.array([self._drawn], np.int64)}
        for part in self.parts:
            state |= {f"{part.name}/{name}": array for name, array in part.memory.state_dict().items()}
        return state

    def restore(self, state: Mapping[str, NDArray[Any]], replay: Replay, run: str) -> None:
        if _DRAWN in state:  # else it is of a memory with one part, or of before anything faded
            self._drawn = int(state[_DRAWN][0])
        for part in self.parts:
            own = {
                name.removeprefix(f"{part.name}/"): array
                for name, array in state.items()
                if name.startswith(f"{part.name}/")
            }
            if own:  # else it was not a part when the state was taken, and fills from the log
                part.memory.restore(own, replay, part.run or run)

    def _sizes(self, batch_size: int) -> list[int]:
        """Decisions from each part."""
        now = [part.share_after(self._drawn) if part.memory.transitions else 0.0 for part in self.parts]
        shares = np.cumsum(now)
        if not shares[-1]:
            raise ValueError("the memory holds no transition yet; needed at least one episode with a control step")
        ends = np.rint(batch_size * shares / shares[-1]).astype(int)
        sizes: list[int] = np.diff(ends, prepend=0).tolist()
        return sizes
