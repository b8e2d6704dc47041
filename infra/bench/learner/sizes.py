"""How much is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from infra.bench.learner.contract import Case


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The defaults are the whole benchmark."""

    batches: tuple[int, ...] = (100, 256, 4096)
    observations: tuple[int, ...] = (189, 1260)
    """Numbers in the `compact` and the `original` observation."""
    hidden: tuple[tuple[int, ...], ...] = ((400, 300), (1024, 512))
    threads: tuple[int, ...] = (1, 2)
    """Processor threads that everyone gets, in turn; with one, all processes are kept on one core."""
    transitions: int = 50_000
    """In everyone's memory."""
    rounds: int = 5
    """Turns that everyone gets; the medians count."""
    turn_s: float = 1.0

    def cases(self, device: str = "cpu") -> Iterator[Case]:
        """Smallest first."""
        for hidden in self.hidden:
            for observation in self.observations:
                for batch in self.batches:
                    yield Case(batch, observation, hidden, transitions=self.transitions, device=device)

    def of_one_thread(self) -> Sizes:
        """For a GPU, which one thread feeds."""
        return replace(self, threads=(1,))


QUICK = Sizes(batches=(256,), hidden=((400, 300),), rounds=5, turn_s=0.5)
"""The batch that is asked for, one size of network."""
