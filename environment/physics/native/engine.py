"""Many bodies of one model, moved by machine code. No task, no clock: those are `physics.py`'s and `batch.py`'s."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.body_model import BodyModel
from environment.physics.integration import Integration
from environment.physics.native.compilation import compile_model
from environment.physics.native.layout import continuous_places, state_layout
from environment.physics.native.machine_code import machine_code
from environment.physics.native.methods import method
from environment.physics.native.references import Directory
from environment.physics.native.settings import NativeSettings
from environment.physics.native.workspace import Bodies, bodies, running, workspace
from environment.physics.start_state import check_start, locked_places

LANES = 8
"""Bodies that a processor core moves at the same time, when there are several."""


class Engine:
    """Room for `number` bodies of a model, moved by `threads` threads.

    `bodies` holds their states between calls; it may be read and written then.
    """

    def __init__(self, model: BodyModel, settings: NativeSettings, number: int = 1, threads: int = 1) -> None:
        if number < 1 or threads < 1:
            raise ValueError(f"an engine needs at least one body and one thread, not {number} and {threads}")
        self.model = model
        self.settings = settings
        self.tables = compile_model(model)
        self.layout = state_layout(model)
        locked = {one.name: one.default for one in model.coordinates if one.locked}
        self.locked: Mapping[int, float] = locked_places(self.layout, locked)
        """Position in a state -> value of the coordinates that do not move."""
        self.places = continuous_places(model, self.layout)
        """(2 D + 2 M,) where `bodies.y` is in a state."""
        self.number = number
        self.bodies: Bodies = bodies(self.tables, number, self.layout.size)
        self.bodies.stale[:] = settings.stale_controls
        self._integrations: list[Integration | None] = [None] * number
        lanes = LANES if number > 1 else 1
        self._advance = machine_code("eight" if number > 1 else "one").advance
        self._tables = Directory(self.tables)
        self._method = Directory(method(settings, self.tables))
        self._bodies = Directory(self.bodies)
        self._all = np.arange(number)
        self._lanes = lanes
        self._closed = False
        self._scratch = [self._room(lanes) for _ in range(max(1, min(threads, number // lanes)))]
        self._pool: ThreadPoolExecutor | None = None
        self._pool_process = -1

    def start(self) -> NDArray[np.float64]:
        """(2 D + 2 M,) the state at rest in the start pose, fibres in equilibrium."""
        free = [one for one in self.model.coordinates if not one.locked]
        moving = [one.name for one in free if one.default_speed != 0.0]
        if moving:
            raise ValueError(f"{self.model.name} starts with moving coordinates ({', '.join(moving)}): not supported")
        dofs, muscles = len(free), len(self.model.muscles)
        y = np.zeros(2 * (dofs + muscles))
        y[:dofs] = [one.default for one in free]
        y[2 * dofs : 2 * dofs + muscles] = self.tables.muscles.default_activation
        return self.settled(y)

    def settled(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """(2 D + 2 M,) `y` with its fibres in equilibrium, at rest; writes over the first body."""
        self.bodies.y[0] = y
        run, work = self._room(1)
        machine_code("settle").settle(self._tables.entries, self._bodies.entries, run.entries, work.entries)
        found: NDArray[np.float64] = self.bodies.y[0].copy()
        return found

    def continuous(self, state: NDArray[Any]) -> NDArray[np.float64]:
        """(2 D + 2 M,) of a state (S,). Raises: ValueError, see `check_start`."""
        return check_start(state, self.layout, self.locked)[self.places]

    def integrate_as(self, body: int, integration: Integration | None) -> None:
        """How a body is integrated from now on; None is as the settings say.

        Raises: ValueError for an accuracy out of range, or late controls that `NativeSettings.as_simbody` rules out.
        """
        own = self.settings.own
        found = integration or own
        if integration is not None:
            self.settings.check(integration)
        self.bodies.strictness[body] = (own.accuracy / found.accuracy) ** 2
        self.bodies.stale[body] = found.stale_controls
        self._integrations[body] = integration

    def integration(self, body: int) -> Integration | None:
        """What `integrate_as` said last."""
        return self._integrations[body]

    def advance(self, duration_s: float, which: NDArray[np.intp] | None = None) -> None:
        """Moves bodies on by `duration_s`, or not at all when it is 0, and describes where they are.

        `bodies.failed` tells which of them could not be moved so far, or to no finite state.

        Args:
            which: Numbers of the bodies, each once; None is all. The others stay as they are.
        """
        if self._closed:
            raise RuntimeError("this simulator was closed; make another one")
        asked = self._all if which is None else which
        number = len(asked)
        self.bodies.asked[:number] = asked
        self.bodies.failed[:] = 0
        self.bodies.queue[:] = 0
        if duration_s > 0.0:
            self._work(number, duration_s)
        self._work(number, 0.0)

    def close(self) -> None:
        """Ends the threads; nothing can be moved any more."""
        self._closed = True
        if self._pool is not None and self._pool_process == os.getpid():
            self._pool.shutdown()

    def _work(self, number: int, duration_s: float) -> None:
        """Lets as many threads as there is work for take bodies from the queue until it is empty."""
        threads = min(len(self._scratch), -(-number // self._lanes))
        if threads < 2:
            self._take_part(0, number, duration_s)
        else:
            pool = self._threads()
            for done in [pool.submit(self._take_part, i, number, duration_s) for i in range(threads)]:
                done.result()

    def _threads(self) -> ThreadPoolExecutor:
        """Of this process: a forked child does not inherit its parent's, and would wait for them for ever."""
        if self._pool is None or self._pool_process != os.getpid():
            self._pool, self._pool_process = ThreadPoolExecutor(len(self._scratch), "bodies"), os.getpid()
        return self._pool

    def _take_part(self, thread: int, number: int, duration_s: float) -> None:
        run, work = self._scratch[thread]
        self._advance(
            self._tables.entries,
            self._method.entries,
            self._bodies.entries,
            run.entries,
            work.entries,
            self.settings.skip_contacts,
            number,
            duration_s,
        )

    def _room(self, lanes: int) -> tuple[Directory, Directory]:
        stages = len(self._method.arrays.error)
        return (
            Directory(running(self.tables, stages, lanes)),
            Directory(workspace(self.tables, self.layout.size, lanes)),
        )
