"""The inverse-dynamics model: which action led from one state to the next decision's, learned from stored timesteps.

After behavioural cloning from observation (Torabi et al., arXiv 1805.01954, section 4.1): states of a demonstration
have no actions, and get those that such a model finds between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from agents.imitation.regression import FitConfig, Fitted, Pairs, Point, fit
from agents.networks import Actor
from agents.normalisation import Normaliser, RunningNormaliser
from agents.replay.columns import EpisodeTimesteps
from environment.observations import CompactObservation
from environment.state import StateLayout

Float32 = NDArray[np.float32]

HIDDEN = (256, 256)
HELD_OUT = 0.1
"""Of the episodes."""
_NEVER = ("target", "ground_force/")
"""Beginnings of what is not looked at: what is asked for did not lead anywhere, and a motion file tells no forces."""
_MUSCLES = "muscles/"
_FOLLOWS = ("/fiber_velocity", "/fiber_force")
"""Of muscles what follows from the rest."""


class Sight:
    """What the model sees of a state: the body from its own pelvis, and of its muscles what moves them."""

    def __init__(self, layout: StateLayout, *, muscles: bool) -> None:
        """Without `muscles` only how the body moves, for motions whose files tell no more."""
        self._observe = CompactObservation(layout)
        self._rows = np.array(
            [
                i
                for i, name in enumerate(self._observe.names)
                if not name.startswith(_NEVER)
                and not (name.startswith(_MUSCLES) and (not muscles or name.endswith(_FOLLOWS)))
            ]
        )
        self.size = 2 * len(self._rows)

    def __call__(self, before: Float32, after: Float32) -> Float32:
        """(B, size) of states (B, S), float32 with a target."""
        seen, then = (
            self._observe(states[:, None], np.zeros(len(states), np.float32))[:, self._rows]
            for states in (before, after)
        )
        return np.concatenate((seen, then - seen), axis=1)


@dataclass(frozen=True, slots=True)
class Led:
    """Actions that were held for `held` control steps, and where they led."""

    before: Float32
    """(B, S)"""
    after: Float32
    """(B, S)"""
    action: Float32
    """(B, M) in [-1, 1]: what the muscles received."""
    episode: NDArray[np.int64]
    """(B,)"""


def led(episodes: Iterable[EpisodeTimesteps], held: int) -> Led:
    """All whole decisions of the episodes: those that were held for `held` control steps."""
    befores, afters, actions, ids = [], [], [], []
    for steps in episodes:
        decided = np.flatnonzero(steps.decision)
        until = np.append(decided[1:], len(steps.decision)) - 1
        begin = decided[until - decided + 1 == held] - 1
        befores.append(steps.state[begin])
        afters.append(steps.state[begin + held])
        actions.append(2.0 * steps.excitation[begin + 1] - 1.0)
        ids.append(np.full(len(begin), steps.episode, np.int64))
    if not ids:
        raise ValueError("there are no episodes to learn from")
    return Led(np.concatenate(befores), np.concatenate(afters), np.concatenate(actions), np.concatenate(ids))


class InverseDynamics:
    """Actions between states."""

    def __init__(self, sight: Sight, normaliser: Normaliser, network: Actor) -> None:
        self._sight, self._normaliser, self._network = sight, normaliser, network

    @classmethod
    def learn(
        cls,
        layout: StateLayout,
        found: Led,
        *,
        muscles: bool,
        config: FitConfig | None = None,
        tell: Callable[[Point], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[InverseDynamics, Fitted]:
        """Learns from some of the episodes, and looks at the rest, whole ones, to tell how well.

        Args:
            layout: Of the states, target included.
        """
        config, sight = config or FitConfig(), Sight(layout, muscles=muscles)
        away = held_out(found.episode, config.seed)
        seen = sight(found.before, found.after)
        running = RunningNormaliser(sight.size)
        running.update(seen[~away])
        normaliser = running.frozen()
        pairs = Pairs(normaliser(seen), found.action.astype(np.float32))
        generator = torch.Generator().manual_seed(config.seed)
        network = Actor(sight.size, found.action.shape[1], HIDDEN, generator=generator)
        fitted = fit(network, pairs[~away], pairs[away], config, tell, stop)
        return cls(sight, normaliser, network), fitted

    def __call__(self, before: Float32, after: Float32) -> Float32:
        """(B, M) in [-1, 1], between states (B, S) that are as far apart as those it learned from."""
        with torch.inference_mode():
            found: Float32 = self._network(torch.from_numpy(self._normaliser(self._sight(before, after)))).numpy()
        return found


def held_out(episodes: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """(B,) which rows to hold out, by the episodes (B,) that they are of; of a single episode its last ones."""
    ids = np.unique(episodes)
    if len(ids) == 1:
        return np.arange(len(episodes)) >= round((1.0 - HELD_OUT) * len(episodes))
    count = max(1, round(HELD_OUT * len(ids)))
    chosen = np.random.default_rng(seed).permutation(ids)[:count]
    return np.isin(episodes, chosen)
