"""What a batch's decisions add up to, body by body: blocks to write, rewards by term and by round, and the time of a
step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.replay.columns import TimestepBlock

Bools = NDArray[np.bool_]


def blocks(columns: Mapping[str, NDArray[Any]]) -> list[TimestepBlock]:
    """(N,) the control steps that each body took in one decision, of a vector environment's `infos["timesteps"]`."""
    taken, state, reward = columns["taken"], columns["state"], columns["reward"]
    steps = np.arange(state.shape[1])
    last = steps == taken[:, None] - 1
    decision = columns["decision"][:, None] & (steps == 0)
    terminated, truncated = (last & columns[name][:, None] for name in ("terminated", "truncated"))
    # Held for all steps: the same numbers at every step, and no copies.
    excitation, policy_action = (
        np.broadcast_to(held[:, None], (*state.shape[:2], held.shape[1]))
        for held in (columns["excitation"], columns["policy_action"])
    )
    each = zip(state, excitation, policy_action, decision, reward, terminated, truncated, strict=True)
    return [
        TimestepBlock(*(column[:count] for column in of_one))
        for count, of_one in zip(taken.tolist(), each, strict=True)
    ]


class Terms:
    """What is told by name, summed over the decisions of each body's episode: the reward's terms, or both rounds'."""

    def __init__(self, bodies: int) -> None:
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._any = np.zeros(bodies, dtype=bool)
        """(N,) whether the body has taken a step."""

    def clear(self, begun: Bools) -> None:
        """Forgets those of the bodies in the mask: they begin an episode."""
        for values in self._sums.values():
            values[begun] = 0.0
        self._any[begun] = False

    def add(self, terms: Mapping[str, NDArray[Any]]) -> None:
        """A vector environment's `infos["reward_terms"]` or `infos["round_rewards"]`: (N,) each, with masks beside."""
        for name, values in terms.items():
            if not name.startswith("_"):
                self._sums[name] = self._sums.get(name, 0.0) + values
                self._any |= terms[f"_{name}"]

    def of(self, body: int) -> dict[str, float]:
        """Those of one body; none if it has not taken a step."""
        return {name: float(values[body]) for name, values in self._sums.items()} if self._any[body] else {}


class Sums:
    """What a writer is told of an episode at its end besides how it ended, for each body."""

    def __init__(self, bodies: int) -> None:
        self._terms, self._rounds = Terms(bodies), Terms(bodies)

    def clear(self, begun: Bools) -> None:
        """Forgets those of the bodies in the mask: they begin an episode."""
        self._terms.clear(begun)
        self._rounds.clear(begun)

    def add(self, infos: Mapping[str, Any]) -> None:
        """A vector environment's `infos` after a step."""
        self._terms.add(infos["reward_terms"])
        self._rounds.add(infos["round_rewards"])

    def of(self, body: int) -> dict[str, dict[str, float]]:
        """Arguments for `EpisodeWriter.end`."""
        return {"reward_terms": self._terms.of(body), "round_returns": self._rounds.of(body)}


class Moment(NamedTuple):
    """When something began."""

    at_s: float
    steps: int


class Clock:
    """Counts what all bodies do: what one step of one body costs is the time of all, divided by the steps of all."""

    def __init__(self) -> None:
        self.steps = 0
        """Control steps that all bodies together have taken."""

    def now(self) -> Moment:
        return Moment(time.perf_counter(), self.steps)

    def step_ms(self, since: Moment) -> float:
        """Mean milliseconds of a control step."""
        return 1e3 * (time.perf_counter() - since.at_s) / max(self.steps - since.steps, 1)
