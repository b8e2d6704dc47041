"""The live view of a run: a table in a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from agents.confirmation import scores_text
from agents.round_returns import Means, pooled, title
from environment.round_rewards import ROUNDS
from infra.disk_room import DiskRoom
from infra.fleet.local import LocalFleet
from infra.progress import Snapshot

_LINE_EVERY_S = 10.0


class View:
    """Shows snapshots while it is entered."""

    def __init__(self, run: str, minutes: float | None, room: DiskRoom | None = None) -> None:
        """`room`: on the disk of this machine's services, where it has some."""
        self._run, self._minutes, self._room = run, minutes, room
        self._console = Console()
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True) if self._console.is_terminal else None
        )
        self._started_s = time.monotonic()
        self._next_line_s = 0.0

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, snapshot: Snapshot, fleet: LocalFleet, explore_timesteps: int) -> None:
        """Shows how it goes now."""
        if self._room is not None and (warning := self._room.warning()):
            self.say(warning)
        if self._live:
            self._live.update(
                Group(self._totals(snapshot, explore_timesteps), _processes(snapshot, fleet)), refresh=True
            )
        elif time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + _LINE_EVERY_S
            self.say(f"{self._clock()}  {one_line(snapshot, explore_timesteps, self._room)}")

    def _clock(self) -> str:
        spent_s = int(time.monotonic() - self._started_s)
        limit = f"/{self._minutes:g} min" if self._minutes else ""
        return f"{spent_s // 60:02d}:{spent_s % 60:02d}{limit}"

    def _totals(self, snapshot: Snapshot, explore_timesteps: int) -> Table:
        table = Table(title=f"run {self._run}   {self._clock()}", title_justify="left", show_header=False, box=None)
        for name, text in totals(snapshot, explore_timesteps, self._room).items():
            table.add_row(name, text)
        return table


def one_line(snapshot: Snapshot, explore_timesteps: int, room: DiskRoom | None = None) -> str:
    """The totals in one line."""
    return ", ".join(f"{name} {text}" for name, text in totals(snapshot, explore_timesteps, room).items())


def totals(snapshot: Snapshot, explore_timesteps: int, room: DiskRoom | None = None) -> dict[str, str]:
    """What people look at first."""
    learner = snapshot.learner
    exploring = (
        f" (exploring, {explore_timesteps:,} wanted)"
        if learner.get("collected_timesteps", 0) < explore_timesteps
        else ""
    )
    shown = {
        "timesteps": f"{snapshot.timesteps:,}{exploring}",
        "episodes": f"{snapshot.episodes:,}",
        "inserts/s": f"{snapshot.inserts_per_s:.0f}",
        "updates": f"{learner.get('updates', 0):,} at {learner.get('updates_per_s', 0.0):.0f}/s",
        "learner waited": _share(learner),
        "workers waited": f"{_waited_s(snapshot.workers.values()):.0f} s",
        "returns": _returns(snapshot),
        "version": str(snapshot.version),
    }
    evaluated = snapshot.evaluated
    if evaluated:
        shown["evaluation"] = (
            f"version {evaluated['version']}: {scores_text(evaluated)}, {100 * evaluated['fall_rate']:.0f}% fell"
        )
    if room is not None:
        shown["disk"] = room.text()
    return shown


def _returns(snapshot: Snapshot) -> str:
    """Means of the workers' recent episodes: of what is learned for, and of both rounds."""
    recent = pooled([Means(**status["recent"]) for status in snapshot.workers.values() if status.get("recent")])
    return recent.text() if recent else "-"


def _waited_s(workers: Iterable[Mapping[str, Any]]) -> float:
    """For the database and for the learner."""
    return float(sum(one.get("waited_s", 0.0) + one.get("waited_for_learner_s", 0.0) for one in workers))


def _share(learner: Mapping[str, Any]) -> str:
    running_s = learner.get("running_s") or 0.0
    return f"{100 * learner.get('waited_s', 0.0) / running_s:.0f}%" if running_s else "-"


def _processes(snapshot: Snapshot, fleet: LocalFleet) -> Table:
    table = Table(
        *("process", "state", "restarts", "MiB peak", "steps/s", "version", "last return"),
        *(*map(title, ROUNDS), "steps", "ended by", "noise"),
    )
    for name, child in fleet.children.items():
        status = snapshot.statuses.get(name, {})
        state = "running" if child.alive else ("done" if child.done else "restarting")
        noise = status.get("exploration") or {}
        table.add_row(
            name,
            state,
            str(child.restarts),
            f"{child.peak_memory_mb:.0f}",
            _number(status.get("timesteps_per_s")),
            str(status.get("policy_version", status.get("version", ""))),
            _number(status.get("last_return")),
            *(_number(status.get("last_round_returns", {}).get(name)) for name in ROUNDS),
            str(status.get("last_length", "")),
            str(status.get("last_ended", status.get("evaluating", "")))[:30],
            f"{noise.get('kind', '')} {noise['sigma']:.2f}" if "sigma" in noise else str(noise.get("kind", "")),
        )
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
