"""The classes of states whose point is the contact of the feet with the floor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from infra.bench.fidelity.classes import Make
from infra.bench.fidelity.draws import Draws
from infra.bench.fidelity.oracle import Array, States

GAIT_HZ = 0.9


def _gait(draws: Draws, n: int) -> States:
    """Legs that swing in turn at walking speed, the lower foot on the floor."""
    generator = draws.generator
    q, u = draws.near_start(n, 0.03), draws.speeds(n, 0.3)
    phase = generator.uniform(0.0, 2 * np.pi, n)
    rate = 2 * np.pi * GAIT_HZ * generator.uniform(0.6, 1.4, n)
    for side, shift in (("r", 0.0), ("l", np.pi)):
        angle = phase + shift
        for joint, mean, swing, lead in (("hip_flexion", 0.15, 0.4, 0.0), ("knee_angle", -0.5, -0.45, 0.9),
                                         ("ankle_angle", 0.0, 0.2, 2.0)):  # fmt: skip
            column = draws.column(f"{joint}_{side}")
            size = swing * generator.uniform(0.6, 1.2, n)
            q[:, column] += mean + size * np.cos(angle + lead)
            u[:, column] -= size * rate * np.sin(angle + lead)
    u[:, draws.column("pelvis_tx")] += generator.uniform(0.5, 2.0, n)
    q = draws.on_floor(draws.off_jumps(q), generator.uniform(0.0, 0.02, n))
    return draws.states(q, u, l=draws.fibers(q, (0.0, 0.045)))


def _contact(draws: Draws, n: int) -> States:
    """Feet up to 40 mm in the floor, sliding and rising or sinking."""
    generator = draws.generator
    q = draws.on_floor(draws.near_start(n, 0.15), generator.uniform(0.0, 0.04, n))
    u = draws.speeds(n, 1.0)
    for name, most in (("pelvis_tx", 4.0), ("pelvis_tz", 2.0), ("pelvis_ty", 0.5)):
        if name in draws.names:
            u[:, draws.column(name)] = generator.uniform(-most, most, n)
    barely = draws.choose(n, 0.2)
    u[barely] *= 10 ** generator.uniform(-9, -2, (int(barely.sum()), 1))  # friction's steep part
    return draws.states(q, u)


def _contact_skip(draws: Draws, n: int) -> States:
    """A sphere in the floor rises too fast to be pushed while another one of the same foot is pushed."""
    kept: list[tuple[Array, Array]] = []
    fast = 2 / (3 * draws.probe.dissipation_s_per_m)
    while sum(len(q) for q, _ in kept) < n:
        q = draws.on_floor(draws.near_start(n, 0.12), draws.generator.uniform(0.02, 0.04, n))
        u = draws.speeds(n, 8.0)
        places = draws.probe.spheres(q, u)
        pushed = (places.bottom_m < 0) & (places.rising_m_per_s < fast - 1e-6)
        skipped = (places.bottom_m < 0) & (places.rising_m_per_s > fast + 1e-6)
        both = [pushed[:, foot].any(axis=1) & skipped[:, foot].any(axis=1) for foot in draws.probe.feet.values()]
        chosen = np.any(both, axis=0)
        kept.append((q[chosen], u[chosen]))
    q, u = (np.concatenate(parts)[:n] for parts in zip(*kept, strict=True))
    return draws.states(q, u)


FLOOR_CLASSES: Mapping[str, Make] = {"gait": _gait, "contact": _contact, "contact-skip": _contact_skip}
