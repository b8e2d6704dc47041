"""The runs' default configuration, but for what a benchmark varies."""

from __future__ import annotations

from agents.config import RunConfig


def configuration(
    capacity: int, *, observation: str = "compact", floats: str = "float32", sampling: str = "uniform"
) -> RunConfig:
    """With a mirror of `capacity` decisions."""
    return RunConfig.of(
        {
            "environment": {"observation": observation},
            "replay": {
                "capacity_timesteps": capacity,
                "explore_timesteps": capacity,
                "mirror_floats": floats,
                "sampling": {"name": sampling},
            },
        }
    )
