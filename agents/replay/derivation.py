"""Raw timesteps -> what is learned from: observations, executed actions, n-step rewards. Pure functions of the log.

States are stored raw, so the observation, the reward, gamma and n can be changed for a stored run: they are computed
here when episodes enter the learner's memory, once for each decision, and not again each time it is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.replay.columns import Timesteps
from agents.replay.nstep import transitions

Float32 = NDArray[np.float32]
Integers = NDArray[np.int64]

Observe = Callable[..., Float32]
"""(B, history+1, S) states oldest to newest, (B,) target age in s and, where a motion is imitated, (B,) its phase ->
(B, O) observations."""
Phase = Callable[[Float32, Integers], NDArray[np.float64]]
"""(R, S) states of E episodes and the (E,) rows where they begin -> (R,) phases of the motion that is imitated."""
TargetAge = Callable[[Float32, Integers], Float32]
"""(R, S) states of E episodes and the (E,) rows where they begin -> (R,) seconds since the target last changed."""
TrainingReward = Callable[[Timesteps], NDArray[np.float64]]
"""(R,) rewards that are learned from, of arriving at each row."""

_AT_A_TIME = 400
"""Observations computed together: their states then stay in the processor's cache. No power of two, whose columns would
fall on the same few places of it."""


@dataclass(frozen=True, slots=True)
class Points:
    """P points in the lives of E episodes: each decision's, and after an episode's last decision, its end."""

    each: Integers
    """(E,) points of each episode: its decisions and its end; 0 for one without decisions."""
    observation: Float32
    """(P, O)"""
    action: Float32
    """(P, M) in [-1, 1]: executed, as decided here; 0 at an end."""
    reward: Float32
    """(P,) of the n-step transition that starts here; 0 at an end."""
    discount: Float32
    """(P,)"""
    hop: NDArray[np.int32]
    """(P,) points from here to the one to bootstrap from; 0 at an end, where no transition starts."""
    policy_version: Integers
    """(P,)"""

    def in_order(self, order: Sequence[int]) -> Points:
        """With the episodes in another order: the numbers of those now first, second, …"""
        if list(order) == list(range(len(self.each))):
            return self
        begins = np.cumsum(self.each) - self.each
        lengths = self.each[order]
        total = int(lengths.sum())
        rows = np.repeat(begins[order] - (np.cumsum(lengths) - lengths), lengths) + np.arange(total)
        moved = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "each"}
        return Points(each=lengths, **moved)


@dataclass(frozen=True)
class Derivation:
    """How points follow from timesteps."""

    state_size: int
    action_size: int
    observe: Observe
    observation_size: int
    history: int
    """Control steps before its own that an observation needs; the reset state repeats before the first."""
    target_age: TargetAge
    training_reward: TrainingReward
    gamma: float
    """Discount per control step."""
    n_step: int
    """Decisions that a transition spans."""
    phase: Phase | None = None
    """None where no motion is imitated."""
    seen_as: Callable[[Timesteps], Timesteps] = lambda steps: steps
    """What happened -> what is learned from, e.g. with another target."""

    def __post_init__(self) -> None:
        if self.n_step < 1 or self.history < 0 or not 0.0 <= self.gamma <= 1.0:
            raise ValueError(
                f"derivation: found n_step {self.n_step}, history {self.history}, gamma {self.gamma}; needed at least "
                "1 and 0, and gamma in [0, 1]"
            )

    def __call__(self, steps: Timesteps) -> Points:
        """The points of all episodes, in their order.

        Raises: ValueError when states or actions are of another width.
        """
        found_sizes, needed = (steps.state.shape[1], steps.excitation.shape[1]), (self.state_size, self.action_size)
        if found_sizes != needed:
            raise ValueError(
                f"episode {steps.episodes[0].id}: found states and actions {found_sizes} wide, needed {needed}; likely "
                "the mirror was built for another run"
            )
        steps = self.seen_as(steps)
        last = np.append(steps.first[1:], len(steps.reward)) - 1
        found = transitions(
            self.training_reward(steps),
            steps.decision,
            steps.first,
            steps.terminated[last],
            gamma=self.gamma,
            n=self.n_step,
        )
        decisions = np.bincount(found.episode, minlength=len(last))
        is_point = np.zeros(len(steps.reward), np.bool_)
        is_point[found.start] = is_point[last[decisions > 0]] = True
        point = np.cumsum(is_point) - 1
        rows, start = np.flatnonzero(is_point), point[found.start]
        count = len(rows)
        action = np.zeros((count, self.action_size), np.float32)
        reward, discount = np.zeros(count, np.float32), np.zeros(count, np.float32)
        hop, version = np.zeros(count, np.int32), np.zeros(count, np.int64)
        action[start] = 2.0 * steps.excitation[found.start + 1] - 1.0
        reward[start], discount[start] = found.reward, found.discount
        hop[start] = point[found.stop] - start
        version[start] = steps.policy_version[found.start + 1]
        return Points(
            each=decisions + (decisions > 0),
            observation=self._observations(steps, rows),
            action=action,
            reward=reward,
            discount=discount,
            hop=hop,
            policy_version=version,
        )

    def _observations(self, steps: Timesteps, rows: Integers) -> Float32:
        """(P, O) at `rows` (P,)."""
        seen = np.empty((len(rows), self.observation_size), np.float32)
        clocks: list[NDArray[Any]] = [self.target_age(steps.state, steps.first)]
        if self.phase is not None:
            clocks.append(self.phase(steps.state, steps.first))
        begin = steps.first[np.searchsorted(steps.first, rows, side="right") - 1]
        back = np.arange(self.history, -1, -1)
        for here in range(0, len(rows), _AT_A_TIME):
            some = rows[here : here + _AT_A_TIME]
            window = np.maximum(some[:, None] - back, begin[here : here + _AT_A_TIME, None])
            seen[here : here + _AT_A_TIME] = self.observe(steps.state[window], *(clock[some] for clock in clocks))
        return seen
