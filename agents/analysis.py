"""What is in a run's log: returns, endings, what the muscles received, and values that can not be.

Pure functions over the replay contract. Timesteps are read a few thousand at a time and let go again, so memory does
not grow with the run.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.config import RunConfig
from agents.replay.backlog import is_experience
from agents.replay.columns import EpisodeTimesteps
from agents.replay.contract import Replay
from agents.replay.runs import Episode, Run
from agents.round_returns import wrong_returns
from environment.config import EnvironmentConfig
from environment.imitation.build import clock_of, reward_of
from environment.imitation.reference import phases_of
from environment.rewards import Reward
from environment.state import TARGET_VELOCITY, Entry, StateLayout
from environment.targets import ROUND1_TARGET_M_PER_S
from environment.terminations import FALL_PELVIS_HEIGHT_M, SIMULATOR_ERROR

PELVIS_HEIGHT_M = (FALL_PELVIS_HEIGHT_M - 0.2, 1.6)
"""Outside it no body of these tasks can be: an episode ends at the first step below 0.6 m, standing is 0.94 m."""
_ROUNDING = 1e-3
"""Rewards were computed from float64 states, and are computed again here from the stored float32."""
_READ_TIMESTEPS = 10_000

Check = tuple[str, Sequence[str], NDArray[np.float64], NDArray[np.bool_]]
"""Problem; names of the columns (C,); values (T+1, C), or (T, C) without the reset state; where they are wrong."""


@dataclass(frozen=True, slots=True)
class Returns:
    """One entry per episode, in the order in which they finished."""

    finished: NDArray[np.datetime64]
    """(E,) UTC, milliseconds."""
    timesteps: NDArray[np.int64]
    """(E,) control steps of these episodes so far, this one included."""
    value: NDArray[np.float64]
    """(E,) undiscounted returns."""
    length: NDArray[np.int64]
    """(E,) control steps."""
    policy_version: NDArray[np.int64]
    purpose: NDArray[np.str_]
    """(E,) `explore`, `train` or `evaluate`."""


@dataclass(frozen=True, slots=True)
class ExcitationHistogram:
    """How often each muscle received which excitation."""

    muscles: tuple[str, ...]
    edges: NDArray[np.float64]
    """(B+1,) from 0 to 1."""
    counts: NDArray[np.int64]
    """(M, B) control steps; reset states are not counted."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """(M, B), each row adds up to 1; zeros where nothing was counted."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))


@dataclass(frozen=True, slots=True)
class Finding:
    """One stored value that can not be."""

    episode: int
    step: int
    """Control steps since the reset; -1 when it concerns the whole episode."""
    name: str
    """Of the state, e.g. `body_pos/pelvis/y`; or `excitation/<muscle>`, `reward`, `terminated`, …"""
    value: float
    problem: str


def newest(episodes: Iterable[Episode], limit: int) -> list[Episode]:
    """The `limit` episodes that finished last, oldest of them first."""
    return heapq.nlargest(limit, episodes, key=lambda episode: (episode.finished, episode.id))[::-1]


def watermarks(episodes: Iterable[Episode]) -> dict[int, int]:
    """What `Replay.episodes_after` needs to give only episodes beyond these."""
    found: dict[int, int] = {}
    for episode in episodes:
        found[episode.writer] = max(episode.id, found.get(episode.writer, -1))
    return found


def returns_over_time(episodes: Iterable[Episode]) -> Returns:
    """Returns and lengths in the order of finishing."""
    ordered = sorted(episodes, key=lambda episode: (episode.finished, episode.id))
    length = np.array([episode.length for episode in ordered], dtype=np.int64)
    return Returns(
        finished=np.array([episode.finished.replace(tzinfo=None) for episode in ordered], dtype="datetime64[ms]"),
        timesteps=np.cumsum(length),
        value=np.array([episode.episode_return for episode in ordered], dtype=np.float64),
        length=length,
        policy_version=np.array([episode.start.policy_version for episode in ordered], dtype=np.int64),
        purpose=np.array([episode.start.purpose for episode in ordered], dtype=np.str_),
    )


def moving_mean(values: NDArray[np.floating], window: int) -> NDArray[np.float64]:
    """(E,) mean of each value and those before it, `window` at most."""
    if window < 1:
        raise ValueError(f"window={window} must be at least 1")
    sums = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - window)
    return np.asarray((sums[stop] - sums[start]) / (stop - start))


def endings(episodes: Iterable[Episode]) -> dict[str, int]:
    """How many episodes ended for which reason, most frequent first; simulator errors count as one reason."""
    reasons = (episode.ended for episode in episodes)
    short = (SIMULATOR_ERROR if reason.startswith(SIMULATOR_ERROR) else reason for reason in reasons)
    return dict(Counter(short).most_common())


def stream(
    replay: Replay, episodes: Iterable[Episode], *, timesteps: int = _READ_TIMESTEPS
) -> Iterator[tuple[Episode, EpisodeTimesteps]]:
    """Each episode with its timesteps, about `timesteps` of them in memory at a time.

    Raises: LookupError when the log has gaps.
    """
    for group in _groups(episodes, timesteps):
        yield from zip(group, replay.timesteps_of(group), strict=True)


def excitation_histogram(
    muscles: Sequence[str], episodes: Iterable[tuple[Episode, EpisodeTimesteps]], *, bins: int = 20
) -> ExcitationHistogram:
    """Counts the excitations of `stream`ed episodes; the outermost bins take what lies outside [0, 1] as well."""
    counts = np.zeros((len(muscles), bins), np.int64)
    rows = np.arange(len(muscles))
    for _, steps in episodes:
        excitation = np.nan_to_num(steps.excitation[1:].astype(np.float64), nan=0.0)
        which = np.clip((excitation * bins).astype(np.int64), 0, bins - 1)
        np.add.at(counts, (np.broadcast_to(rows, which.shape), which), 1)
    return ExcitationHistogram(tuple(muscles), np.linspace(0.0, 1.0, bins + 1), counts)


class _Pay:
    """What a control step earns in an environment."""

    def __init__(self, environment: EnvironmentConfig, layout: StateLayout) -> None:
        self.reward, self._clock = reward_of(environment, layout), clock_of(environment)
        bounded = not environment.shaping and not environment.imitation
        self.largest = _largest_reward(self.reward, layout) if bounded else None

    def earned(self, states: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T,) of arriving at each of an episode's states (T+1, S) but the first."""
        phase = None if self._clock is None else phases_of(self._clock, states, np.zeros(1, int))[1:]
        found: NDArray[np.float64] = np.sum(list(self.reward.evaluate(states[1:], phase).values()), axis=0)
        return found


class Plausibility:
    """What every value of a run's timesteps has to satisfy."""

    def __init__(self, run: Run) -> None:
        """Raises: KeyError when the run's states lack what the checks need, ConfigError for an unreadable config."""
        self._run = run
        layout = StateLayout(tuple(map(Entry, run.state_names, run.state_units)))
        environment = RunConfig.of(run.config).environment
        self._paid, self._scored = _Pay(environment, layout), _Pay(environment.scored(), layout)
        self._layout, self._names = layout, layout.names
        self._height = layout.index["body_pos/pelvis/y"]
        self._activation = layout.ending("muscles", "activation")

    @property
    def largest_reward(self) -> float | None:
        """Of one control step; None when shaped terms take part, which have no common bound, or a motion's."""
        return self._paid.largest

    def findings(self, episode: Episode, steps: EpisodeTimesteps) -> Iterator[Finding]:
        """Everything impossible in one episode."""
        pay = self._paid if is_experience(episode) else self._scored
        for problem, names, values, wrong in self._checks(steps, pay):
            # Some columns start after the reset state.
            first = len(steps.state) - len(values)
            for row, column in np.argwhere(wrong).tolist() if wrong.any() else ():
                yield Finding(episode.id, row + first, names[column], float(values[row, column]), problem)
        for step, name, value, problem in disorder(episode, steps):
            yield Finding(episode.id, step, name, value, problem)
        for name, value, problem in wrong_returns(self._layout, episode, steps.state):
            yield Finding(episode.id, -1, name, value, problem)

    def _checks(self, steps: EpisodeTimesteps, pay: _Pay) -> Iterator[Check]:
        state, reward = steps.state.astype(np.float64), steps.reward[:, None]
        excitation = steps.excitation.astype(np.float64)
        muscles = [f"excitation/{muscle}" for muscle in self._run.action_names]
        height, activation = state[:, [self._height]], state[:, self._activation]
        activations = [self._names[i] for i in self._activation]
        yield "not finite", self._names, state, ~np.isfinite(state)
        yield "not finite", muscles, excitation, ~np.isfinite(excitation)
        yield "not finite", ["reward"], reward, ~np.isfinite(reward)
        yield "outside 0..1", muscles, excitation, _outside(excitation, 0.0, 1.0)
        yield "outside 0..1", activations, activation, _outside(activation, 0.0, 1.0)
        low, high = PELVIS_HEIGHT_M
        yield f"outside {low:g}..{high:g} m", ["body_pos/pelvis/y"], height, _outside(height, low, high)
        if pay.largest is not None:
            yield "above the task's maximum", ["reward"], reward, reward > pay.largest + _ROUNDING
        earned = pay.earned(state)[:, None]
        yield "not what its state earns", ["reward"], reward[1:], np.abs(reward[1:] - earned) > _ROUNDING


def impossible_values(replay: Replay, run: Run, episodes: Iterable[Episode]) -> Iterator[Finding]:
    """Findings of many episodes, one after another; a gap in the log is a finding too."""
    plausible = Plausibility(run)
    for group in _groups(episodes, _READ_TIMESTEPS):
        try:
            stored = replay.timesteps_of(group)
        except LookupError:
            yield from (finding for episode in group for finding in _one_by_one(replay, plausible, episode))
            continue
        for episode, steps in zip(group, stored, strict=True):
            yield from plausible.findings(episode, steps)


def _one_by_one(replay: Replay, plausible: Plausibility, episode: Episode) -> Iterator[Finding]:
    try:
        steps = replay.timesteps(episode)
    except LookupError as error:
        yield Finding(episode.id, -1, "timesteps", float(episode.length + 1), str(error))
        return
    yield from plausible.findings(episode, steps)


def disorder(episode: Episode, steps: EpisodeTimesteps) -> Iterator[tuple[int, str, float, str]]:
    """What can not follow one another: step, name, value, problem."""
    last = len(steps.reward) - 1
    if last != episode.length:
        yield -1, "length", float(last), f"the episode's document says {episode.length}"
    if episode.finished < episode.started:
        yield -1, "finished", episode.finished.timestamp(), "before the episode started"
    for step in np.flatnonzero(np.diff(steps.policy_version) < 0).tolist():
        yield step + 1, "policy_version", float(steps.policy_version[step + 1]), "older than the step before"
    ends = steps.terminated | steps.truncated
    for step in np.flatnonzero(ends[:-1]).tolist():
        yield step, "terminated" if steps.terminated[step] else "truncated", 1.0, "the episode goes on after its end"
    if not ends[-1] or (steps.terminated[-1] and steps.truncated[-1]):
        yield last, "terminated", float(steps.terminated[-1]), "the last step is not one of terminated and truncated"
    if steps.decision[0] or steps.reward[0] or steps.excitation[0].any():
        yield 0, "excitation", float(steps.excitation[0].max()), "the reset state has an action or a reward"
    total = float(steps.reward.sum())
    if not abs(total - episode.episode_return) <= _ROUNDING:
        yield -1, "return", total, f"the episode's document says {episode.episode_return:g}"


def _outside(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.bool_]:
    # Not finite is told once, by its own check.
    return np.asarray(np.isfinite(values) & ((values < low) | (values > high)))


def _largest_reward(base: Reward, layout: StateLayout) -> float:
    """What a step at exactly the target's velocity and without effort earns: all other terms are penalties."""
    ideal = np.zeros(layout.size)
    ideal[layout.where(TARGET_VELOCITY)] = ideal[layout.where("body_vel/pelvis")] = ROUND1_TARGET_M_PER_S
    return float(sum(float(value) for value in base.evaluate(ideal).values()))


def _groups(episodes: Iterable[Episode], timesteps: int) -> Iterator[list[Episode]]:
    """Neighbouring episodes with about so many timesteps together, at least one episode."""
    group: list[Episode] = []
    total = 0
    for episode in episodes:
        if group and total + episode.length + 1 > timesteps:
            yield group
            group, total = [], 0
        group.append(episode)
        total += episode.length + 1
    if group:
        yield group
