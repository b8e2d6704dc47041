"""Starts in states of the run's own stored episodes: any stored timestep is one."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.memory import layout_of
from agents.replay.backlog import chunks, is_experience
from agents.replay.contract import Replay
from agents.replay.looks import Looks
from agents.replay.runs import Episode, Run
from agents.starts_config import StartsConfig
from environment.starts import Start
from environment.terminations import TIME_LIMIT
from environment.timestep import CONTROL_STEP_S

Float32 = NDArray[np.float32]

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
    """Implements `StartSource`."""

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
        self._looks = Looks(self.refresh, "starts")

    def draw(self, generator: np.random.Generator, pose: NDArray[np.float64]) -> Start:
        every_s = self._config.replay_refresh_s
        self._looks.keep_fresh(min(_EMPTY_S, every_s) if self._pool is None else every_s)
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
