"""Ways to simulate, each playing the same actions: our environment with any settings, and osim-rl as it ships.

Time is processor time of the one thread that simulates, so that a busy machine disturbs the figures little. It covers a
whole control step as a worker sees it: integration, the whole state, reward, termination and (ours only) observation.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.config import EnvironmentConfig
from environment.physics.native.settings import NativeSettings
from environment.physics.settings import OpenSimSettings
from environment.prosthetics import ProstheticsEnv

Settings = OpenSimSettings | NativeSettings

HELD_STEPS = 4
PEER = "osim-rl 2.1.5"
TURN_S = 0.1
"""Processor time of a turn."""


@dataclass(frozen=True, slots=True)
class Played:
    """One episode of T control steps."""

    mass_center_m: NDArray[np.float64]
    """(T, 3) after each of them."""
    rewards: NDArray[np.float64]
    """(T,)"""
    seconds: float
    """Processor time of all of them, without the reset."""


class Player(Protocol):
    """Plays one episode at a time, in turns."""

    def start(self, seed: int, most_steps: int) -> None:
        """Begins the episode with the actions of `seed`."""

    def turn(self, most_s: float) -> bool:
        """Goes on for about so much processor time; returns whether the episode is over."""

    def played(self) -> Played:
        """The episode so far."""


class Episode:
    """A `Player` of an environment in this process."""

    def __init__(
        self,
        reset: Callable[[int], object],
        step: Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], float, bool]],
    ) -> None:
        """
        Args:
            reset: Begins an episode with a seed.
            step: Excitations (M,) held for a control step -> centre of mass (3,) in m, reward, whether it is over.
        """
        self._reset = reset
        self._step = step

    def start(self, seed: int, most_steps: int) -> None:
        self._reset(seed)
        self._actions = zip(actions(seed), range(most_steps), strict=False)
        self._centers: list[NDArray[np.float64]] = []
        self._rewards: list[float] = []
        self._seconds = 0.0

    def turn(self, most_s: float) -> bool:
        until = self._seconds + most_s
        for excitation, _ in self._actions:
            started = time.thread_time()
            center, reward, done = self._step(excitation)
            self._seconds += time.thread_time() - started
            self._centers.append(center)
            self._rewards.append(reward)
            if done:
                return True
            if self._seconds >= until:
                return False
        return True

    def played(self) -> Played:
        return Played(np.array(self._centers), np.array(self._rewards), self._seconds)


def in_turns(players: Sequence[Player], seed: int, most_steps: int) -> list[Played]:
    """One episode of each. They take turns, so that a slow moment of the machine meets all alike."""
    for player in players:
        player.start(seed, most_steps)
    playing = list(players)
    while playing:
        playing = [player for player in playing if not player.turn(TURN_S)]
    return [player.played() for player in players]


def actions(seed: int, muscles: int = 19) -> Iterator[NDArray[np.float32]]:
    """Excitations (M,), each 0 or 1 with equal chance, drawn anew every 4 control steps; without end."""
    generator = np.random.default_rng(seed)
    while True:
        excitation = (generator.random(muscles) < 0.5).astype(np.float32)
        for _ in range(HELD_STEPS):
            yield excitation


def ours(settings: Settings) -> Player:
    """Our environment of the second round with these settings, one control step per decision."""
    env = ProstheticsEnv(
        EnvironmentConfig(
            task="prosthetics-round2",
            physics="native" if isinstance(settings, NativeSettings) else "opensim",
            integrator=settings.integrator,
            accuracy=settings.accuracy,
            stale_controls=settings.stale_controls,
            frame_skip=1,
        )
    )
    center = env.layout.where("misc/mass_center_pos")

    def step(excitation: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool]:
        _, reward, terminated, truncated, _ = env.step(2 * excitation - 1)
        return env.state[center], reward, terminated or truncated

    return Episode(lambda seed: env.reset(seed=seed), step)


@contextlib.contextmanager
def osim_rl() -> Iterator[Player]:
    """osim-rl's environment of the second round as it ships: its integrator, its storage, its dictionary per step.

    In a process of its own, where OpenSim is loaded as osim-rl loads it.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield _Elsewhere(lambda method, *arguments: pool.apply(_ask, (method, *arguments)))


class _Elsewhere:
    """The `Player` of another process."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def start(self, seed: int, most_steps: int) -> None:
        self._ask("start", seed, most_steps)

    def turn(self, most_s: float) -> bool:
        return bool(self._ask("turn", most_s))

    def played(self) -> Played:
        played: Played = self._ask("played")
        return played


def _ask(method: str, *arguments: Any) -> Any:
    return getattr(_osim_rl_here(), method)(*arguments)


@functools.cache
def _osim_rl_here() -> Player:
    from infra.bench.osim_rl_peer import osim_rl_environment

    env = osim_rl_environment()

    def step(excitation: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool]:
        state, reward, done, _ = env.step(excitation, project=False)
        return np.array(state["misc"]["mass_center_pos"]), reward, done

    return Episode(lambda seed: env.reset(project=False, seed=seed), step)
