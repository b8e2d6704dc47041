"""The episode that a writer is in the middle of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agents.replay.contract import RefusedTimestep
from agents.replay.runs import Episode, EpisodeStart
from environment.timestep import TimeStep

_SUM_TOLERANCE = 1e-6


@dataclass(slots=True)
class OpenEpisode:
    """What its document will tell, as far as it is known."""

    id: int
    start: EpisodeStart
    started: datetime
    last: TimeStep
    episode_return: float = 0.0
    noted: bool = False
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Reason -> how often, and the first message."""
    document: Episode | None = None
    """Set once the store may have it: an interrupted `end` must not be followed by another document."""

    @property
    def over(self) -> bool:
        return self.last.terminated or self.last.truncated

    def count_refusal(self, refusal: RefusedTimestep) -> None:
        count, message = self.refused.get(refusal.reason, (0, str(refusal)))
        self.refused[refusal.reason] = (count + 1, message)

    def check_terms(self, terms: Mapping[str, float]) -> None:
        """Raises: ValueError when they do not add up to the return."""
        total = math.fsum(terms.values())
        if not math.isclose(total, self.episode_return, rel_tol=_SUM_TOLERANCE, abs_tol=_SUM_TOLERANCE):
            raise ValueError(
                f"reward terms {sorted(terms)} add up to {total:g}, the rewards of the episode to "
                f"{self.episode_return:g}; likely a term is missing or a weight is applied twice"
            )

    def close(
        self,
        *,
        run: str,
        worker: str,
        writer: int,
        ended: str,
        reward_terms: Mapping[str, float],
        round_returns: Mapping[str, float],
        step_ms_mean: float,
        finished: datetime,
    ) -> Episode:
        """Its document: the first one, however often it is asked for."""
        self.document = self.document or Episode(
            id=self.id,
            run=run,
            worker=worker,
            writer=writer,
            start=self.start,
            length=self.last.step,
            episode_return=self.episode_return,
            reward_terms=reward_terms,
            round_returns=round_returns,
            ended=ended,
            terminated=bool(self.last.terminated),
            truncated=bool(self.last.truncated),
            step_ms_mean=float(step_ms_mean),
            started=self.started,
            finished=finished,
        )
        return self.document
