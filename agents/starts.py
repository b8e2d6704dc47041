"""Builds what a run's workers start their episodes from."""

from __future__ import annotations

from agents.config import RunConfig
from agents.memory import layout_of
from agents.replay.contract import Replay
from agents.replay.runs import Run
from agents.replay_starts import ReplayStarts
from environment.starts import Mixture, Pushed, StartSource


def start_source(run: Run, config: RunConfig, replay: Replay) -> StartSource | None:
    """For the environments of one process, all of them; None when every episode starts in the default pose."""
    settings = config.starts
    parts: list[tuple[float, StartSource]] = []
    if settings.pushed_share:
        parts.append((settings.pushed_share, Pushed(layout_of(run), settings.push_m_per_s)))
    if settings.replay_share:
        parts.append((settings.replay_share, ReplayStarts(replay, run, settings)))
    return Mixture(parts) if parts else None
