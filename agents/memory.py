"""What the learner samples, as its configuration wants it: whose episodes, seen how, drawn how."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from agents.config import RunConfig
from agents.replay.columns import Timesteps
from agents.replay.derivation import Derivation
from agents.replay.hindsight import Hindsight
from agents.replay.mirror import Mirror
from agents.replay.mixture import Memory, Mixture, Part
from agents.replay.reflected import Exchange, Reflected
from agents.replay.ring import Ring, bytes_needed, check_room
from agents.replay.runs import Run
from agents.replay.sampling import build_sampler
from environment import targets
from environment.imitation.build import clock_of, reward_of
from environment.imitation.reference import phases_of
from environment.observations import observation
from environment.reflection import Reflection
from environment.state import TARGET_VELOCITY, Entry, StateLayout

log = logging.getLogger(__name__)

Rewards = Callable[[Timesteps], NDArray[np.float64]]


def layout_of(run: Run) -> StateLayout:
    """The layout of a run's stored states, without a simulator."""
    entries = zip(run.state_names, run.state_units, strict=True)
    return StateLayout(tuple(Entry(name, unit) for name, unit in entries))


def build_memory(config: RunConfig, run: Run, others: Sequence[Run] = ()) -> Memory:
    """The learner's memory: the run's own episodes, and as `replay` asks, those of `others`; hindsight is of them all,
    and so is what is drawn reflected.

    Raises: MemoryError with the figures when it does not fit; ValueError when another run stores other states or
        muscles.
    """
    memory = _as_it_was(config, run, others)
    return Reflected(memory, _exchange(config, run)) if config.replay.reflected_share else memory


def _exchange(config: RunConfig, run: Run) -> Exchange:
    seen = observation(config.environment.observation, layout_of(run))
    return Exchange(Reflection(seen.names), Reflection(run.action_names), config.replay.reflected_share)


def _as_it_was(config: RunConfig, run: Run, others: Sequence[Run]) -> Memory:
    partitions, hindsight = config.replay.partitions, config.replay.hindsight_share
    if not others and not hindsight:
        return build_mirror(config, run)
    shares: list[tuple[Run | None, float]] = [(one, partitions[one.name]) for one in others]
    own = 1.0 - hindsight - sum(share for _, share in shares)
    if own > 1e-9:
        shares.insert(0, (None, own))
    wanted = [(of, share, False) for of, share in shares]
    if hindsight:
        plain = sum(share for _, share in shares)
        again = [(of, hindsight * share / plain) for of, share in shares] or [(None, hindsight)]
        wanted += [(of, share, True) for of, share in again]
    check_room(len(wanted), *_sizes(config, build_derivation(config, run)))
    return Mixture([_part(config, run, *one) for one in wanted])


def _part(config: RunConfig, run: Run, of: Run | None, share: float, hindsight: bool) -> Part:
    kind = "hindsight" if hindsight else "run" if of else "own"
    mirror = build_mirror(config, run, of, hindsight=hindsight)
    fade = config.replay.fade_updates.get(of.name) if of else None
    return Part(f"{kind}.{of.name}" if of else kind, mirror, share, of.name if of else None, fade)


def build_mirror(config: RunConfig, run: Run, of: Run | None = None, *, hindsight: bool = False) -> Mirror:
    """A copy of a run's decisions in memory, its own or another's, as the run's policies see them.

    Raises: MemoryError, ValueError as `build_memory`.
    """
    derive, replay = build_derivation(config, run, of, hindsight=hindsight), config.replay
    sizes = _sizes(config, derive)
    log.info("a mirror takes %.2f GB for %d decisions", bytes_needed(*sizes) / 1e9, replay.capacity_timesteps)
    ring = Ring(*sizes, replay.mirror_memory)
    return Mirror(ring, derive, build_sampler(replay.sampling.name, replay.sampling.settings, ring))


def _sizes(config: RunConfig, derive: Derivation) -> tuple[int, int, int, str]:
    """Of a mirror's ring."""
    replay = config.replay
    return replay.capacity_timesteps, derive.observation_size, derive.action_size, replay.mirror_floats


def check_same_body(run: Run, stored: Run) -> None:
    """Raises: ValueError when `run` can not learn from what `stored` holds."""
    if (stored.layout_sha256, tuple(stored.action_names)) != (run.layout_sha256, tuple(run.action_names)):
        raise ValueError(
            f"run {run.name!r} can not learn from run {stored.name!r}: its states or muscles are others; likely it is "
            "of a task with another body"
        )


def build_derivation(config: RunConfig, run: Run, of: Run | None = None, *, hindsight: bool = False) -> Derivation:
    """What `run` learns from, of the states that it, or the run `of`, stores."""
    stored = of or run
    check_same_body(run, stored)
    layout = layout_of(run)
    clock = clock_of(config.environment)
    observe = observation(config.environment.observation, layout, phase=clock is not None)
    target = layout.where(TARGET_VELOCITY)
    scale, offset = config.learner.reward_scale, config.learner.reward_offset
    same = stored.reward == run.reward and not hindsight
    rewards: Rewards = (lambda steps: steps.reward) if same else _computed_anew(config, run, layout)

    def target_age(states: NDArray[np.float32], first: NDArray[np.int64]) -> NDArray[np.float32]:
        return targets.age_s(states[:, target], first)

    def training_reward(steps: Timesteps) -> NDArray[np.float64]:
        return scale * (rewards(steps) + offset)

    return Derivation(
        state_size=layout.size,
        action_size=len(run.action_names),
        observe=observe,
        observation_size=len(observe.names),
        history=observe.history,
        target_age=target_age,
        training_reward=training_reward,
        gamma=config.replay.gamma,
        n_step=config.replay.n_step,
        phase=None if clock is None else partial(phases_of, clock),
        **({"seen_as": Hindsight(layout)} if hindsight else {}),
    )


def _computed_anew(config: RunConfig, run: Run, layout: StateLayout) -> Rewards:
    """The run's own reward of states that were stored with another one."""
    reward, clock = reward_of(config.environment, layout), clock_of(config.environment)

    def rewards(steps: Timesteps) -> NDArray[np.float64]:
        phase = None if clock is None else phases_of(clock, steps.state, steps.first)
        terms = reward.evaluate(np.asarray(steps.state, np.float64), phase)
        found: NDArray[np.float64] = np.sum(list(terms.values()), axis=0)
        found[steps.first] = 0.0  # nothing was done to arrive at a reset state
        return found

    return rewards
