"""A learner is killed between two checkpoints and resumed: it must draw what it would have drawn."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

from agents.build import open_replay, open_store
from agents.checkpoints.contract import Version
from agents.config import RunConfig
from agents.connections import Connections
from infra.faults.audit import audit
from infra.faults.crew import ScenarioFailed, tethered, wait_until
from infra.faults.learning import LearnerJob, read_trace
from infra.faults.objects import checkpoints_here
from infra.faults.outcome import Outcome
from infra.faults.resumed import as_in_checkpoint, as_priorities_say, restored
from infra.faults.scenarios.sizes import Sizes
from infra.faults.stage import RUN, Stage, played, stage
from infra.services.folders import last_line

_CONFIG = RunConfig.of(
    {
        "replay": {
            # Fewer than are written, so that the oldest have left and the ring has gone round.
            "capacity_timesteps": 500,
            "explore_timesteps": 300,
            "n_step": 3,
            "sampling": {"name": "prioritised"},
            # Episodes are few here, and the learner must not wait for more.
            "samples_per_timestep": 1e6,
        },
        "algorithm": {"name": "td3", "settings": {"hidden": [32, 32]}},
        "learner": {"batch_size": 32, "publish_seconds": 1000, "publish_updates": 300, "lease_seconds": 5.0},
    }
)
_BEYOND = 5
"""Batches that the learner draws after its last checkpoint, at least."""


class _Learner:
    """A learner process; it has ended at the latest on `close`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.trace, self._log = folder / f"{name}.trace", folder / f"{name}.log"
        job = LearnerJob(run=RUN, folder=str(folder / name), trace=str(self.trace))
        self.process = tethered(["-m", "infra.faults.learning"], asdict(job), self._log)

    def wait_until(self, done: Callable[[], bool], what: str) -> None:
        """Raises: ScenarioFailed, also when the process ends before."""

        def happened() -> bool:
            if self.process.poll() is not None:
                raise ScenarioFailed(f"the learner ended before {what}: {last_line(self._log)}")
            return done()

        wait_until(happened, what)

    def end(self, number: signal.Signals) -> None:
        """By a signal; returns when it is dead."""
        self.process.send_signal(number)
        try:
            self.process.wait(60.0)
        except subprocess.TimeoutExpired:
            raise ScenarioFailed("the learner does not end") from None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def learner_killed(folder: Path, sizes: Sizes) -> Outcome:
    """Prioritised sampling; episodes come before the first checkpoint and after it."""
    with stage(folder, settings=_CONFIG) as here, checkpoints_here(folder, here.server.uri()):
        connections = Connections.from_environment()
        with ExitStack() as opened:
            replay = opened.enter_context(closing(open_replay(connections)))
            store = opened.enter_context(closing(open_store(connections)))
            here.crew.start("early", spool=False, episodes=sizes.episodes).finish()
            first = opened.enter_context(closing(_Learner(folder, "first")))
            first.wait_until(lambda: store.latest(RUN) is not None, "a checkpoint was published")
            here.crew.start("late", episodes=sizes.episodes).finish()
            steps = _steps(here)
            first.wait_until(lambda: _is_beyond(store.latest(RUN), steps, first), "a checkpoint had all episodes")
            first.end(signal.SIGKILL)
            version, blob = store.load(RUN, "learner", store.versions(RUN)[-1].number)
            drawn = read_trace(first.trace)[version.metadata["updates"] :]
            second = opened.enter_context(closing(_Learner(folder, "second")))
            second.wait_until(lambda: len(read_trace(second.trace)) >= len(drawn), "the learner was resumed")
            second.end(signal.SIGTERM)
            again = read_trace(second.trace)[: len(drawn)]
            mirror = restored(blob, replay, here.run, here.config)
        same = sum(one == other for one, other in zip(drawn, again, strict=True))
        here.shown |= {
            f"the resumed learner drew {same} of {len(drawn)} batches as the killed one": 0 < same == len(drawn),
            **as_in_checkpoint(mirror, blob, here.config.learner.batch_size, drawn[0]),
            **as_priorities_say(mirror, blob, sizes.draws),
        }
        done = f"learner killed -9, {len(drawn)} updates after version {version.number}"
        return here.outcome("learner-killed", done, audit(here.server, here.crew, played()), mirror, holds_all=False)


def _steps(here: Stage) -> int:
    """Control steps that may be learned from."""
    found = audit(here.server, here.crew, played())
    return sum(played().length(episode) for episode in found.episodes)


def _is_beyond(version: Version | None, steps: int, learner: _Learner) -> bool:
    """Whether the newest checkpoint has everything, and the learner went on after it."""
    return (
        version is not None
        and version.metadata["timesteps"] == steps
        and len(read_trace(learner.trace)) >= version.metadata["updates"] + _BEYOND
    )
