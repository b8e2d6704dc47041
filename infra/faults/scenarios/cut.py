"""The network between everything and mongod goes dead: once in silence, once with its connections reset."""

from __future__ import annotations

import time
from pathlib import Path

from infra.faults.crew import wait_until
from infra.faults.marks import Mark
from infra.faults.outcome import Outcome
from infra.faults.scenarios.sizes import Sizes
from infra.faults.stage import stage

_SOME = 300
"""Timesteps that every worker writes before and after."""
_LOST = 12
"""Inserts, and then replies to them, before the cut: the driver tries once more by itself, the next attempt is ours."""
_REST_S = 0.1
"""After each episode, so that a minute of them can be compared."""


def cut_silent(folder: Path, sizes: Sizes) -> Outcome:
    """Connections stay open and lose what is sent on them."""
    return _cut(folder, sizes, silent=True)


def cut_reset(folder: Path, sizes: Sizes) -> Outcome:
    """Connections are reset, those that come as well."""
    return _cut(folder, sizes, silent=False)


def _cut(folder: Path, sizes: Sizes, *, silent: bool) -> Outcome:
    with stage(folder) as here, here.reader() as reader:
        crew, line = here.crew, here.line
        spooled = [crew.start(name, rest_s=_REST_S) for name in ("spooled-1", "spooled-2")]
        crew.start("direct", spool=False, rest_s=_REST_S)
        crew.wait_for(_SOME)
        line.inserts_to_lose = line.replies_to_lose = _LOST
        wait_until(lambda: max(line.inserts_to_lose, line.replies_to_lose) <= 0, "inserts and replies were lost")
        before = [crew.count(life, Mark.HANDED) for life in spooled]
        sampled = reader.sampled
        line.silence() if silent else line.cut()
        time.sleep(sizes.cut_s)
        crew.wait_for(1, spooled)
        reader.wait_until(lambda: reader.sampled > sampled, "a batch was sampled during the cut")
        wait_until(lambda: line.swallowed_bytes + line.resets > 0, "somebody had tried to use the line")
        went_on = [crew.count(life, Mark.HANDED) - count for life, count in zip(spooled, before, strict=True)]
        batches = reader.sampled - sampled
        # A quick run can not wait until the driver gives up on connections that are dead without saying so.
        line.mend(reset=sizes.resets_dead_connections)
        lost = f"{line.swallowed_bytes:,} bytes were swallowed" if silent else f"{line.resets} connections were reset"
        here.shown |= {
            lost: line.swallowed_bytes > 0 if silent else line.resets > 0,
            f"the workers wrote {sum(went_on):,} timesteps into their spools meanwhile": min(went_on) > 0,
            f"the learner's side sampled {batches:,} batches meanwhile": batches > 0,
        }
        crew.wait_for(_SOME)
        found = here.settle(reader)
        name, how = ("cut-silent", "silent") if silent else ("cut-reset", "connections reset")
        return here.outcome(
            name,
            f"{_LOST} inserts and {_LOST} replies lost, network cut for {sizes.cut_s:g} s, {how}",
            found,
            reader.mirror,
        )
