"""What `verify` found wrong, counted by kind, with a few examples of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from agents.replay.data.text import columns

KINDS = {
    "gap": "an episode lacks timesteps",
    "no_timesteps": "an episode's document without any timestep",
    "no_episode": "timesteps without an episode's document",
    "beyond_end": "timesteps after the last of an episode",
    "duplicate": "a timestep that says it is another one",
    "misnumbered": "a timestep whose episode or step is not that of its id",
    "malformed": "a document of another shape than the run's timesteps",
    "unknown_writer": "timesteps or episodes of a writer that never started",
    "document": "an episode's document disagrees with its timesteps",
    "value": "a value that can not be",
}
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    kind: str
    episode: int
    step: int
    """-1 when it concerns the whole episode."""
    text: str


@dataclass(slots=True)
class Problems:
    """All that is wrong, of each kind the first few in full: a damaged run may have millions."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: list[Problem] = field(default_factory=list)

    def add(self, kind: str, episode: int, text: str, *, step: int = -1, times: int = 1) -> None:
        """Counts it; `times` when one sentence tells of several."""
        if kind not in KINDS:
            raise KeyError(kind)
        if sum(problem.kind == kind for problem in self.examples) < _EXAMPLES:
            self.examples.append(Problem(kind, episode, step, text))
        self.counts[kind] = self.counts.get(kind, 0) + times


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found."""

    run: str
    episodes: int
    """Looked at: those that had finished when it began."""
    timesteps: int
    unfinished: Sequence[int]
    """Episodes being written, or left by a worker that died: its next start closes them."""
    not_judged: str | None
    """Why the values were not compared with what the task allows; None when they were."""
    problems: Problems
    seconds: float

    @property
    def good(self) -> bool:
        return not self.problems.counts

    def document(self) -> dict[str, Any]:
        """As plain data."""
        plain = asdict(self)
        plain["problems"] = {
            kind: {
                "count": count,
                "examples": [asdict(one) for one in self.problems.examples if one.kind == kind],
            }
            for kind, count in self.problems.counts.items()
        }
        return plain | {"good": self.good, "timesteps_per_s": self.timesteps / max(self.seconds, 1e-9)}

    def text(self) -> str:
        """As a person reads it."""
        lines = [
            f"run {self.run}: {self.episodes:,} episodes, {self.timesteps:,} timesteps in {self.seconds:.1f} s "
            f"({self.timesteps / max(self.seconds, 1e-9):,.0f}/s)"
        ]
        if self.unfinished:
            lines.append(f"{len(self.unfinished):,} episodes unfinished: being written, or left by a worker that died")
        if self.not_judged:
            lines.append(f"values are not judged: {self.not_judged}")
        if self.good:
            return "\n".join([*lines, "nothing wrong"])
        rows = [(KINDS[kind], kind, f"{count:,}") for kind, count in self.problems.counts.items()]
        lines.append(columns(("wrong", "kind", "how often"), rows))
        for one in self.problems.examples:
            step = f", step {one.step}" if one.step >= 0 else ""
            lines.append(f"{one.kind}: episode {one.episode}{step}: {one.text}")
        return "\n".join(lines)
