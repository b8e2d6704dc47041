"""What may not enter the log. The critic would learn from it for the rest of the run, without any error."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from agents.replay.columns import TimestepBlock
from agents.replay.contract import RefusedTimestep
from environment.timestep import TimeStep

RANGE_TOLERANCE = 1e-6
"""Of excitations and policy actions: float32 rounding of a bound, no more."""


def check(timestep: TimeStep, *, state_size: int, action_size: int, previous: int | None, ended: bool = False) -> None:
    """Passes a timestep that may follow step `previous` (None: one that may open an episode).

    `ended`: the previous timestep was terminated or truncated.

    Raises: RefusedTimestep.
    """
    if not _is_plainly_good(timestep, state_size, action_size, previous, ended):
        _check_one_by_one(timestep, state_size, action_size, previous, ended)


def check_block(
    block: TimestepBlock, *, state_size: int, action_size: int, previous: int, ended: bool = False
) -> tuple[int, RefusedTimestep | None]:
    """How many timesteps of the block may follow step `previous`, and why the next one may not: as `check` of each."""
    if not ended and _is_good_throughout(block, state_size, action_size, previous):
        return len(block), None
    for row in range(len(block)):
        timestep = block.timestep(row, previous + 1)
        try:
            check(timestep, state_size=state_size, action_size=action_size, previous=previous, ended=ended)
        except RefusedTimestep as refusal:
            return row, refusal
        previous, ended = timestep.step, timestep.terminated or timestep.truncated
    return len(block), None


def _is_plainly_good(timestep: TimeStep, state_size: int, action_size: int, previous: int | None, ended: bool) -> bool:
    """Whether nothing can be wrong with it, in a quarter of the time that it takes to say what is."""
    state, step = timestep.state, timestep.step
    return (
        previous is not None
        and step == previous + 1
        and not ended
        and (step != 1 or timestep.decision)
        and state.shape == (state_size,)
        and state.dtype == np.float32
        and bool(np.isfinite(state).all())
        and _acts_within(timestep.excitation, 0.0, action_size)
        and _acts_within(timestep.policy_action, -1.0, action_size)
        and math.isfinite(timestep.reward)
    )


def _acts_within(values: NDArray[np.float32], low: float, size: int) -> bool:
    if values.shape != (size,):
        return False
    numbers = values.tolist()  # of so few, Python finds the extremes faster than numpy
    return (
        low - RANGE_TOLERANCE <= min(numbers) and max(numbers) <= 1.0 + RANGE_TOLERANCE and math.isfinite(sum(numbers))
    )


def _is_good_throughout(block: TimestepBlock, state_size: int, action_size: int, previous: int) -> bool:
    return (
        (previous > 0 or bool(np.all(block.decision[:1])))
        and not np.count_nonzero(block.terminated[:-1])
        and not np.count_nonzero(block.truncated[:-1])
        and block.state.shape[1:] == (state_size,)
        and block.state.dtype == np.float32
        and _all(np.isfinite(block.state))
        and _act_within(block.excitation, 0.0, action_size)
        and _act_within(block.policy_action, -1.0, action_size)
        and _all(np.isfinite(block.reward))
    )


def _act_within(values: NDArray[np.float32], low: float, size: int) -> bool:
    if values.shape[1:] != (size,):
        return False
    if len(values) and values.strides[0] == 0:  # one action, held
        return _acts_within(values[0], low, size)
    return _all((values >= low - RANGE_TOLERANCE) & (values <= 1.0 + RANGE_TOLERANCE))


def _all(true: NDArray[np.bool_]) -> bool:
    """Of few values, in a third of the time that `all` takes."""
    return bool(np.count_nonzero(true) == true.size)


def _check_one_by_one(timestep: TimeStep, state_size: int, action_size: int, previous: int | None, ended: bool) -> None:
    _check_order(timestep, previous, ended)
    _check_vector("state", timestep.state, state_size, timestep.step)
    _check_vector("excitation", timestep.excitation, action_size, timestep.step)
    _check_vector("policy_action", timestep.policy_action, action_size, timestep.step)
    if not np.isfinite(timestep.reward):
        raise RefusedTimestep(
            "not_finite",
            f"step {timestep.step}: found reward {timestep.reward}, needed a finite number; "
            "likely a reward computed from a state that blew up",
        )
    _check_range("excitation", timestep.excitation, 0.0, timestep.step)
    _check_range("policy_action", timestep.policy_action, -1.0, timestep.step)
    if timestep.step == 0:
        _check_reset(timestep)


def _check_order(timestep: TimeStep, previous: int | None, ended: bool) -> None:
    if ended:
        raise RefusedTimestep(
            "after_end",
            f"found step {timestep.step} after step {previous}, which ended the episode; needed a new episode",
        )
    needed = 0 if previous is None else previous + 1
    if timestep.step != needed:
        raise RefusedTimestep(
            "out_of_order",
            f"found step {timestep.step}, needed {needed}; likely a step was lost, repeated or refused before",
        )
    if timestep.step == 1 and not timestep.decision:
        raise RefusedTimestep(
            "out_of_order",
            "step 1: found a held action, needed a decision: there is nothing to hold after a reset",
        )


def _check_vector(name: str, values: NDArray[np.float32], size: int, step: int) -> None:
    shape = np.shape(values)
    if shape != (size,):
        raise RefusedTimestep(
            "wrong_width",
            f"step {step}: found {name} of shape {shape}, needed ({size},); likely a layout that is not the run's",
        )
    stored = values
    if values.dtype != np.float32:
        # The log keeps float32: a float64 beyond its range would be stored as infinite.
        with np.errstate(over="ignore"):
            stored = np.asarray(values, dtype=np.float32)
    finite = np.isfinite(stored)
    if not finite.all():
        index = int(np.argmin(finite))
        raise RefusedTimestep(
            "not_finite",
            f"step {step}: found {name}[{index}] = {values[index]}, needed finite numbers; "
            "likely an integration that diverged",
        )


def _check_range(name: str, values: NDArray[np.float32], low: float, step: int) -> None:
    least, most = float(values.min()), float(values.max())
    if least < low - RANGE_TOLERANCE or most > 1.0 + RANGE_TOLERANCE:
        raise RefusedTimestep(
            "out_of_range",
            f"step {step}: found {name} in [{least:g}, {most:g}], needed [{low:g}, 1]; "
            "likely excitations and policy actions were exchanged, or a clip is missing",
        )


def _check_reset(timestep: TimeStep) -> None:
    acted = bool(np.any(timestep.excitation)) or bool(np.any(timestep.policy_action))
    if acted or timestep.decision or timestep.reward != 0.0 or timestep.terminated or timestep.truncated:
        raise RefusedTimestep(
            "action_at_reset",
            f"step 0: found decision {timestep.decision}, reward {timestep.reward}, "
            f"terminated {timestep.terminated}, truncated {timestep.truncated}, some action {acted}; "
            "needed the bare reset state: nobody has acted yet",
        )
