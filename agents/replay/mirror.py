"""The learner's copy of the newest decisions, in memory and ready to learn from: what gets sampled.

Fed from the log by watermarks, one per writer, so that no episode is missed or taken twice. Whole episodes enter, and
the oldest leave; the log keeps them all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agents.experience import Batch
from agents.replay.backlog import by_age, chunks, is_experience, newest_that_fit, read_ahead
from agents.replay.columns import Timesteps
from agents.replay.contract import Replay
from agents.replay.derivation import Derivation
from agents.replay.ids import EPISODE_BITS
from agents.replay.ring import Ring
from agents.replay.runs import Episode
from agents.replay.sampling import Drawn, Sampler

Integers = NDArray[np.int64]
Float32 = NDArray[np.float32]


class Mirror:
    """Feed it from one thread, sample it from another."""

    def __init__(self, ring: Ring, derive: Derivation, sampler: Sampler) -> None:
        self._ring, self._derive, self._sampler = ring, derive, sampler
        self._watermarks: dict[int, int] = {}
        self._taken_steps = 0
        self._lock = threading.Lock()

    @property
    def capacity(self) -> int:
        """Decisions, ends included, that it has room for."""
        return self._ring.capacity

    @property
    def transitions(self) -> int:
        """Decisions that can be sampled now."""
        return self._ring.transitions

    @property
    def timesteps(self) -> int:
        """Of the episodes held now, reset states included."""
        with self._lock:
            return sum(one.timesteps for one in self._ring.held)

    @property
    def episodes(self) -> Sequence[int]:
        """Ids of the episodes held now, oldest first."""
        with self._lock:
            return [one.episode for one in self._ring.held]

    @property
    def taken_steps(self) -> int:
        """Control steps that have ever entered, those that left since included."""
        return self._taken_steps

    def append(self, episodes: Sequence[Episode], steps: Timesteps) -> None:
        """Takes the episodes of `steps` in the order of `episodes`; the oldest leave as their room is needed.

        Raises: ValueError when they are as wide as those of another run, or do not fit all together.
        """
        self._enter(episodes, steps, passed=episodes)

    @contextmanager
    def still(self) -> Iterator[Ring]:
        """The ring, into which nothing enters meanwhile. To be read only."""
        with self._lock:
            yield self._ring

    def draw(self, batch_size: int, generator: np.random.Generator) -> Drawn:
        """Which decisions to learn from, as the sampler wants them distributed, with replacement.

        Raises: ValueError when there are none yet.
        """
        with self._lock:
            return self._draw(batch_size, generator)

    def sample(self, batch_size: int, generator: np.random.Generator) -> Batch:
        """Those decisions. Raises: ValueError as `draw`."""
        ring = self._ring
        with self._lock:
            drawn = self._draw(batch_size, generator)
            here = ring.place(drawn.number)
            both = np.concatenate([here, ring.place(drawn.number + ring.hop[here])])
            observation = ring.observation.take(both, axis=0)
            columns = [column.take(here, axis=0) for column in (ring.action, ring.reward, ring.discount)]
            version = ring.policy_version.take(here)
        if observation.dtype == np.float16:
            observation = torch.from_numpy(observation).float().numpy()  # numpy has no fast way
        return Batch(
            observation=observation[:batch_size],
            action=columns[0],
            reward=columns[1],
            discount=columns[2],
            next_observation=observation[batch_size:],
            policy_version=version,
            weight=drawn.weight,
            number=drawn.number,
        )

    def _draw(self, batch_size: int, generator: np.random.Generator) -> Drawn:
        if self._ring.transitions == 0:
            raise ValueError("the mirror holds no transition yet; needed at least one episode with a control step")
        return self._sampler.draw(batch_size, generator)

    def learned(self, number: Integers, td_error: Float32) -> None:
        """How wrong the critic was (B,) at decisions that were sampled (`Batch.number`)."""
        with self._lock:
            self._sampler.learned(number, td_error)

    def follow(self, replay: Replay, run: str) -> int:
        """Takes every episode that is new in the log, except evaluations; returns the control steps that entered.

        Of a backlog longer than the mirror, only what fits is read.

        Raises: ValueError when one episode alone does not fit; LookupError when the log has gaps.
        """
        new = by_age(replay.episodes_after(run, self._watermarks))
        keep = newest_that_fit([episode for episode in new if is_experience(episode)], self.capacity)
        before = self._taken_steps
        parts = list(chunks(new))
        wanted = [[episode for episode in part if episode.id in keep] for part in parts]
        for part, wants, steps in zip(parts, wanted, read_ahead(replay, wanted), strict=True):
            self._enter(wants, steps, passed=part)
        return self._taken_steps - before

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """What `restore` needs to fill an empty mirror from the log with the same content in the same places."""
        with self._lock:
            state: dict[str, NDArray[Any]] = {
                "episodes": np.array([one.episode for one in self._ring.held], np.int64),
                "first_point": np.array([self._ring.first], np.int64),
                "watermark_writers": np.array(list(self._watermarks), np.int64),
                "watermark_episodes": np.array(list(self._watermarks.values()), np.int64),
                "taken_steps": np.array([self._taken_steps], np.int64),
            }
            return state | {f"sampler/{name}": array for name, array in self._sampler.state_dict().items()}

    def restore(self, state: Mapping[str, NDArray[Any]], replay: Replay, run: str) -> None:
        """Reads the episodes of a `state_dict` back, in their order: the same generator then draws the same batches.

        A mirror that has become smaller keeps the newest of them. The state of a memory with several parts has nothing
        for it: then it fills from the log like a new one.

        Raises: RuntimeError unless this mirror is new; LookupError when the log has lost some of them.
        """
        if self._watermarks:
            raise RuntimeError("restore needs a mirror that has taken nothing yet")
        if "episodes" not in state:
            return
        marks = dict(zip(state["watermark_writers"].tolist(), state["watermark_episodes"].tolist(), strict=True))
        wanted = _still_there(state["episodes"].tolist(), marks, replay, run)
        self._ring.first = self._ring.next = int(state["first_point"][0])
        parts = list(chunks(wanted))
        for part, steps in zip(parts, read_ahead(replay, parts), strict=True):
            self._enter(part, steps, passed=())
        with self._lock:
            own = "sampler/"
            kept = {name.removeprefix(own): array for name, array in state.items() if name.startswith(own)}
            self._sampler.load_state_dict(kept)
            self._watermarks = marks
            self._taken_steps = int(state["taken_steps"][0])

    def _enter(self, episodes: Sequence[Episode], steps: Timesteps | None, *, passed: Sequence[Episode]) -> None:
        """Takes `episodes`, and counts those that were `passed` as taken, whether or not they were of use."""
        points = None if steps is None else self._derive(steps).in_order(_order(steps, episodes))
        with self._lock:
            if points is not None:
                first = self._ring.next
                self._ring.put(episodes, points)
                self._sampler.entered(first)
            for episode in passed:
                self._watermarks[episode.writer] = max(episode.id, self._watermarks.get(episode.writer, 0))
                self._taken_steps += episode.length if is_experience(episode) else 0


def _order(steps: Timesteps, wanted: Sequence[Episode]) -> list[int]:
    """Numbers of the episodes of `steps` in the order wanted."""
    numbers = {episode.id: number for number, episode in enumerate(steps.episodes)}
    return [numbers[episode.id] for episode in wanted]


def _still_there(ids: Sequence[int], marks: Mapping[int, int], replay: Replay, run: str) -> list[Episode]:
    """The episodes of a checkpoint. Raises: LookupError when some are not in the log."""
    after = dict(marks)
    for id in ids:
        after[id >> EPISODE_BITS] = min(after[id >> EPISODE_BITS], id - 1)
    found = {episode.id: episode for episode in replay.episodes_after(run, after)}
    lost = [id for id in ids if id not in found]
    if lost:
        raise LookupError(
            f"{len(lost)} of {len(ids)} episodes of the checkpoint are not in the log of run {run!r}, the first is "
            f"{lost[0]}; likely another database than the checkpoint's"
        )
    return [found[id] for id in ids]
