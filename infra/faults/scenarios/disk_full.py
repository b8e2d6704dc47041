"""Disks that become full: mongod's while workers write, and a worker's while mongod is away."""

from __future__ import annotations

import time
from pathlib import Path

from infra.faults.crew import wait_until
from infra.faults.disk import small_disk
from infra.faults.marks import Mark
from infra.faults.outcome import Outcome
from infra.faults.scenarios.sizes import Sizes
from infra.faults.stage import stage

_DISK_BYTES = 600 << 20
"""mongod takes some 320 MB of it before anyone has written."""
_LEFT_BYTES = 8 << 20
_SPOOL_BYTES = 128 << 20
_SPOOL_LEFT_BYTES = 2 << 20
_SOME = 300
"""Timesteps that every worker writes before and after."""
_STILL_S = 1.0
"""A worker that hands over nothing for so long is waiting."""


def disk_full(folder: Path, sizes: Sizes) -> Outcome:
    """mongod runs out of disk, dies of it, is given room and started again."""
    with (
        small_disk(folder / "disk", _DISK_BYTES) as disk,
        stage(folder, disk.folder / "data") as here,
        here.reader() as reader,
    ):
        crew, server = here.crew, here.server
        lives = [crew.start("spooled"), crew.start("direct", spool=False)]
        crew.wait_for(_SOME)
        disk.fill(server.pid, _LEFT_BYTES)
        wait_until(lambda: not server.alive(), "mongod died of a full disk")
        told = [crew.ids(life, Mark.ACKNOWLEDGED) for life in lives]
        here.shown["mongod died by itself"] = True
        disk.make_room()
        server.start()
        here.missing_at_once = sum(server.missing(ids) for ids in told)
        crew.wait_for(_SOME)
        found = here.settle(reader)
        return here.outcome("disk-full", f"{disk.kind} of mongod full, then room", found, reader.mirror)


def spool_full(folder: Path, sizes: Sizes) -> Outcome:
    """mongod is killed, and the disk of a worker's spool becomes full before it is back: the worker waits."""
    with small_disk(folder / "disk", _SPOOL_BYTES) as disk, stage(folder) as here, here.reader() as reader:
        crew = here.crew
        life = crew.start("spooled", spool=disk.folder / "spool")
        crew.wait_for(_SOME)
        here.server.kill()
        disk.fill(life.process.pid, _SPOOL_LEFT_BYTES)
        wait_until(lambda: "can not be written" in life.log.read_text(), "the worker's disk was full")
        handed = crew.count(life, Mark.HANDED)
        time.sleep(_STILL_S)
        here.shown["the worker waited with its disk full"] = crew.count(life, Mark.HANDED) == handed
        here.server.start()
        crew.wait_for(_SOME)
        found = here.settle(reader)
        return here.outcome("spool-full", f"{disk.kind} of a spool full while mongod was dead", found, reader.mirror)
