"""Where an episode starts: in the default pose, pushed, in a state of a stored motion, or now here and now there.

A start is drawn by the episode's own random numbers, so an episode can be had again from its seed and its source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.physics.contract import SimulationError
from environment.seeds import STARTS, stream
from environment.state import StateLayout

log = logging.getLogger(__name__)

State = NDArray[np.float64]

DEFAULT = "default"
"""Kind of the start in the default pose."""
MOST_DRAWS = 10
"""Of one episode, when states are drawn in which it would be over at once; then it starts in the default pose."""
_FORWARD_SPEED = "joint_vel/ground_pelvis/pelvis_tx"


@dataclass(frozen=True, slots=True)
class Start:
    """One start."""

    state: NDArray[Any] | None = None
    """(S,) in the order of the environment's layout, with a target or without: the episode has its own. None is the
    default pose. Of it coordinates, speeds, activations and fibre lengths count."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """`kind` and details, for the episode's document; nothing of a plain start in the default pose."""


class StartSource(Protocol):
    """Where starts come from. One may serve many environments of one body."""

    def draw(self, generator: np.random.Generator, pose: State) -> Start:
        """One start.

        Args:
            generator: Of the episode; whatever is random is drawn from it.
            pose: (S,) the default pose, without a target.
        """


class DefaultPose:
    """The challenge's own start, always."""

    def draw(self, generator: np.random.Generator, pose: State) -> Start:
        return Start()


class Pushed:
    """The default pose with the whole body moving forward: a learner that falls at once still meets motion."""

    def __init__(self, layout: StateLayout, speeds_m_per_s: tuple[float, float]) -> None:
        """Speeds are drawn evenly from `speeds_m_per_s`."""
        self._place, self._speeds_m_per_s = layout.index[_FORWARD_SPEED], speeds_m_per_s

    def draw(self, generator: np.random.Generator, pose: State) -> Start:
        speed_m_per_s = float(generator.uniform(*self._speeds_m_per_s))
        state = pose.copy()
        # The pelvis carries all other bodies: while no joint turns, they have its velocity.
        state[self._place] = speed_m_per_s
        return Start(state, {"kind": "pushed", "m_per_s": speed_m_per_s})


class Mixture:
    """Each of some sources in its share of the episodes, the default pose in the rest."""

    def __init__(self, parts: Sequence[tuple[float, StartSource]]) -> None:
        """`parts`: shares in 0..1, at most 1 together, and their sources."""
        shares = [share for share, _ in parts]
        if any(not 0 <= share <= 1 for share in shares) or sum(shares) > 1 + 1e-9:
            raise ValueError(f"shares of starts {shares} must each be in 0..1, all together at most 1")
        self._bounds = np.cumsum(shares)
        self._sources: list[StartSource] = [*(source for _, source in parts), DefaultPose()]

    def draw(self, generator: np.random.Generator, pose: State) -> Start:
        chosen = int(np.searchsorted(self._bounds, generator.random(), side="right"))
        return self._sources[chosen].draw(generator, pose)


def begin(
    source: StartSource,
    seed: int,
    *,
    reset: Callable[[], State],
    start_at: Callable[[NDArray[Any]], State],
    over: Callable[[State], bool],
) -> tuple[State, dict[str, Any]]:
    """Puts a body where its episode starts; returns the state (S,) there, and what to tell of the start.

    Args:
        seed: Of the episode.
        reset: Puts the body into the default pose.
        start_at: Puts it into a state.
        over: Whether an episode would be over in a state (S,), which is then drawn again.

    Raises: ValueError when the source gives what is no state of the body; SimulationError of `reset`.
    """
    generator = stream(seed, STARTS)
    pose = reset()
    refused: dict[str, Any] = {}
    for draw in range(MOST_DRAWS):
        start = source.draw(generator, pose)
        if start.state is None:
            return (reset() if refused else pose), {**start.facts, **refused}
        reason = "over at once"
        try:
            # In the precision of the log: its first state is the whole start.
            state = start_at(start.state[: len(pose)].astype(np.float32))
            if not over(state):
                return state, {**start.facts, **refused}
        except SimulationError as error:
            reason = str(error)
        log.debug("the start %s of seed %d is drawn again: %s", start.facts, seed, reason)
        refused = {"refused": draw + 1}
    return reset(), {"kind": DEFAULT, **refused}
