"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The defaults are the whole benchmark."""

    played: int = 20
    """Different episodes; what is written repeats them."""
    stretch: int = 200
    """Episodes, 30,000 timesteps, whose rate is told as the slowest …"""
    stretches: int = 34
    """… of so many: 1,020,000 timesteps."""
    original: int = 20
    """Episodes written the original's way after each stretch."""
    worker: int = 10
    """Episodes written through a worker's writer after each stretch."""
    batches: tuple[int, ...] = (256, 4096)
    """Transitions."""
    rounds: int = 7
    """Turns that everyone gets; the medians count."""
    turn_s: float = 0.5
    peer_bytes: float = 1.5e9
    """Memory of each peer, which holds as many transitions as fit."""
    refills: int = 3
    latency_episodes: int = 250
    live_rounds: int = 15
    live_turn_s: float = 1.0
    growth: tuple[int, ...] = (670, 6_670, 26_670)
    """Episodes in the log: 0.1, 1 and 4 million timesteps."""


QUICK = Sizes(
    stretches=2,
    rounds=3,
    turn_s=0.2,
    refills=2,
    latency_episodes=200,
    live_rounds=2,
    live_turn_s=1.0,
    growth=(134, 670),
)
"""60,000 timesteps; growth to 100,500."""
