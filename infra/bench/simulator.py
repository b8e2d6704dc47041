"""How fast the simulators run here, and how far each strays; osim-rl's own way beside them.

All play the same random on/off actions, held 4 control steps, until the fall. The truth is Runge-Kutta-Merson at 1e-7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from environment.physics.native.settings import NativeSettings
from environment.physics.settings import OpenSimSettings
from infra.bench.machine import machine, on_one_core
from infra.bench.overhead import environment_overhead
from infra.bench.players import PEER, Played, Player, Settings, in_turns, osim_rl, ours
from infra.bench.scaling import scaling
from infra.bench.startup import startup

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
    """osim-rl first, then each of `settings`; all play an episode at the same time, in turns on one core."""
    with on_one_core(), osim_rl() as peer:
        ways: dict[str, Player] = {PEER: peer, **{one.name: ours(one) for one in settings}}
        players = [ours(REFERENCE), *ways.values()]
        truths, *played = zip(*(in_turns(players, seed, most_steps) for seed in seeds), strict=True)
    return [compare(name, episodes, truths) for name, episodes in zip(ways, played, strict=True)]


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
