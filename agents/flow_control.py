"""Keeps learning and collecting in step: how often a timestep is learned from, and how far the workers may be ahead.

After the rate limiters of Reverb (Cassirer et al., arXiv 2102.04736), with both bounds in control steps.
"""

from __future__ import annotations

import math


class Limiter:
    """Pure arithmetic on two counters, so that learner and workers judge alike wherever they run."""

    def __init__(
        self, samples_per_timestep: float, batch_size: int, *, explore_timesteps: int, lead_timesteps: int | None
    ) -> None:
        """
        Args:
            samples_per_timestep: Decisions sampled per control step collected, at most.
            explore_timesteps: Control steps before the first update.
            lead_timesteps: Control steps that may be collected beyond those that the updates have used up; None is no
                bound, and the workers never wait.

        Raises: ValueError for settings with which both sides would wait for each other.
        """
        for_one_batch = math.ceil(batch_size / samples_per_timestep)
        if lead_timesteps is not None and lead_timesteps < for_one_batch:
            raise ValueError(
                f"lead_timesteps={lead_timesteps} is less than the {for_one_batch} control steps that one batch of "
                f"{batch_size} needs at {samples_per_timestep:g} samples per timestep; learner and workers would wait "
                "for each other"
            )
        self._ratio, self._batch = samples_per_timestep, batch_size
        self._explore, self._lead = explore_timesteps, lead_timesteps

    def may_update(self, updates: int, timesteps: int) -> bool:
        """Whether the learner may take one more batch."""
        return timesteps >= self._explore and (updates + 1) * self._batch <= self._ratio * timesteps

    def may_collect(self, updates: int, timesteps: int) -> bool:
        """Whether workers may go on, when the learner has made so many updates."""
        if self._lead is None or timesteps < self._explore:
            return True
        return timesteps - updates * self._batch / self._ratio <= self._lead
