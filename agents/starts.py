"""Builds what a run's workers start their episodes from, and what they ask for in them."""

from __future__ import annotations

from pathlib import Path

from agents.config import RunConfig
from agents.curriculum import Curriculum
from agents.memory import layout_of
from agents.replay.contract import Replay
from agents.replay.runs import Run
from agents.replay_starts import ReplayStarts
from environment.motions.motion import Motion
from environment.motions.starts import MotionStarts
from environment.physics.models import model_path
from environment.stages import Stages
from environment.starts import Mixture, Pushed, StartSource
from environment.tasks import task


def start_source(run: Run, config: RunConfig, replay: Replay) -> StartSource | None:
    """For the environments of one process, all of them; None when every episode starts in the default pose.

    Raises: MotionRefused.
    """
    settings, layout = config.starts, layout_of(run)
    parts: list[tuple[float, StartSource]] = []
    if settings.pushed_share:
        parts.append((settings.pushed_share, Pushed(layout, settings.push_m_per_s)))
    if settings.replay_share:
        parts.append((settings.replay_share, ReplayStarts(replay, run, settings)))
    if settings.motion_share:
        motions = MotionStarts(layout, motions_of(config), settings.motion_slow_share)
        parts.append((settings.motion_share, motions))
    return Mixture(parts) if parts else None


def stages(run: Run, config: RunConfig, replay: Replay) -> Stages | None:
    """How hard the targets of one process's environments are; None when they are always the task's."""
    if not config.curriculum.stages:
        return None
    return Curriculum(replay, run.name, config.curriculum, noise_free_only=config.exploration.noise_free_share > 0)


def motions_of(config: RunConfig) -> list[Motion]:
    """The motions that episodes start from, as states of the task's model. Raises: MotionRefused."""
    if not config.starts.motions:
        return []
    # Imported here: the compiled engine takes a second to load.
    from environment.motions.read import read_motion

    model = model_path(task(config.environment.task).model)
    return [read_motion(Path(file), model) for file in config.starts.motions]
