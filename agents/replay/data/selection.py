"""Which episodes of a run are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from agents.analysis import newest
from agents.replay.runs import Episode

Progress = Callable[[int, int], None]
"""Hears how many timesteps are done, of how many; may raise to stop the work between two chunks."""


def unheard(done: int, total: int) -> None:
    """Progress that nobody listens to."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Conditions that an episode has to meet, all of them; None and () ask for nothing."""

    purposes: tuple[str, ...] = ()
    ended: str | None = None
    """The reason, or what stands before its colon: `simulator_error` means every simulator error."""
    worker: str | None = None
    min_return: float | None = None
    max_return: float | None = None
    since: datetime | None = None
    """Finished then or later."""
    newest: int | None = None
    """Of those that meet the rest, so many that finished last."""

    def of(self, episodes: Iterable[Episode]) -> list[Episode]:
        """Those meant, in the order in which they finished."""
        meant = [episode for episode in episodes if self._means(episode)]
        return newest(meant, len(meant) if self.newest is None else self.newest)

    def _means(self, episode: Episode) -> bool:
        value = episode.episode_return
        # A return that is no number lies in no range.
        return (
            (not self.purposes or episode.start.purpose in self.purposes)
            and (self.ended is None or self.ended in (episode.ended, episode.ended.partition(":")[0]))
            and (self.worker is None or episode.worker == self.worker)
            and (self.min_return is None or value >= self.min_return)
            and (self.max_return is None or value <= self.max_return)
            and (self.since is None or episode.finished >= self.since)
        )
