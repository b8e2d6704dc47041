"""The seeds of scores. All are below `environment.seeds.RESERVED_SEEDS`, so training never draws one of them.

Held-out seeds are for reporting alone. A version that was chosen by its score on some seeds looks better on them than
it is, so checkpoints are chosen on seeds of their own.
"""

from __future__ import annotations

GRADER_SEEDS = (11, 22, 33)
"""Of the challenge's own grader."""
HELD_OUT_SEEDS = tuple(range(1001, 2001))
"""What is reported: the first N of them."""
SELECTION_SEEDS = tuple(range(2001, 3001))
"""What checkpoints are chosen by: the first N of them."""


def held_out(episodes: int) -> tuple[int, ...]:
    """The first so many. Raises: ValueError when there are no so many."""
    return _first(HELD_OUT_SEEDS, episodes, "held-out")


def for_selection(episodes: int) -> tuple[int, ...]:
    """The first so many. Raises: ValueError when there are no so many."""
    return _first(SELECTION_SEEDS, episodes, "selection")


def _first(seeds: tuple[int, ...], episodes: int, name: str) -> tuple[int, ...]:
    if not 1 <= episodes <= len(seeds):
        raise ValueError(f"{episodes} episodes were asked for; there are 1 to {len(seeds)} {name} seeds")
    return seeds[:episodes]
