"""The gait card: how a policy walks, as a handful of numbers over all of its scored episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.gait.feet import LEGS, Array
from agents.gait.steps import LegSteps, steps_of
from environment.state import TARGET_VELOCITY, StateLayout
from environment.timestep import CONTROL_STEP_S

Number = float | None
"""None: there was nothing to count."""
_FALL_STEPS = 100
"""Control steps before a fall that tell of no gait."""
_SHORTEST_WAY_M = 1.0
"""Over less, effort per metre says nothing."""


@dataclass(frozen=True, slots=True)
class LegCard:
    """One leg's steps; means over all of them."""

    steps: int
    """Strikes of the heel that were counted."""
    step_length_m: Number
    """From the other heel to this one when it strikes, in the direction of the walk."""
    step_length_spread_m: Number
    """Standard deviation."""
    stride_length_m: Number
    """From one strike of this heel to its next."""
    frequency_hz: Number
    """Strikes of this heel in a second."""
    stance_share: Number
    """Of the stride that the foot stands; people's is about 0.6."""
    peak_body_weights: Number
    """Largest vertical ground reaction of a stance, mean over the stances."""
    highest_body_weights: Number
    """The largest of all."""
    cycle_body_weights: tuple[float, ...]
    """Mean vertical ground reaction over the stride, 51 points from a strike to the next; empty without a stride."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One episode's velocity, for the plot."""

    seed: int
    pelvis_m_per_s: NDArray[np.float64]
    """(T, 2) forward x, right z."""
    target_m_per_s: NDArray[np.float64]
    """(T, 2)"""


@dataclass(frozen=True, slots=True)
class GaitCard:
    """How a policy walks."""

    episodes: int
    seconds: float
    """Walked, without the second before a fall."""
    distance_m: float
    """Sum of what lies between the episodes' starts and ends."""
    speed_m_per_s: Number
    cadence_steps_per_minute: Number
    """Of both feet together."""
    effort_per_metre_s: Number
    """Integral of the sum of squared activations over time, by distance; None for a body that went nowhere."""
    legs: Mapping[str, LegCard]
    """`right` (with the prosthesis, where the body has one) and `left`."""
    asymmetry: Mapping[str, Number]
    """(left - right) over their mean, of some of the legs' numbers; 0 is symmetric."""
    activation: Mapping[str, float]
    """Mean of each muscle, 0 to 1."""
    trace: Trace | None = field(default=None, repr=False)

    def document(self) -> dict[str, Any]:
        """For JSON, without the trace."""
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "trace"}
        legs = {leg: dataclasses.asdict(card) for leg, card in self.legs.items()}
        for card in legs.values():
            card["cycle_body_weights"] = list(card["cycle_body_weights"])
        return plain | {"legs": legs, "asymmetry": dict(self.asymmetry), "activation": dict(self.activation)}


@dataclass(frozen=True, slots=True)
class Walk:
    """An episode to look at."""

    seed: int
    states: Array
    """(T+1, S)"""
    fell: bool


def gait_card(layout: StateLayout, walks: Iterable[Walk], body_weight_n: float) -> GaitCard:
    """The card of these episodes, of states in `layout` (target included); episodes are let go one after another.

    Raises: ValueError without an episode, or for a body whose feet are not known.
    """
    legs = {leg: LegSteps() for leg in LEGS}
    count = steps = 0
    distance, effort = 0.0, 0.0
    activations = layout.ending("muscles", "activation")
    used = np.zeros(len(activations))
    trace: Trace | None = None
    for walk in walks:
        states = walk.states[: max(2, len(walk.states) - _FALL_STEPS)] if walk.fell else walk.states
        for leg, found in steps_of(layout, states, body_weight_n).items():
            for name in LegSteps.__slots__:
                getattr(legs[leg], name).extend(getattr(found, name))
        active = states[1:, activations].astype(np.float64)
        count, steps = count + 1, steps + len(active)
        used += active.sum(axis=0)
        effort += float(np.square(active).sum()) * CONTROL_STEP_S
        way = (states[-1] - states[0])[layout.where("body_pos/pelvis")]
        distance += float(np.hypot(way[0], way[2]))
        # The longest is drawn, the first of equals.
        if trace is None or len(active) > len(trace.pelvis_m_per_s):
            trace = _trace(layout, walk.seed, states)
    if not count:
        raise ValueError("a gait card needs at least one episode")
    seconds = steps * CONTROL_STEP_S
    cards = {leg: _leg_card(found) for leg, found in legs.items()}
    frequencies = [card.frequency_hz for card in cards.values()]
    muscles = [layout.names[i].split("/")[1] for i in activations]
    return GaitCard(
        episodes=count,
        seconds=seconds,
        distance_m=distance,
        speed_m_per_s=distance / seconds if steps else None,
        cadence_steps_per_minute=None if None in frequencies else 60.0 * sum(f for f in frequencies if f is not None),
        effort_per_metre_s=effort / distance if distance >= _SHORTEST_WAY_M else None,
        legs=cards,
        asymmetry={name: _asymmetry(cards, name) for name in _COMPARED},
        activation=dict(zip(muscles, (used / max(steps, 1)).tolist(), strict=True)),
        trace=trace,
    )


_COMPARED = ("step_length_m", "stride_length_m", "frequency_hz", "stance_share", "peak_body_weights")


def _leg_card(found: LegSteps) -> LegCard:
    strides_s = _mean(found.stride_s)
    return LegCard(
        steps=len(found.step_length_m),
        step_length_m=_mean(found.step_length_m),
        step_length_spread_m=float(np.std(found.step_length_m)) if found.step_length_m else None,
        stride_length_m=_mean(found.stride_length_m),
        frequency_hz=None if strides_s is None else 1.0 / strides_s,
        stance_share=_mean(found.stance_share),
        peak_body_weights=_mean(found.peak_body_weights),
        highest_body_weights=max(found.peak_body_weights, default=None),
        cycle_body_weights=tuple(np.mean(found.cycles, axis=0).tolist()) if found.cycles else (),
    )


def _asymmetry(cards: Mapping[str, LegCard], name: str) -> Number:
    right, left = (getattr(cards[leg], name) for leg in LEGS)
    if right is None or left is None or right + left == 0:
        return None
    return float((left - right) / (0.5 * (left + right)))


def _mean(values: Sequence[float]) -> Number:
    return float(np.mean(values)) if values else None


def _trace(layout: StateLayout, seed: int, states: Array) -> Trace:
    velocity, target = (
        states[1:, layout.where(f"{name}/x", f"{name}/z")].astype(np.float64)
        for name in ("body_vel/pelvis", TARGET_VELOCITY)
    )
    return Trace(seed, velocity, target)
