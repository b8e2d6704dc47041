"""A run's decisions as a Minari dataset, for offline learners that know nothing of this project.

One step of it is one decision, as in this project's environment: observations by the run's own observation, actions as
the muscles received them, in [-1, 1], and the undiscounted reward of the control steps that the decision covers.
`minari.MinariDataset(FOLDER)` opens it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import minari
import numpy as np
from minari.data_collector.episode_buffer import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage
from minari.serialization import deserialize_space

from agents.replay.backlog import chunks
from agents.replay.columns import Timesteps
from agents.replay.contract import Replay
from agents.replay.data.export import new_folder
from agents.replay.data.selection import Progress, unheard
from agents.replay.derivation import Derivation
from agents.replay.runs import Episode, Run


@dataclasses.dataclass(frozen=True, slots=True)
class MinariExport:
    """What was written."""

    dataset_id: str
    episodes: int
    steps: int
    left_out: int
    """Episodes without a decision: they ended before anybody acted."""


def export_minari(
    replay: Replay,
    run: Run,
    derivation: Derivation,
    episodes: Sequence[Episode],
    folder: Path,
    *,
    progress: Progress = unheard,
) -> MinariExport:
    """Writes these episodes into a new folder; `derivation` is the run's.

    Raises: ValueError when the folder is there and not empty; LookupError when timesteps are missing in the log.
    """
    derive = dataclasses.replace(derivation, gamma=1.0, n_step=1, training_reward=_stored_reward)
    ordered = sorted(episodes, key=lambda episode: episode.id)
    dataset_id = f"prosthetics/{re.sub(r'[^-_a-zA-Z0-9]', '_', run.name)}-v0"
    with new_folder(folder) as unfinished:
        storage = MinariStorage.new(
            unfinished,
            observation_space=_box(-np.inf, np.inf, derive.observation_size),
            action_space=_box(-1.0, 1.0, derive.action_size),
            data_format="hdf5",
        )
        storage.update_metadata(_metadata(run, dataset_id))
        storage.update_episodes(_buffers(replay, derive, ordered, progress))
        return MinariExport(
            dataset_id, storage.total_episodes, storage.total_steps, len(ordered) - storage.total_episodes
        )


def _buffers(
    replay: Replay, derive: Derivation, ordered: Sequence[Episode], progress: Progress
) -> Iterator[EpisodeBuffer]:
    total, done = sum(episode.length + 1 for episode in ordered), 0
    for chunk in chunks(ordered):
        steps = replay.read(chunk)
        points = derive(steps)
        begin = 0
        for episode, count in zip(steps.episodes, points.each.tolist(), strict=True):
            if count:
                rows, end = slice(begin, begin + count - 1), begin + count
                yield _buffer(episode, points.observation[begin:end], points.action[rows], points.reward[rows])
            begin += count
        done += len(steps.reward)
        progress(done, total)


def _buffer(episode: Episode, observations: Any, actions: Any, rewards: Any) -> EpisodeBuffer:
    last = np.arange(len(rewards)) == len(rewards) - 1
    return EpisodeBuffer(
        seed=episode.start.seed,
        options={
            "episode": episode.id,
            "worker": episode.worker,
            "purpose": episode.start.purpose,
            "policy_version": episode.start.policy_version,
            "ended": episode.ended,
            "round_returns": dict(episode.round_returns),
        },
        observations=observations,
        actions=actions,
        rewards=rewards,
        terminations=last & episode.terminated,
        truncations=last & episode.truncated,
    )


def _metadata(run: Run, dataset_id: str) -> dict[str, Any]:
    return {
        "dataset_id": dataset_id,
        "minari_version": minari.__version__,
        "description": f"Decisions of run {run.name}: task {run.task}, physics {run.physics}, observation "
        f"{run.observation}, reward {run.reward}, code {run.code_version}, layout {run.layout_sha256}.",
        "action_names": list(run.action_names),
    }


def _stored_reward(steps: Timesteps) -> Any:
    return steps.reward


def _box(low: float, high: float, size: int) -> Any:
    """Minari's own way to a Gymnasium space: that package belongs to `environment/`."""
    return deserialize_space(
        {"type": "Box", "dtype": "float32", "shape": [size], "low": [low] * size, "high": [high] * size}
    )
