"""How much each scenario does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """In full."""

    kills: int = 3
    """Of mongod."""
    kill_after_s: tuple[float, float] = (2.0, 4.0)
    """From one start of mongod to its next death."""
    cut_s: float = 60.0
    resets_dead_connections: bool = False
    """After a silent cut; else they stay open, and it is the driver that must give up on them."""
    episodes: int = 40
    """What workers write before and after something that needs no more."""
    draws: int = 400
    """Batches of the resumed memory whose distribution is looked at."""


QUICK = Sizes(kills=1, kill_after_s=(0.5, 1.0), cut_s=3.0, resets_dead_connections=True, episodes=10, draws=200)
