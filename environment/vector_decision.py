"""What one decision led to in many environments, as columns, and how Gymnasium wants to be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.round_rewards import ROUNDS
from environment.timestep import TimeStep

Array = NDArray[Any]
Float32 = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Decision:
    """Up to K control steps of N environments. Where fewer were taken, the rest is zero."""

    history: int
    """H, control steps before it that the observation needs."""
    states: Float32
    """(H + 1 + K, N, S): the H + 1 states before it, oldest first, then those reached. The very first is only there for
    environments that took no step."""
    policy_actions: Float32
    """(N, M)"""
    excitations: Float32
    """(N, M)"""
    rewards: NDArray[np.float64]
    """(K, N) of each control step."""
    terms: dict[str, NDArray[np.float64]]
    """(N,) each, summed over the steps."""
    rounds: dict[str, NDArray[np.float64]]
    """(N,) each, the rewards of both rounds, summed over the steps."""
    taken: NDArray[np.int64]
    """(N,) control steps, at most K; 1 where an episode starts, which is its reset state."""
    last_step: NDArray[np.int64]
    """(N,) control steps since the reset, after the last one taken."""
    started: NDArray[np.bool_]
    """(N,) where an episode starts."""
    terminated: NDArray[np.bool_]
    """(N,)"""
    out_of_time: NDArray[np.bool_]
    """(N,)"""
    failed: NDArray[np.bool_]
    """(N,) where the simulator could not go on."""
    ended: NDArray[np.object_]
    """(N,) None, or why the episode is over."""

    def start(self, rows: NDArray[np.intp], states: Array) -> None:
        """Makes the environments in `rows` ones that start an episode, in `states` (n, S)."""
        self.states[: self.history + 2, rows] = states
        self.states[self.history + 2 :, rows] = 0.0
        for zero in (self.policy_actions, self.excitations, self.last_step):
            zero[rows] = 0
        for no in (self.terminated, self.out_of_time, self.failed):
            no[rows] = False
        for column in (self.rewards, *self.terms.values(), *self.rounds.values()):
            column[..., rows] = 0.0
        self.taken[rows], self.started[rows], self.ended[rows] = 1, True, None

    def earn(
        self,
        step: int,
        moved: NDArray[np.bool_],
        paid: Array,
        terms: Mapping[str, Array],
        rounds: Mapping[str, Array],
    ) -> None:
        """Pays the environments in `moved` (N,) for a control step, 0..K-1: `paid` (N,), split by `terms`, and what the
        `rounds` pay."""
        np.copyto(self.rewards[step], paid, where=moved)
        for sums, parts in ((self.terms, terms), (self.rounds, rounds)):
            for name, values in parts.items():
                np.add(sums[name], values, out=sums[name], where=moved)

    def copy(self) -> Decision:
        """All arrays anew."""
        values = {name: getattr(self, name) for name in self.__slots__}
        copied = {name: value.copy() if hasattr(value, "copy") else value for name, value in values.items()}
        for sums in ("terms", "rounds"):
            copied[sums] = {name: value.copy() for name, value in copied[sums].items()}
        return Decision(**copied)

    def recent(self, before: Float32) -> Float32:
        """(H + 1, N, S) states up to the last one, oldest first; `before` is what it was at the decision before."""
        taken, kept = self.taken, self.history + 1
        longest = len(self.states) - kept
        if np.count_nonzero(taken == longest) == len(taken):
            return self.states[longest:]
        resting = taken == 0
        self.states[0, resting] = before[0, resting]
        rows: Float32 = self.states[taken + np.arange(kept)[:, None], np.arange(len(taken))]
        return rows

    def info(self, told: NDArray[np.bool_]) -> dict[str, Any]:
        """For the environments in `told` (N,), in Gymnasium's form: arrays over all, with a mask named `_…` beside."""
        self.states.flags.writeable = False  # the next observations are made of them
        stepped = told & (self.taken > 0) & ~self.started
        terms, rounds = _masked(self.terms, stepped), _masked(self.rounds, stepped)
        return {
            "timesteps": {
                "taken": self.taken,
                "last_step": self.last_step,
                "state": self.states[self.history + 1 :].swapaxes(0, 1),
                "excitation": self.excitations,
                "policy_action": self.policy_actions,
                "reward": self.rewards.T,
                "decision": ~self.started,
                "terminated": self.terminated,
                "truncated": self.out_of_time,
            },
            "_timesteps": told,
            "reward_terms": terms,
            "_reward_terms": told,
            "round_rewards": rounds,
            "_round_rewards": told,
            "ended": self.ended,
            "_ended": told,
        }


def nothing_yet(
    states: Float32,
    *,
    history: int,
    policy_actions: Float32,
    excitations: Float32,
    terms: Iterable[str],
    last_step: NDArray[np.int64],
) -> Decision:
    """A decision of which no control step was taken; the arrays are its own. For their shapes see `Decision`."""
    n, longest = states.shape[1], len(states) - history - 1
    return Decision(
        history=history,
        states=states,
        policy_actions=policy_actions,
        excitations=excitations,
        rewards=np.zeros((longest, n)),
        terms={name: np.zeros(n) for name in terms},
        rounds={name: np.zeros(n) for name in ROUNDS},
        taken=np.zeros(n, np.int64),
        last_step=last_step,
        started=np.zeros(n, dtype=bool),
        terminated=np.zeros(n, dtype=bool),
        out_of_time=np.zeros(n, dtype=bool),
        failed=np.zeros(n, dtype=bool),
        ended=np.empty(n, object),  # empty is None
    )


def _masked(sums: Mapping[str, Array], where: NDArray[np.bool_]) -> dict[str, Array]:
    """Each with its mask (N,) beside."""
    return {name: part for own, values in sums.items() for name, part in ((own, values), (f"_{own}", where))}


def timesteps(columns: Mapping[str, Array], environment: int) -> tuple[TimeStep, ...]:
    """The control steps that one environment took, of `info["timesteps"]`: what `ProstheticsEnv` gives there."""
    taken, last_step = int(columns["taken"][environment]), int(columns["last_step"][environment])
    return tuple(
        TimeStep(
            step=last_step - taken + 1 + i,
            state=columns["state"][environment, i],
            excitation=columns["excitation"][environment],
            policy_action=columns["policy_action"][environment],
            decision=bool(columns["decision"][environment]) and i == 0,
            reward=float(columns["reward"][environment, i]),
            terminated=bool(columns["terminated"][environment]) and i == taken - 1,
            truncated=bool(columns["truncated"][environment]) and i == taken - 1,
        )
        for i in range(taken)
    )
