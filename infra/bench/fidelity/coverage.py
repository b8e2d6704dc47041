"""Counts how many states meet each corner of the equations, so that "proven on 10,000 states" means something."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from infra.bench.fidelity.model_file import CONDITION_MARGIN_RAD
from infra.bench.fidelity.oracle import Array
from infra.bench.fidelity.probe import Probe, Rates
from infra.bench.fidelity.states import Labelled

LEAST_SHARE = 0.003
"""Of a class; the rarest corner is met about ten times in 10,000 states of nine classes, and always at least once."""
_NEAR_RAD = 1e-4
_ALMOST_STILL_M_PER_S = 1e-3
_SLIDING_FAST_M_PER_S = 2.0

Mask = NDArray[np.bool_]


class NotCovered(RuntimeError):
    """The states leave out something that they are meant to show."""


def check_coverage(probe: Probe, found: Labelled) -> Mapping[str, int]:
    """How many states of a class meet each corner, `class: corner` -> count.

    Raises: NotCovered, with every corner that too few states meet; or when a state stands on a jump.
    """
    counts: dict[str, int] = {}
    short = []
    for label in dict.fromkeys(found.labels.tolist()):
        corners = _corners(probe, found, label)
        for corner, mask in corners.items():
            counts[f"{label}: {corner}"] = int(mask.sum())
            if mask.sum() < max(1, LEAST_SHARE * len(mask)):
                short.append(f"{label}: {corner} ({mask.sum()} of {len(mask)})")
    if short:
        raise NotCovered(f"too few states for {'; '.join(short)}; take more states or another seed")
    for name, places in probe.file.jumps().items():
        column = found.states.q[:, probe.oracle.coordinates.index(name)]
        gap = min(float(np.abs(column - place).min()) for place in places)
        if gap < 1e-9:
            raise NotCovered(f"a state's {name} is {gap:.1e} rad from where the equations jump; either side is right")
    return counts


def _corners(probe: Probe, found: Labelled, label: str) -> dict[str, Mask]:
    """The corners that states of this class have to meet."""
    states = found.of(label)
    if label == "muscles":
        return _muscle_corners(probe, found)
    if label == "limits":
        return _limit_corners(probe, states.q)
    if label == "rest":
        return {"no speed at all": (states.u == 0).all(axis=1), **_floor_corners(probe, states.q, states.u, "touching")}
    if label == "contact":
        names = ("touching", "both feet", "sliding fast", "almost still")
        return _floor_corners(probe, states.q, states.u, *names)
    if label == "contact-skip":
        forces = probe.skipped_force_n(states)
        return {"a sphere is left out": forces > 1.0, "its order does not matter": forces < 1e-6}
    if label == "gait":
        return _floor_corners(probe, states.q, states.u, "right foot alone", "left foot alone", "both feet")
    if label == "standing":
        return _floor_corners(probe, states.q, states.u, "both feet")
    if label == "falling":
        moving = {"moving": np.abs(states.u).max(axis=1) > 1.0}
        return moving | _floor_corners(probe, states.q, states.u, "touching", "in the air")
    if label == "random":
        return {"fast": np.abs(states.u).max(axis=1) > 5.0, **_excitation_corners(states.e)}
    if label == "thresholds":
        return _threshold_corners(probe, states.q)
    raise KeyError(f"no corners are known for the class {label!r}")


def _excitation_corners(e: Array) -> dict[str, Mask]:
    return {
        "all off": (e == 0).all(axis=1),
        "all on": (e == 1).all(axis=1),
        "in between": ((e > 0) & (e < 1)).all(axis=1),
    }


def _limit_corners(probe: Probe, q: Array) -> dict[str, Mask]:
    names, corners = probe.oracle.coordinates, {}
    for limit in probe.file.limits():
        column = q[:, names.index(limit.coordinate)]
        for side, past in (("upper", column - limit.upper), ("lower", limit.lower - column)):
            corners[f"{limit.coordinate} in its {side} transition"] = (past > 0) & (past < limit.transition)
            corners[f"{limit.coordinate} beyond its {side} transition"] = past > limit.transition
    if not probe.file.limits():
        for name, (low, high) in probe.file.ranges().items():
            corners[f"{name} under its range"] = q[:, names.index(name)] < low
            corners[f"{name} over its range"] = q[:, names.index(name)] > high
    for name, knots in probe.file.knots().items():
        column, (low, high) = q[:, names.index(name)], probe.file.ranges()[name]
        corners[f"{name} under its range"] = (column < low) & (column > knots[0])
        corners[f"{name} over its range"] = (column > high) & (column < knots[-1])
        corners[f"{name} under its splines"] = column < knots[0]
        corners[f"{name} over its splines"] = column > knots[-1]
    return {name: mask for name, mask in corners.items() if not _impossible(name, probe)}


def _impossible(corner: str, probe: Probe) -> bool:
    """These files end a knee's range 5e-6 rad inside of its splines: no class aims at that gap but `thresholds`."""
    name = corner.split(" ")[0]
    return (
        name in probe.file.knots()
        and corner.endswith("under its range")
        and abs(probe.file.ranges()[name][0] - probe.file.knots()[name][0]) < _NEAR_RAD
    )


def _threshold_corners(probe: Probe, q: Array) -> dict[str, Mask]:
    corners = {}
    for name, places in probe.file.jumps().items():
        column = q[:, probe.oracle.coordinates.index(name)]
        for place in places:
            corners[f"{name} just under {place:.6g}"] = (column < place) & (place - column < _NEAR_RAD)
            corners[f"{name} just over {place:.6g}"] = (column > place) & (column - place < _NEAR_RAD)
            inner = np.abs(column - place) < CONDITION_MARGIN_RAD
            corners[f"{name} within the margin of {place:.6g}"] = inner
    for name, knots in probe.file.knots().items():
        column = q[:, probe.oracle.coordinates.index(name)]
        corners[f"{name} on a knot"] = np.isin(column, knots)
    return corners


def _floor_corners(probe: Probe, q: Array, u: Array, *names: str) -> dict[str, Mask]:
    if not probe.feet:
        return {}
    places = probe.spheres(q, u)
    down = places.bottom_m < 0
    feet = np.stack([down[:, foot].any(axis=1) for foot in probe.feet.values()], axis=1)
    sliding = np.where(down, places.sliding_m_per_s, 0.0).max(axis=1)
    touching = feet.any(axis=1)
    known = {
        "touching": touching,
        "in the air": ~touching,
        "both feet": feet.all(axis=1),
        "right foot alone": feet[:, 0] & ~feet[:, 1],
        "left foot alone": feet[:, 1] & ~feet[:, 0],
        "sliding fast": sliding > _SLIDING_FAST_M_PER_S,
        "almost still": touching & (sliding < _ALMOST_STILL_M_PER_S) & (sliding > 0),
    }
    return {name: known[name] for name in names}


def _muscle_corners(probe: Probe, found: Labelled) -> dict[str, Mask]:
    states, muscles = found.of("muscles"), probe.muscles
    rates: Rates = probe.muscle_rates(states)
    force = rates.tendon / rates.cosine - rates.passive
    most = 0.95 * rates.active * rates.lengthening
    tendon_m = probe.muscle_lengths(states.q) - states.l * rates.cosine
    pennated = muscles.minimum_m > 0
    each = {
        "activation negative": states.a < 0,
        "activation under its least": states.a < 0.01,
        "activation at its least": states.a == 0.01,
        "activation over 1": states.a > 1,
        "activation at 1": states.a == 1,
        "fibre under its least length": pennated & (states.l < muscles.minimum_m),
        "fibre just over its least length": pennated
        & (states.l > muscles.minimum_m)
        & (states.l < 1.001 * muscles.minimum_m),
        "tendon slack": tendon_m < muscles.slack_m,
        "tendon in its toe": (rates.tendon > 0) & (rates.tendon < 0.33),
        "tendon linear": rates.tendon > 0.33,
        "passive force over the maximal": rates.passive > 1,
        "force under 0, extrapolated": force < 0,
        "shortening": (force > 0) & (force < rates.active),
        "lengthening": (force > rates.active) & (force < most),
        "force over the threshold, extrapolated": force > most,
    }
    return {name: mask.any(axis=1) for name, mask in each.items()}
