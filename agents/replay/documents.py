"""Runs and episodes as flat documents that a person can read, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np

from agents.replay.ids import EPISODE_BITS
from agents.replay.runs import Episode, EpisodeStart, Purpose, Run

Document = dict[str, Any]


def utc_now() -> datetime:
    """The time in UTC, in the whole milliseconds that a BSON date keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def plain(value: Any) -> Any:
    """The same data as dicts, lists and Python scalars; numpy's scalars and arrays become Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value


def run_document(run: Run) -> Document:
    return {
        "_id": run.name,
        "task": run.task,
        "physics": run.physics,
        "observation": run.observation,
        "reward": run.reward,
        "code_version": run.code_version,
        "model_sha256": run.model_sha256,
        "layout_sha256": run.layout_sha256,
        "state_names": list(run.state_names),
        "state_units": list(run.state_units),
        "action_names": list(run.action_names),
        "config": plain(run.config),
        "created": utc_now(),
        "learner": None,
    }


def run_of(document: Mapping[str, Any]) -> Run:
    return Run(
        name=document["_id"],
        config=document["config"],
        task=document["task"],
        physics=document["physics"],
        model_sha256=document["model_sha256"],
        state_names=tuple(document["state_names"]),
        state_units=tuple(document["state_units"]),
        action_names=tuple(document["action_names"]),
        observation=document["observation"],
        reward=document["reward"],
        code_version=document["code_version"],
        layout_sha256=document["layout_sha256"],
    )


def start_document(start: EpisodeStart) -> Document:
    return {
        "seed": int(start.seed),
        "policy_version": int(start.policy_version),
        "purpose": start.purpose,
        "exploration": plain(start.exploration),
        "physics": start.physics,
        "start": plain(start.start),
    }


def start_of(document: Mapping[str, Any]) -> EpisodeStart:
    return EpisodeStart(
        seed=document["seed"],
        policy_version=document["policy_version"],
        purpose=cast(Purpose, document["purpose"]),
        exploration=document["exploration"],
        physics=document["physics"],
        # Documents of before episodes could start elsewhere than in the default pose have none.
        start=document.get("start", {}),
    )


def episode_document(episode: Episode) -> Document:
    return {
        "_id": episode.id,
        "run": episode.run,
        "worker": episode.worker,
        "writer": episode.writer,
        "number": episode.id & ((1 << EPISODE_BITS) - 1),
        **start_document(episode.start),
        "length": episode.length,
        "return": episode.episode_return,
        "reward_terms": plain(episode.reward_terms),
        "round_returns": plain(episode.round_returns),
        "ended": episode.ended,
        "terminated": episode.terminated,
        "truncated": episode.truncated,
        "step_ms_mean": episode.step_ms_mean,
        "started": episode.started,
        "finished": episode.finished,
    }


def episode_of(document: Mapping[str, Any]) -> Episode:
    return Episode(
        id=document["_id"],
        run=document["run"],
        worker=document["worker"],
        writer=document["writer"],
        start=start_of(document),
        length=document["length"],
        episode_return=document["return"],
        reward_terms=document["reward_terms"],
        # Documents of before both rounds' returns were logged have none.
        round_returns=document.get("round_returns", {}),
        ended=document["ended"],
        terminated=document["terminated"],
        truncated=document["truncated"],
        step_ms_mean=document["step_ms_mean"],
        started=document["started"],
        finished=document["finished"],
    )
