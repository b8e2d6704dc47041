"""An actor that begins with what demonstrations do, before anything is reinforced."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob, CheckpointStore, Version
from agents.config import RunConfig
from agents.ddpg.mean_actor import without_mean
from agents.first_version import first_version, fresh_learner
from agents.imitation.inverse import held_out
from agents.imitation.regression import FitConfig, Fitted, Pairs, Point, fit
from agents.learner import Learner
from agents.memory import build_derivation
from agents.replay.backlog import chunks, is_experience
from agents.replay.contract import Replay
from agents.replay.runs import Episode, Run

Float32 = NDArray[np.float32]

CLONED = "cloned"
"""Noted with the run: from what its first version was made, and how well it does that."""


def clone(
    run: Run,
    config: RunConfig,
    demonstrations: Run,
    replay: Replay,
    store: CheckpointStore,
    fit_config: FitConfig,
    process: str,
    tell: Callable[[Point], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Version, Fitted]:
    """Publishes the run's first version: an actor fitted to the actions of `demonstrations`, everything else fresh.

    Raises: ValueError when the run has versions already, or nothing is demonstrated; RunIsTaken.
    """
    with first_version(run, config, replay, store, process) as publish:
        learner, fitted = cloned(run, config, demonstrations, replay, fit_config, tell, stop)
        version = publish(learner, {"clone/error": fitted.error})
    replay.event(
        run.name,
        process,
        CLONED,
        demonstrations=demonstrations.name,
        error=fitted.error,
        error_of_the_mean=fitted.error_of_the_mean,
        fitted=fitted.fitted,
        held_out=fitted.held_out,
    )
    return version, fitted


def cloned(
    run: Run,
    config: RunConfig,
    demonstrations: Run,
    replay: Replay,
    fit_config: FitConfig,
    tell: Callable[[Point], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Learner, Fitted]:
    """A fresh learner of the run whose actor, and the actor's target, do what is demonstrated."""
    seen, action, episode = _demonstrated(run, config, demonstrations, replay)
    learner = fresh_learner(run, config, replay)
    learner.normaliser.update(seen)
    pairs = Pairs(learner.normaliser(seen), action)
    away = held_out(episode, fit_config.seed)
    fitted = fit(learner.algorithm.actor, pairs[~away], pairs[away], fit_config, tell, stop)
    learner.algorithm.restore(_with_target(learner.algorithm.state()))
    return learner, fitted


def _demonstrated(
    run: Run, config: RunConfig, demonstrations: Run, replay: Replay
) -> tuple[Float32, Float32, NDArray[np.int64]]:
    """(B, O) what `run` would have seen, (B, M) what was done, (B,) in which episode."""
    derive = build_derivation(config, run, demonstrations)
    parts: list[tuple[Float32, Float32, NDArray[np.int64]]] = []
    for chunk in chunks(_learnable(replay, demonstrations.name)):
        steps = replay.read(chunk)
        points = derive(steps)
        acts = points.hop > 0
        ids = np.repeat([episode.id for episode in steps.episodes], points.each)
        parts.append((points.observation[acts], points.action[acts], ids[acts]))
    if not parts:
        raise ValueError(f"run {demonstrations.name!r} holds no timestep to learn from")
    seen, action, episode = (np.concatenate(column) for column in zip(*parts, strict=True))
    return seen, action, episode


def _learnable(replay: Replay, run: str) -> Iterator[Episode]:
    return (episode for episode in replay.episodes_after(run, {}) if is_experience(episode) and episode.length)


def _with_target(state: Blob) -> Blob:
    """A learner's state whose actor's target, and mean, are the actor."""
    own, target = "actor/network/", "actor/target/"
    tensors = without_mean(state.tensors)
    for name, array in state.tensors.items():
        if name.startswith(own):
            tensors[target + name.removeprefix(own)] = array.copy()
    return Blob(tensors, state.metadata)
