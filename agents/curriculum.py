"""Which stage of the curriculum a run is at: what its own episodes in the log have achieved says it.

Nothing else is kept, so every worker comes to the same stage, and a run that is resumed to the one it had reached.
"""

from __future__ import annotations

from collections import deque

from agents.curriculum_config import CurriculumConfig
from agents.replay.contract import Replay
from agents.replay.looks import Looks
from agents.replay.runs import Episode
from environment.stages import Stage
from environment.terminations import TIME_LIMIT

STAGE = "stage"
"""Key of the stage's number in `EpisodeStart.start`."""


class Curriculum:
    """Implements `environment.stages.Stages`."""

    def __init__(self, replay: Replay, run: str, config: CurriculumConfig, *, noise_free_only: bool) -> None:
        """`config` must have stages. `noise_free_only`: only episodes without exploration noise count."""
        self._replay, self._run, self._config = replay, run, config
        self._stages, self._noise_free_only = config.stages, noise_free_only
        self._marks: dict[int, int] = {}
        self._number = 0
        self._lasted: deque[bool] = deque(maxlen=config.episodes)
        """Of the newest episodes of this stage."""
        self._looks = Looks(self.refresh, "curriculum")

    def now(self) -> tuple[int, Stage]:
        self._looks.keep_fresh(self._config.refresh_s)
        return self._number, self._stages[self._number]

    def refresh(self) -> None:
        """Looks into the log, and waits for it. Raises: what the replay raises."""
        found = self._replay.episodes_after(self._run, self._marks)
        for episode in found:
            self._marks[episode.writer] = max(episode.id, self._marks.get(episode.writer, -1))
        for episode in sorted(found, key=lambda one: one.finished):
            self._take(episode)

    def _take(self, episode: Episode) -> None:
        stage = episode.start.start.get(STAGE)
        if stage is None or episode.start.purpose != "train" or stage >= len(self._stages):
            return
        if stage > self._number:  # another worker has seen enough before this one
            self._begin(stage)
        noisy = episode.start.exploration.get("kind") != "none"
        if stage < self._number or (noisy and self._noise_free_only):
            return
        self._lasted.append(episode.ended == TIME_LIMIT)
        enough = len(self._lasted) == self._config.episodes
        if enough and sum(self._lasted) >= self._config.success_share * len(self._lasted):
            self._begin(min(self._number + 1, len(self._stages) - 1))

    def _begin(self, stage: int) -> None:
        if stage > self._number:
            self._number = stage
            self._lasted.clear()
