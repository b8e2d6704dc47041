"""What official scoring is asked for: plain data, checked when made."""

from __future__ import annotations

from dataclasses import dataclass

from agents.official.seeds import GRADER_SEEDS, held_out

ROUNDS = ("round1", "round2")
NATIVE = "native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be scored, and how."""

    rounds: tuple[str, ...] = ROUNDS
    physics: str = "opensim"
    """`opensim`: as osim-rl integrates, and the same episodes on the native engine beside it; or `native` alone."""
    episodes: int = 50
    """Held-out seeds; the grader's come on top."""
    workers: int = 1
    """Processes on OpenSim, threads on the native engine."""
    max_steps: int | None = None
    """Ends episodes earlier than the challenge does, to try it out: the figures are not official then."""
    fresh: bool = False
    """Play again what was kept from a scoring before."""

    def __post_init__(self) -> None:
        if not self.rounds or set(self.rounds) - set(ROUNDS) or len(set(self.rounds)) != len(self.rounds):
            raise ValueError(f"rounds are {list(self.rounds)}, needed some of {', '.join(ROUNDS)}, each once")
        if self.physics not in ("opensim", NATIVE):
            raise ValueError(f"physics is {self.physics!r}, needed opensim or native")
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}, needed at least 1")
        held_out(self.episodes)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Held out, then the grader's."""
        return (*held_out(self.episodes), *GRADER_SEEDS)
