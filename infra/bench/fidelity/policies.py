"""The actions that two engines play to be compared: fixed in advance, so that no engine's state decides about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from environment.timestep import CONTROL_STEP_S

MOST_STEPS = 300
REPLAY = "replay"
_HELD_STEPS = 4
_LONGEST_HELD_STEPS = 8

Excitations = NDArray[np.float32]
Draw = Callable[[np.random.Generator, int], Excitations]
"""(generator, muscles) -> (MOST_STEPS, M) excitations in [0, 1]."""


def _binary(generator: np.random.Generator, muscles: int) -> Excitations:
    """All or nothing, drawn anew every 4 control steps."""
    drawn = generator.random((-(-MOST_STEPS // _HELD_STEPS), muscles)) < 0.5
    return np.repeat(drawn, _HELD_STEPS, axis=0)[:MOST_STEPS].astype(np.float32)


def _continuous(generator: np.random.Generator, muscles: int) -> Excitations:
    """Anything in between, held for 1 to 8 control steps."""
    held = generator.integers(1, _LONGEST_HELD_STEPS + 1, MOST_STEPS)
    return np.repeat(generator.random((MOST_STEPS, muscles)), held, axis=0)[:MOST_STEPS].astype(np.float32)


def _smooth(generator: np.random.Generator, muscles: int) -> Excitations:
    """A sine per muscle at 0.5 to 3 Hz, with the muscle's own offset, amplitude and phase, cut to [0, 1]."""
    frequency_hz = generator.uniform(0.5, 3.0, muscles)
    offset, amplitude = generator.uniform(0.0, 0.6, (2, muscles))
    phase = generator.uniform(0.0, 2 * np.pi, muscles)
    time_s = CONTROL_STEP_S * np.arange(MOST_STEPS)[:, None]
    wave = offset + amplitude * np.sin(2 * np.pi * frequency_hz * time_s + phase)
    return np.asarray(np.clip(wave, 0.0, 1.0), np.float32)


def _constant(value: float) -> Draw:
    return lambda generator, muscles: np.full((MOST_STEPS, muscles), value, np.float32)


DRAWN: Mapping[str, Draw] = {
    "binary": _binary,
    "continuous": _continuous,
    "smooth": _smooth,
    "constant-0": _constant(0.0),
    "constant-0.3": _constant(0.3),
    "constant-1": _constant(1.0),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """One episode's actions."""

    kind: str
    """Key of `DRAWN`, or `replay` for the actions in a file."""
    seed: int
    """Of the drawn actions, and of the episode's targets."""
    file: Path | None = None
    """`.npy` with (T, M) excitations in [0, 1], one per control step: for `replay` only."""

    def __post_init__(self) -> None:
        if self.kind not in DRAWN and self.kind != REPLAY:
            raise ValueError(f"no policy kind {self.kind!r}; there are {', '.join((*DRAWN, REPLAY))}")
        if (self.file is None) == (self.kind == REPLAY):
            raise ValueError(f"policy {self.kind} {'needs a' if self.kind == REPLAY else 'takes no'} file of actions")

    @property
    def name(self) -> str:
        """Unique among all, e.g. `binary-17`; that of a replay has the file's checksum in it."""
        if self.file is None:
            return f"{self.kind}-{self.seed}"
        return f"{self.kind}-{hashlib.sha256(self.file.read_bytes()).hexdigest()[:12]}-{self.seed}"

    def excitations(self, muscles: int) -> Excitations:
        """(T, M) in [0, 1]; T is `MOST_STEPS` unless a file is shorter.

        Raises: ValueError when a file holds something else.
        """
        if self.file is None:
            return DRAWN[self.kind](np.random.default_rng(self.seed), muscles)
        found = np.load(self.file, allow_pickle=False)
        if found.ndim != 2 or found.shape[1] != muscles or not len(found):
            raise ValueError(f"{self.file} holds shape {found.shape}, needed (steps, {muscles} excitations)")
        if not (np.isfinite(found).all() and found.min() >= 0.0 and found.max() <= 1.0):
            raise ValueError(f"{self.file} holds excitations outside [0, 1]; were policy outputs in [-1, 1] saved?")
        return np.asarray(found[:MOST_STEPS], np.float32)


def mixed_policies(episodes: int, replays: Sequence[Path] = ()) -> list[Policy]:
    """Mixed from the first ones on: the files, the constants, then the three random kinds in turn."""
    fixed = [Policy(REPLAY, 1, file) for file in replays]
    fixed += [Policy(f"constant-{value}", 1) for value in ("0", "0.3", "1")]
    kinds = ("binary", "smooth", "continuous")
    turns = zip_longest(*([Policy(kind, seed) for seed in range(1, episodes + 1)] for kind in kinds))
    return [*fixed, *chain.from_iterable(turns)][:episodes]
