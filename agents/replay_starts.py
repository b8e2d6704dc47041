"""Starts in states of the run's own stored episodes: any stored timestep is one."""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.memory import layout_of
from agents.replay.backlog import chunks, is_experience
from agents.replay.contract import Replay, ReplayUnavailable
from agents.replay.runs import Episode, Run
from agents.starts_config import StartsConfig
from environment.starts import Start
from environment.terminations import TIME_LIMIT
from environment.timestep import CONTROL_STEP_S

log = logging.getLogger(__name__)

Float32 = NDArray[np.float32]

_FIRST_WAIT_S = 2.0
"""For the first look into the log; later ones are never waited for."""
_EMPTY_S = 2.0
"""Between looks while nothing was found."""


@dataclass(frozen=True, slots=True)
class _Pool:
    """States at hand."""

    rows: Float32
    """(R, C) those numbers of a state that a body can be put to."""
    first: NDArray[np.int64]
    """(E,) row of each episode's first one."""
    episodes: tuple[int, ...]
    """(E,) ids."""


class ReplayStarts:
    """Implements `StartSource`. A thread of its own reads the log now and then, so that no rollout waits for it."""

    def __init__(self, replay: Replay, run: Run, config: StartsConfig) -> None:
        self._replay, self._run, self._config = replay, run.name, config
        self._places = layout_of(run).continuous
        self._margin_steps = round(config.replay_margin_s / CONTROL_STEP_S)
        # Which of many stored episodes are at hand is no part of any episode: each process has others.
        self._generator = np.random.default_rng()
        self._marks: dict[int, int] = {}
        self._kept: list[tuple[float, int, Episode]] = []
        """Rank, id and episode: the newest, or any."""
        self._states: dict[int, Float32] = {}
        """By episode."""
        self._pool: _Pool | None = None
        self._thread: threading.Thread | None = None
        self._next_s = -math.inf
        self._error: Exception | None = None

    def draw(self, generator: np.random.Generator, pose: NDArray[np.float64]) -> Start:
        self._keep_fresh()
        pool = self._pool
        if pool is None:
            return Start()
        row = int(generator.integers(len(pool.rows)))
        number = int(np.searchsorted(pool.first, row, side="right")) - 1
        state = pose.copy()
        state[self._places] = pool.rows[row]
        facts: dict[str, Any] = {"kind": "replay", "choice": self._config.replay}
        return Start(state, facts | {"episode": pool.episodes[number], "step": row - int(pool.first[number])})

    def refresh(self) -> None:
        """Looks into the log, and waits for it. Raises: what the replay raises."""
        for episode in self._replay.episodes_after(self._run, self._marks):
            self._marks[episode.writer] = max(episode.id, self._marks.get(episode.writer, -1))
            if is_experience(episode) and self._steps_of(episode) > 0:
                # Random ranks: of all episodes ever seen, each is among the highest with the same chance.
                newest = self._config.replay != "any"
                rank = episode.finished.timestamp() if newest else float(self._generator.random())
                self._kept.append((rank, episode.id, episode))
        self._kept = heapq.nlargest(self._config.replay_newest, self._kept, key=lambda one: one[:2])
        chosen = self._chosen([episode for _, _, episode in self._kept])
        states = {id: rows for id, rows in self._states.items() if id in {episode.id for episode in chosen}}
        for chunk in chunks([episode for episode in chosen if episode.id not in states]):
            for episode, steps in zip(chunk, self._replay.timesteps_of(chunk), strict=True):
                states[episode.id] = steps.state[: self._steps_of(episode), self._places]
        self._states = states
        if states:
            lengths = [len(rows) for rows in states.values()]
            first = np.cumsum([0, *lengths[:-1]])
            self._pool = _Pool(np.concatenate(list(states.values())), first, tuple(states))

    def _chosen(self, kept: list[Episode]) -> list[Episode]:
        """Of the episodes, highest rank first."""
        count = self._config.replay_episodes
        if self._config.replay == "best":
            return heapq.nlargest(count, kept, key=lambda episode: (episode.episode_return, episode.id))
        if self._config.replay == "recent":
            return kept[:count]
        return [kept[i] for i in self._generator.permutation(len(kept))[:count].tolist()]

    def _steps_of(self, episode: Episode) -> int:
        """Timesteps from the reset on that can be started from."""
        return episode.length + 1 - (0 if episode.ended == TIME_LIMIT else self._margin_steps)

    def _keep_fresh(self) -> None:
        if self._error is not None:
            raise self._error
        if time.monotonic() < self._next_s or (self._thread is not None and self._thread.is_alive()):
            return
        first = self._thread is None
        every_s = self._config.replay_refresh_s
        self._next_s = time.monotonic() + (min(_EMPTY_S, every_s) if self._pool is None else every_s)
        # A daemon: while the database is away it would keep a worker from stopping.
        self._thread = threading.Thread(target=self._look, name="starts", daemon=True)
        self._thread.start()
        if first:
            self._thread.join(_FIRST_WAIT_S)

    def _look(self) -> None:
        try:
            self.refresh()
        except (ReplayUnavailable, LookupError) as reason:
            # The database is away, or a prune was quicker: what is at hand serves until the next look.
            log.warning("no new states to start from: %s", reason)
        except Exception as error:
            self._error = error
