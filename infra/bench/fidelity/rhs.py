"""Another engine's right-hand side and state vectors against OpenSim's, at the same states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environment.state import StateLayout
from infra.bench.fidelity.oracle import Array, Oracle, RightHandSide, States
from infra.bench.fidelity.states import Labelled

BOUND = 1e-9
"""On the relative errors of all rates of change."""
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""A number of the state may be off by the larger of the two."""
ROUNDING = 3e-11
"""Accelerations are sums of terms as large as the largest acceleration of a coordinate, and where they cancel, rounding
remains. This share of the largest is an absolute error allowed: moving a state by one unit in its last place moves
OpenSim's own accelerations by up to 2.8e-11 of it."""
_ACCELERATIONS = ("joint_acc/", "body_acc/", "body_acc_rot/", "misc/mass_center_acc/")
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """The worst over the states of a class. Rates are relative to the larger of 1 and the rate itself; for u̇, of the
    largest acceleration in the same state."""

    label: str
    states: int
    acceleration: float
    fiber_velocity: float
    activation_rate: float
    state_number: float
    """Largest error of a number in the state vector, as a multiple of what is allowed for it."""
    worst_number: str
    """Its name."""
    worst_state: int
    """Row, among all states, of the largest error of accelerations."""

    @property
    def within(self) -> bool:
        """Whether every bound is kept. False for an error that is not a number."""
        rates = (self.acceleration, self.fiber_velocity, self.activation_rate)
        return all(rate <= BOUND for rate in rates) and self.state_number <= 1.0


def differences(engine: RightHandSide, oracle: Oracle, found: Labelled) -> list[Difference]:
    """Each class of states in turn.

    Raises: ValueError when the engine gives arrays of other shapes.
    """
    order = np.arange(len(found.labels))
    return [
        difference(engine, oracle, found.of(label), label, order[found.labels == label])
        for label in dict.fromkeys(found.labels.tolist())
    ]


def difference(engine: RightHandSide, oracle: Oracle, states: States, label: str, rows: NDArray[np.intp]) -> Difference:
    """One class of states; `rows` are their places among all states."""
    parts = list(_compare(engine, oracle, states))
    acceleration, activation, fiber, number = (np.concatenate(part) for part in zip(*parts, strict=True))
    # argmax finds the first NaN before any number.
    worst = np.unravel_index(number.argmax(), number.shape)
    return Difference(
        label=label,
        states=len(states),
        acceleration=float(acceleration.max()),
        fiber_velocity=float(fiber.max()),
        activation_rate=float(activation.max()),
        state_number=float(number[worst]),
        worst_number=oracle.layout.names[int(worst[1])],
        worst_state=int(rows[acceleration.max(axis=1).argmax()]),
    )


def _compare(engine: RightHandSide, oracle: Oracle, states: States) -> Iterator[tuple[Array, Array, Array, Array]]:
    for start in range(0, len(states), _AT_ONCE):
        part = states[start : start + _AT_ONCE]
        arrays = (part.q, part.u, part.a, part.l, part.e)
        true_u, true_a, true_l = oracle.derivatives(*arrays)
        rate_u, rate_a, rate_l = engine.derivatives(*arrays)
        vectors, truth = engine.state_vectors(*arrays), oracle.state_vectors(*arrays)
        for name, given, needed in (
            ("accelerations", rate_u, true_u),
            ("activation rates", rate_a, true_a),
            ("fibre velocities", rate_l, true_l),
            ("state vectors", vectors, truth),
        ):
            if given.shape != needed.shape:
                raise ValueError(f"the engine gives {name} of shape {given.shape}, OpenSim {needed.shape}")
        largest = np.maximum(1.0, np.abs(true_u).max(axis=1, keepdims=True))
        allowed = np.maximum(RELATIVE * np.abs(truth), ABSOLUTE)
        noisy = [i for i, name in enumerate(oracle.layout.names) if name.startswith(_ACCELERATIONS)]
        allowed[:, noisy] = np.maximum(allowed[:, noisy], ROUNDING * largest)
        locked = locked_accelerations(oracle.layout, oracle.coordinates)
        allowed[:, locked] = np.maximum(allowed[:, locked], BOUND * largest)
        yield (
            np.abs(rate_u - true_u) / largest,
            np.abs(rate_a - true_a) / np.maximum(1.0, np.abs(true_a)),
            np.abs(rate_l - true_l) / np.maximum(1.0, np.abs(true_l)),
            np.abs(vectors - truth) / allowed,
        )


def locked_accelerations(layout: StateLayout, free: tuple[str, ...]) -> NDArray[np.intp]:
    """Places of locked coordinates' accelerations: zero but for the noise of OpenSim's constraint."""
    places = layout.where("joint_acc")
    return np.array([i for i in places if layout.names[i].split("/")[-1] not in free], dtype=np.intp)
