"""How fast the simulators run here, and how far each strays; osim-rl's own way beside them.

All play the same random on/off actions, held 4 control steps, until the fall. The truth is Runge-Kutta-Merson at 1e-7.
Time is processor time of the one thread that simulates, so that a busy machine disturbs the figures little. It covers a
whole control step as a worker sees it: integration, the whole state, reward, termination and (ours only) observation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.config import EnvironmentConfig
from environment.physics.native.settings import NativeSettings
from environment.physics.settings import OpenSimSettings
from environment.prosthetics import ProstheticsEnv
from infra.bench.machine import machine
from infra.bench.overhead import environment_overhead
from infra.bench.scaling import scaling
from infra.bench.startup import startup

Settings = OpenSimSettings | NativeSettings

HELD_STEPS = 4
PEER = "osim-rl 2.1.5"
REFERENCE = OpenSimSettings("RungeKuttaMerson", 1e-7)
SETTINGS: tuple[Settings, ...] = (
    OpenSimSettings("RungeKuttaMerson", 5e-5, stale_controls=True),
    OpenSimSettings("RungeKuttaMerson", 5e-5),
    OpenSimSettings("SemiExplicitEuler2", 1e-3),
    OpenSimSettings(),
    NativeSettings("RungeKuttaMerson", 5e-5, stale_controls=True),
    NativeSettings("DormandPrince54", 1e-9),
    NativeSettings(accuracy=1e-6),
    NativeSettings(),
    NativeSettings(accuracy=1e-4),
)
"""The first is osim-rl's own, its fault included; those without arguments are the rollouts'."""
QUICK: tuple[Settings, ...] = (SETTINGS[0], OpenSimSettings(), NativeSettings())


@dataclass(frozen=True, slots=True)
class Played:
    """One episode of T control steps."""

    mass_center_m: NDArray[np.float64]
    """(T, 3) after each of them."""
    rewards: NDArray[np.float64]
    """(T,)"""
    seconds: float
    """Processor time of all of them, without the reset."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One way to simulate against the reference. Errors are those of the seed where they are largest."""

    name: str
    steps_per_s: float
    error_mm: float
    """Largest distance of the centre of mass from the reference's, over the steps that both took."""
    median_error_mm: float
    """The same distance, as half of all steps stay below it; close to a fall's impact small differences grow fast."""
    return_error_percent: float
    """Over the steps that both took."""
    length_difference_steps: int
    """How much later the body fell; negative is earlier."""
    steps: int
    """Measured, all seeds together."""


Simulate = Callable[[int, int], Played]
"""(seed, most control steps) -> one episode."""


def simulator(quick: bool = False) -> dict[str, Any]:
    """The benchmark: a row for each setting with osim-rl's own way as the peer, then what a second core adds."""
    found = measure(QUICK, seeds=(1,), most_steps=60) if quick else measure(SETTINGS, seeds=(1, 2, 3), most_steps=300)
    peer = found[0]
    return {
        "bench": "simulator",
        "about": "Control steps per second of one core; errors against RungeKuttaMerson 1e-07 on the same actions.",
        "machine": machine("opensim", "osim-rl", "numba", "numpy"),
        "rows": [
            *(_row(comparison, peer) for comparison in found),
            *(row for number in ((64,) if quick else (8, 64, 256)) for row in _batch_rows(number, quick, peer)),
            *(scaling(steps=20, rounds=1) if quick else scaling(steps=60, rounds=5)),
            *([] if quick else startup()),
        ],
    }


def measure(settings: Sequence[Settings], *, seeds: Sequence[int], most_steps: int) -> list[Comparison]:
    """osim-rl first, then each of `settings`.

    All of them play a seed before the next seed's turn, so that a slow minute of the machine slows all alike.
    """
    ways: dict[str, Simulate] = {PEER: osim_rl(), **{one.name: ours(one) for one in settings}}
    reference = ours(REFERENCE)
    played: dict[str, list[Played]] = {name: [] for name in ways}
    truths = []
    for seed in seeds:
        truths.append(reference(seed, most_steps))
        for name, simulate in ways.items():
            played[name].append(simulate(seed, most_steps))
    return [compare(name, episodes, truths) for name, episodes in played.items()]


def ours(settings: Settings) -> Simulate:
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

    return _player(lambda seed: env.reset(seed=seed), step)


def osim_rl() -> Simulate:
    """osim-rl's environment of the second round as it ships: its integrator, its storage, its dictionary per step."""
    from infra.bench.osim_rl_peer import osim_rl_environment

    env = osim_rl_environment()

    def step(excitation: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool]:
        state, reward, done, _ = env.step(excitation, project=False)
        return np.array(state["misc"]["mass_center_pos"]), reward, done

    return _player(lambda seed: env.reset(project=False, seed=seed), step)


def actions(seed: int, muscles: int = 19) -> Iterator[NDArray[np.float32]]:
    """Excitations (M,), each 0 or 1 with equal chance, drawn anew every 4 control steps; without end."""
    generator = np.random.default_rng(seed)
    while True:
        excitation = (generator.random(muscles) < 0.5).astype(np.float32)
        for _ in range(HELD_STEPS):
            yield excitation


def compare(name: str, played: Sequence[Played], truths: Sequence[Played]) -> Comparison:
    """Episodes of one way to simulate against the reference's of the same seeds."""
    distances, returns, lengths = [], [], []
    for one, truth in zip(played, truths, strict=True):
        both = min(len(one.rewards), len(truth.rewards))
        distances.append(np.linalg.norm(one.mass_center_m[:both] - truth.mass_center_m[:both], axis=1))
        expected = truth.rewards[:both].sum()
        returns.append(abs(one.rewards[:both].sum() - expected) / abs(expected))
        lengths.append(len(one.rewards) - len(truth.rewards))
    steps = sum(len(one.rewards) for one in played)
    return Comparison(
        name=name,
        steps_per_s=steps / sum(one.seconds for one in played),
        error_mm=1e3 * float(np.concatenate(distances).max()),
        median_error_mm=1e3 * float(np.median(np.concatenate(distances))),
        return_error_percent=float(100 * max(returns)),
        length_difference_steps=max(lengths, key=abs),
        steps=steps,
    )


def _player(
    reset: Callable[[int], object], step: Callable[[NDArray[np.float32]], tuple[NDArray[np.float64], float, bool]]
) -> Simulate:
    def play(seed: int, most_steps: int) -> Played:
        reset(seed)
        centers, rewards = [], []
        seconds = 0.0
        for excitation, _ in zip(actions(seed), range(most_steps), strict=False):
            started = time.thread_time()
            center, reward, done = step(excitation)
            seconds += time.thread_time() - started
            centers.append(center)
            rewards.append(reward)
            if done:
                break
        return Played(np.array(centers), np.array(rewards), seconds)

    return play


def _batch_rows(number: int, quick: bool, peer: Comparison) -> list[dict[str, Any]]:
    """Many bodies in one call, which move bit for bit as they do alone: the engine, then the environment around it."""
    found = environment_overhead(number, steps=20 if quick else 300)
    speeds = {"engine and whole state": found["engine_us"], "whole environment": found["environment_us"]}
    return [
        {
            "name": f"{NativeSettings().name}, {number} bodies: {what}",
            "value": 1e6 / microseconds,
            "unit": "control steps/s",
            "peer": peer.name,
            "peer_value": peer.steps_per_s,
            "ratio": 1e6 / microseconds / peer.steps_per_s,
            "microseconds_per_step": microseconds,
            "over_the_engine_percent": 100.0 * (microseconds / found["engine_us"] - 1.0),
        }
        for what, microseconds in speeds.items()
    ]


def _row(comparison: Comparison, peer: Comparison) -> dict[str, Any]:
    return {
        "name": comparison.name,
        "value": comparison.steps_per_s,
        "unit": "control steps/s",
        "peer": peer.name,
        "peer_value": peer.steps_per_s,
        "ratio": comparison.steps_per_s / peer.steps_per_s,
        "error_mm": comparison.error_mm,
        "median_error_mm": comparison.median_error_mm,
        "return_error_percent": comparison.return_error_percent,
        "length_difference_steps": comparison.length_difference_steps,
        "steps": comparison.steps,
    }
