"""The learner's copy of the newest timesteps, in memory and in columns: what gets sampled.

Fed from the log by watermarks, one per writer, so that no episode is missed or taken twice. A ring of timesteps: whole
episodes enter, in one piece, and the oldest leave.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from agents.experience import Batch
from agents.replay.contract import EPISODE_BITS, Episode, EpisodeTimesteps, Replay
from agents.replay.nstep import Transitions, held_actions, n_step

Observe = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""(B, history+1, S) states oldest to newest, (B,) target age in s -> (B, O) observations."""
TrainingReward = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""(T+1,) stored rewards -> (T+1,) rewards that are learned from."""
TargetAge = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(T+1, S) states of an episode -> (T+1,) seconds since the target last changed."""

_FEED_TIMESTEPS = 20_000
"""Read from the log at a time: some 40 MB."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where an episode lies."""

    episode: int
    first: int
    rows: int
    transitions: int


class Mirror:
    """Feed it from one thread, sample it from another."""

    def __init__(
        self,
        *,
        capacity_timesteps: int,
        state_size: int,
        action_size: int,
        gamma: float,
        n_step: int,
        history: int,
        observe: Observe,
        target_age: TargetAge,
        training_reward: TrainingReward = lambda reward: reward,
    ) -> None:
        """Raises: ValueError for a setting out of range, MemoryError when the ring would not fit: says the figures."""
        if capacity_timesteps < 2 or n_step < 1 or history < 0 or not 0.0 <= gamma <= 1.0:
            raise ValueError(
                f"mirror: found capacity_timesteps {capacity_timesteps}, n_step {n_step}, history {history}, gamma "
                f"{gamma}; needed at least 2, 1 and 0, and gamma in [0, 1]"
            )
        needed = self.bytes_needed(capacity_timesteps, state_size, action_size)
        available = psutil.virtual_memory().available
        if needed > available:
            raise MemoryError(
                f"a mirror of {capacity_timesteps} timesteps needs {needed / 1e9:.2f} GB, found {available / 1e9:.2f} "
                f"GB available; needed at most {int(capacity_timesteps * available / needed)} timesteps"
            )
        self.capacity = capacity_timesteps
        self._gamma, self._n, self._history = gamma, n_step, history
        self._observe, self._target_age, self._training_reward = observe, target_age, training_reward
        self._state = np.empty((self.capacity, state_size), np.float32)
        self._action = np.empty((self.capacity, action_size), np.float32)
        self._age = np.empty(self.capacity, np.float32)
        # Transitions have a ring of their own: fewer than timesteps where actions are held, and uniform to draw from.
        self._start = np.empty(self.capacity, np.int64)
        self._stop = np.empty(self.capacity, np.int64)
        self._origin = np.empty(self.capacity, np.int64)
        self._reward = np.empty(self.capacity, np.float32)
        self._discount = np.empty(self.capacity, np.float32)
        self._version = np.empty(self.capacity, np.int64)
        self._slots: deque[_Slot] = deque()
        self._tail = 0
        self._oldest = 0
        self._count = 0
        self._rows = 0
        self._taken_steps = 0
        self._watermarks: dict[int, int] = {}
        self._lock = threading.Lock()

    @staticmethod
    def bytes_needed(capacity_timesteps: int, state_size: int, action_size: int) -> int:
        """Bytes of a full mirror: float32 columns per timestep, six more numbers per transition."""
        return capacity_timesteps * (4 * (state_size + action_size + 1) + 4 * 8 + 2 * 4)

    @property
    def transitions(self) -> int:
        """Decisions that can be sampled now."""
        return self._count

    @property
    def timesteps(self) -> int:
        """Timesteps held now, reset states included."""
        return self._rows

    @property
    def episodes(self) -> Sequence[int]:
        """Ids of the episodes held now, oldest first."""
        with self._lock:
            return [slot.episode for slot in self._slots]

    @property
    def taken_steps(self) -> int:
        """Control steps that have ever entered, those that left since included."""
        return self._taken_steps

    def append(self, episode: Episode, data: EpisodeTimesteps) -> None:
        """Takes an episode; the oldest leave as its place needs it.

        Raises: ValueError when it is wider or longer than the mirror.
        """
        rows, width = data.state.shape
        if width != self._state.shape[1] or data.excitation.shape[1] != self._action.shape[1]:
            raise ValueError(
                f"episode {episode.id}: found state {width} and action {data.excitation.shape[1]} wide, needed "
                f"{self._state.shape[1]} and {self._action.shape[1]}; likely the mirror was built for another run"
            )
        if rows > self.capacity:
            raise ValueError(f"episode {episode.id} has {rows} timesteps, the mirror room for {self.capacity}")
        held = held_actions(self._training_reward(data.reward), data.decision, self._gamma)
        found = n_step(held, terminated=bool(data.terminated[-1]), gamma=self._gamma, n=self._n)
        action = 2.0 * data.excitation - 1.0
        age = self._target_age(data.state)
        with self._lock:
            first = self._make_room(rows)
            place = slice(first, first + rows)
            self._state[place], self._action[place], self._age[place] = data.state, action, age
            self._put_transitions(first, found, data)
            self._slots.append(_Slot(episode.id, first, rows, len(found.start)))
            self._tail = first + rows
            self._rows += rows
            self._pass(episode)

    def sample(self, batch_size: int, rng: np.random.Generator) -> Batch:
        """Uniform over the decisions held, with replacement.

        Raises: ValueError when there are none yet.
        """
        with self._lock:
            if self._count == 0:
                raise ValueError("the mirror holds no transition yet; needed at least one episode with a control step")
            drawn = (self._oldest + rng.integers(0, self._count, batch_size)) % self.capacity
            start, origin = self._start[drawn], np.tile(self._origin[drawn], 2)
            rows = np.concatenate([start, self._stop[drawn]])
            back = np.arange(self._history, -1, -1)
            window = np.maximum(rows[:, None] - back, origin[:, None])
            states = self._state.take(window, axis=0)
            age = self._age[rows]
            action = self._action[start + 1]
            reward, discount, version = self._reward[drawn], self._discount[drawn], self._version[drawn]
        observation = self._observe(states, age)
        return Batch(
            observation=observation[:batch_size],
            action=action,
            reward=reward,
            discount=discount,
            next_observation=observation[batch_size:],
            policy_version=version,
            weight=np.ones(batch_size, np.float32),
        )

    def follow(self, replay: Replay, run: str) -> int:
        """Takes every episode that is new in the log, except evaluations; returns the control steps that entered.

        Of a backlog longer than the mirror, only what fits is read.

        Raises: ValueError when one episode alone does not fit; LookupError when the log has gaps.
        """
        new = _by_age(replay.episodes_after(run, self._watermarks))
        keep = _newest_that_fit([e for e in new if _is_experience(e)], self.capacity)
        before = self._taken_steps
        for chunk in _chunks(new):
            wanted = [episode for episode in chunk if episode.id in keep]
            data = dict(zip((e.id for e in wanted), replay.timesteps_of(wanted), strict=True))
            for episode in chunk:
                if episode.id in data:
                    self.append(episode, data[episode.id])
                else:
                    with self._lock:
                        self._pass(episode)
        return self._taken_steps - before

    def state_dict(self) -> dict[str, NDArray[np.int64]]:
        """What `restore` needs to fill an empty mirror from the log with the same content in the same order."""
        with self._lock:
            return {
                "episodes": np.array([slot.episode for slot in self._slots], np.int64),
                "watermark_writers": np.array(list(self._watermarks), np.int64),
                "watermark_episodes": np.array(list(self._watermarks.values()), np.int64),
                "taken_steps": np.array([self._taken_steps], np.int64),
            }

    def restore(self, state: Mapping[str, NDArray[Any]], replay: Replay, run: str) -> None:
        """Reads the episodes of a `state_dict` back, in their order: the same generator then draws the same batches.

        Raises: RuntimeError unless this mirror is new; LookupError when the log has lost some of them.
        """
        if self._watermarks:
            raise RuntimeError("restore needs a mirror that has taken nothing yet")
        marks = dict(zip(state["watermark_writers"].tolist(), state["watermark_episodes"].tolist(), strict=True))
        wanted: list[int] = state["episodes"].tolist()
        after = dict(marks)
        for id in wanted:
            after[id >> EPISODE_BITS] = min(after[id >> EPISODE_BITS], id - 1)
        found = {episode.id: episode for episode in replay.episodes_after(run, after)}
        lost = [id for id in wanted if id not in found]
        if lost:
            raise LookupError(
                f"{len(lost)} of {len(wanted)} episodes of the checkpoint are not in the log of run {run!r}, the first "
                f"is {lost[0]}; likely another database than the checkpoint's"
            )
        for chunk in _chunks([found[id] for id in wanted]):
            for episode, data in zip(chunk, replay.timesteps_of(chunk), strict=True):
                self.append(episode, data)
        with self._lock:
            self._watermarks = marks
            self._taken_steps = int(state["taken_steps"][0])

    def _make_room(self, rows: int) -> int:
        """Evicts the oldest episodes until `rows` lie free in one piece; returns where."""
        wraps = self._tail + rows > self.capacity
        first = 0 if wraps else self._tail
        while self._slots:
            head = self._slots[0]
            skipped = wraps and head.first >= self._tail
            overlaps = head.first < first + rows and head.first + head.rows > first
            if not (skipped or overlaps):
                break
            self._slots.popleft()
            self._oldest = (self._oldest + head.transitions) % self.capacity
            self._count -= head.transitions
            self._rows -= head.rows
        return first

    def _put_transitions(self, first: int, found: Transitions, data: EpisodeTimesteps) -> None:
        count = len(found.start)
        places = (self._oldest + self._count + np.arange(count)) % self.capacity
        self._start[places] = first + found.start
        self._stop[places] = first + found.stop
        self._origin[places] = first
        self._reward[places] = found.reward
        self._discount[places] = found.discount
        self._version[places] = data.policy_version[found.start + 1]
        self._count += count

    def _pass(self, episode: Episode) -> None:
        """Counts an episode as taken, whether or not it was of use."""
        self._watermarks[episode.writer] = episode.id
        if _is_experience(episode):
            self._taken_steps += episode.length


def _is_experience(episode: Episode) -> bool:
    return episode.start.purpose != "evaluate"


def _by_age(episodes: Sequence[Episode]) -> list[Episode]:
    """By the time they finished, each writer's in order even if its clock was set back: the watermarks rely on it."""
    latest: dict[int, datetime] = {}
    aged: list[tuple[datetime, int, Episode]] = []
    for episode in episodes:
        latest[episode.writer] = max(latest.get(episode.writer, episode.finished), episode.finished)
        aged.append((latest[episode.writer], episode.id, episode))
    return [episode for _, _, episode in sorted(aged, key=lambda item: item[:2])]


def _newest_that_fit(episodes: Sequence[Episode], capacity: int) -> set[int]:
    """Ids of the newest episodes that the mirror could still hold when all are taken."""
    kept: set[int] = set()
    rows = 0
    for episode in reversed(episodes):
        if episode.length + 1 > capacity:
            raise ValueError(f"episode {episode.id} has {episode.length + 1} timesteps, the mirror room for {capacity}")
        rows += episode.length + 1
        if rows > capacity:
            break
        kept.add(episode.id)
    return kept


def _chunks(episodes: Sequence[Episode]) -> Iterator[list[Episode]]:
    chunk: list[Episode] = []
    rows = 0
    for episode in episodes:
        chunk.append(episode)
        rows += episode.length + 1
        if rows >= _FEED_TIMESTEPS:
            yield chunk
            chunk, rows = [], 0
    if chunk:
        yield chunk
