"""What every scenario begins with: a mongod of its own, a run in it, a crew; and how it ends: with the counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from agents.config import RunConfig
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from infra.bench.replay.data import play, run_of_bench
from infra.faults.audit import Audit, audit
from infra.faults.content import Content
from infra.faults.crew import Crew
from infra.faults.network import Line
from infra.faults.outcome import Outcome
from infra.faults.reader import GatedMirror, Reader, empty_mirror, unequal_episodes
from infra.faults.server import DATABASE, Server

RUN = "faults"
_PLAYED = 8
"""Episodes of 150 timesteps that the engine plays; what workers write is cut out of them."""
_CAPACITY = 600_000
"""Decisions in the mirror: more than any scenario writes, so that all of them can be compared."""


@cache
def played() -> Content:
    """States that the native engine was in."""
    source = play(_PLAYED)
    return Content(source.state.reshape(-1, source.state.shape[-1]), source.excitation.shape[-1])


@cache
def config() -> RunConfig:
    """Of the mirrors: transitions over some decisions, so that every number depends on its neighbours."""
    return RunConfig.of({"replay": {"capacity_timesteps": _CAPACITY, "n_step": 3}})


@dataclass
class Stage:
    """A server, a run, and those who write and read it."""

    folder: Path
    server: Server
    crew: Crew
    run: Run
    line: Line
    """The way of the crew and the reader to the server."""
    config: RunConfig
    started_s: float
    missing_at_once: int = 0
    """Acknowledged timesteps that were missing right after a fault."""
    shown: dict[str, bool] = field(default_factory=dict)

    def reader(self) -> Reader:
        """A new one, to be entered."""
        return Reader(self.server.uri(self.line.port), DATABASE, self.run, self.config)

    def settle(self, reader: Reader) -> Audit:
        """Ends the crew, counts, and lets the mirror catch up. Raises: ScenarioFailed."""
        self.crew.stop()
        found = audit(self.server, self.crew, played(), self.missing_at_once)
        try:
            reader.wait_for(len(found.episodes))
        except RuntimeError as error:
            # The counts tell more than this alone.
            self.shown[f"the mirror follows the database: {error.__cause__ or error}"] = False
        return found

    def outcome(
        self, scenario: str, done: str, found: Audit, mirror: GatedMirror, *, holds_all: bool = True
    ) -> Outcome:
        """With the mirror compared to what a new one takes from the log now; whether it has room to hold all of it."""
        roomy = replace(self.config.replay, capacity_timesteps=_CAPACITY)
        fresh = empty_mirror(replace(self.config, replay=roomy), self.run)
        with closing(MongoReplay(self.server.uri(), DATABASE)) as log:
            try:
                fresh.follow(log, self.run.name)
            except LookupError as error:
                self.shown[f"a new mirror can be filled: {error}"] = False
        held = list(mirror.episodes)
        unequal = set(unequal_episodes(mirror, fresh)) | (set(held) - found.episodes)
        if holds_all:
            unequal |= found.episodes - set(held)
        return Outcome(
            scenario=scenario,
            done=done,
            audit=found,
            unequal=len(unequal) + len(held) - len(set(held)),
            mirrored=len(held),
            shown=self.shown,
            seconds=time.monotonic() - self.started_s,
        )


@contextmanager
def stage(
    folder: Path, data: Path | None = None, options: tuple[str, ...] = (), settings: RunConfig | None = None
) -> Iterator[Stage]:
    """An empty run of these `settings`. `data`, `options`: mongod's, as `Server` takes them.

    Everything has ended afterwards. Raises: ServiceFailed.
    """
    started_s = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        server = opened.enter_context(Server(folder, data, options))
        settings = settings or config()
        with closing(MongoReplay(server.uri(), DATABASE)) as log:
            run = log.open_run(replace(run_of_bench(RUN), config=settings.plain()))
        line = opened.enter_context(closing(Line("127.0.0.1", server.service.port)))
        crew = Crew(folder, played(), server.uri(line.port), DATABASE, run.name)
        opened.callback(crew.end)
        yield Stage(folder, server, crew, run, line, settings, started_s)
