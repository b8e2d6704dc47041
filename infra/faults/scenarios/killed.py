"""mongod is killed while workers write and a reader follows, again and again; a worker is killed as well."""

from __future__ import annotations

import random
import time
from pathlib import Path

from infra.faults.crew import Life, wait_until
from infra.faults.marks import Mark
from infra.faults.outcome import Outcome
from infra.faults.scenarios.sizes import Sizes
from infra.faults.stage import Stage, stage

_SOME = 300
"""Timesteps that every worker writes before the first death, and after the last one."""
_A_TIMESTEP_BYTES = 1_000
"""A spool file of less holds none."""


def killed(folder: Path, sizes: Sizes) -> Outcome:
    """Two workers with a spool and one without."""
    with stage(folder) as here, here.reader() as reader:
        crew = here.crew
        unlucky = crew.start("unlucky")
        lives = [crew.start("spooled"), crew.start("direct", spool=False)]
        crew.wait_for(_SOME)
        for number in range(sizes.kills):
            time.sleep(random.uniform(*sizes.kill_after_s))
            here.server.kill()
            told = [crew.ids(life, Mark.ACKNOWLEDGED) for life in crew.lives]
            if number == sizes.kills // 2:
                unlucky = _kill_worker(here, unlucky)
            here.server.start()
            here.missing_at_once += sum(here.server.missing(ids) for ids in told)
        crew.wait_for(_SOME, [unlucky, *lives])
        found = here.settle(reader)
        times = f"{sizes.kills} kill{'s' if sizes.kills > 1 else ''}"
        return here.outcome("killed", f"{times} -9 of mongod, 1 of a worker", found, reader.mirror)


def _kill_worker(here: Stage, life: Life) -> Life:
    """In the middle of what it does, while the database is away; returns its next life."""
    before = here.crew.count(life, Mark.HANDED)
    wait_until(lambda: here.crew.count(life, Mark.HANDED) > before, "a worker went on without the database")
    life.kill()
    spool = here.folder / "spool" / life.job.name
    here.shown["the killed worker left timesteps in its spool"] = any(
        path.stat().st_size > _A_TIMESTEP_BYTES for path in spool.glob("*.spool")
    )
    return here.crew.again(life.job)
