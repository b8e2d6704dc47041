"""What the guards refused, kept where a person can look at it: the collection `quarantine`."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.replay.contract import RefusedTimestep
from agents.replay.documents import plain, utc_now
from agents.replay.storage import Sink
from environment.timestep import TimeStep

MOST_KEPT = 100
"""Documents of one writer and reason; the rest is only counted. A broken simulator refuses for days."""
_MOST_NUMBERS = 10_000
"""Of one vector: a state of a wrong width may be of any width, and the database refuses documents above 16 MB."""


class Quarantine:
    """The refused timesteps of one life of one worker."""

    def __init__(self, sink: Sink, *, run: str, worker: str, writer: int) -> None:
        self._sink = sink
        self._whose = {"run": run, "worker": worker, "writer": writer}
        self._kept: dict[str, int] = {}

    def keep(self, timestep: TimeStep, refusal: RefusedTimestep, *, episode: int | None) -> None:
        """One document; none when there are `MOST_KEPT` of this reason. `episode` is None where none was open."""
        kept = self._kept.get(refusal.reason, 0)
        if kept == MOST_KEPT:
            return
        self._sink.insert_refused(
            {
                **self._whose,
                "episode": episode,
                "step": int(timestep.step),
                "reason": refusal.reason,
                "message": str(refusal),
                "time": utc_now(),
                "state": _readable(timestep.state),
                "action": _readable(timestep.excitation),
                "policy_action": _readable(timestep.policy_action),
                "decision": bool(timestep.decision),
                "reward": float(timestep.reward),
                "terminated": bool(timestep.terminated),
                "truncated": bool(timestep.truncated),
            }
        )
        self._kept[refusal.reason] = kept + 1


def _readable(values: Any) -> Any:
    array = np.asarray(values)
    return plain(array if array.size <= _MOST_NUMBERS else array.reshape(-1)[:_MOST_NUMBERS])
