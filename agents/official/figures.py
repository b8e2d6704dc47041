"""The figures of a round: what is reported of a policy's episodes and of the baselines on the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.baselines import Score
from agents.official.episode import EpisodeScore
from environment.tasks import Task
from environment.timestep import CONTROL_STEP_S

Figures = Mapping[str, float | None]
"""None: there is nothing to tell, e.g. when it fell of what never falls."""
WALKED_M_PER_S = 0.5
"""An episode counts as walked when it lasted and led as far as this speed does: 5 m in the 10 s of round 2."""
_LARGEST = {"round1": 9.0, "round2": 10.0}
"""Reward of a control step at the asked velocity and without effort."""
UNITS: Mapping[str, str] = {
    "mean": "points",
    "std": "points",
    "worst": "points",
    "fall_rate": "of episodes",
    "steps_to_fall": "steps of 10 ms",
    "walked_rate": "of episodes",
    "distance_m": "m",
    "speed_m_per_s": "m/s",
    "speed_error_m_per_s": "m/s",
    "normalised": "1",
    "grader_mean": "points",
}
"""Names of the figures, in the order in which they are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundScores:
    """One round of the challenge: episodes by who acted, and what ideal bodies earn on the same seeds."""

    task: Task
    steps: int
    """Control steps of an episode that lasts; fewer than the task's when it was shortened."""
    seeds: Sequence[int]
    """Held out: what all figures are of, but those of the grader."""
    grader: Sequence[int]
    episodes: Mapping[str, Mapping[int, EpisodeScore]]
    """`policy`, `random`, and `native` where the policy was played on another engine: by seed, of both sets."""
    ideals: Mapping[str, tuple[Score, Score]]
    """`standing` and `blind_walking`, on the held-out seeds and on the grader's."""

    @property
    def round_name(self) -> str:
        """`round1` or `round2`."""
        return self.task.reward

    def of(self, who: str) -> list[EpisodeScore]:
        """On the held-out seeds."""
        return [self.episodes[who][seed] for seed in self.seeds]

    def graded(self, who: str) -> list[EpisodeScore]:
        """On the grader's seeds."""
        return [self.episodes[who][seed] for seed in self.grader]

    @property
    def columns(self) -> dict[str, Figures]:
        """Everybody's figures, the policy's first."""
        found: dict[str, Figures] = {who: self._figures(who) for who in ("policy", "native") if who in self.episodes}
        for who, (held_out, graded) in self.ideals.items():
            found[who] = {
                "mean": held_out.mean,
                "std": held_out.spread,
                "worst": min(held_out.returns),
                "fall_rate": held_out.fall_rate,
                "normalised": self.normalised(held_out.mean),
                "grader_mean": graded.mean,
            }
        return found | {"random": self._figures("random")}

    def normalised(self, mean: float) -> float:
        """0 for a statue on the same seeds, 1 for the most that can be earned."""
        standing = self.ideals["standing"][0].mean
        largest = _LARGEST[self.task.reward] * self.steps
        return (mean - standing) / (largest - standing)

    @property
    def walked_m(self) -> float:
        """The distance from which an episode that lasted counts as walked."""
        return WALKED_M_PER_S * self.steps * CONTROL_STEP_S

    def walked(self, score: EpisodeScore) -> bool:
        """It lasted, and led somewhere."""
        return not score.fell and score.distance_m >= self.walked_m

    def difference(self) -> dict[str, float] | None:
        """The policy's engine against the native one, episode by episode; None where there is one only."""
        if "native" not in self.episodes:
            return None
        here, there = self.episodes["policy"], self.episodes["native"]
        seeds = [*self.seeds, *self.grader]
        off = [here[seed].episode_return - there[seed].episode_return for seed in seeds]
        same = [here[seed].fell == there[seed].fell for seed in seeds]
        return {
            "mean": float(np.mean(off[: len(self.seeds)])),
            "median_size": float(np.median(np.abs(off))),
            "largest_size": float(np.max(np.abs(off))),
            "same_ending_rate": float(np.mean(same)),
        }

    def _figures(self, who: str) -> Figures:
        scores = self.of(who)
        returns = [score.episode_return for score in scores]
        falls = [score.length for score in scores if score.fell]
        mean = float(np.mean(returns))
        return {
            "mean": mean,
            "std": float(np.std(returns)),
            "worst": min(returns),
            "fall_rate": len(falls) / len(scores),
            "steps_to_fall": float(np.mean(falls)) if falls else None,
            "walked_rate": float(np.mean([self.walked(score) for score in scores])),
            "distance_m": float(np.mean([score.distance_m for score in scores])),
            "speed_m_per_s": float(np.mean([score.speed_m_per_s for score in scores])),
            "speed_error_m_per_s": float(np.mean([score.speed_error_m_per_s for score in scores])),
            "normalised": self.normalised(mean),
            "grader_mean": float(np.mean([score.episode_return for score in self.graded(who)])),
        }


def rows(scores: RoundScores) -> list[dict[str, object]]:
    """`round2/mean` and so on for the policy, `round2/standing/mean` for the others, each with its unit."""
    found: list[dict[str, object]] = []
    for who, figures in scores.columns.items():
        prefix = scores.round_name if who == "policy" else f"{scores.round_name}/{who}"
        for name, unit in UNITS.items():
            if name in figures:
                found.append({"name": f"{prefix}/{name}", "value": figures[name], "unit": unit})
    for seed, graded in zip(scores.grader, scores.graded("policy"), strict=True):
        name = f"{scores.round_name}/grader_{seed}"
        found.append({"name": name, "value": graded.episode_return, "unit": "points"})
    for name, value in (scores.difference() or {}).items():
        unit = "of episodes" if name == "same_ending_rate" else "points"
        found.append({"name": f"{scores.round_name}/native_difference/{name}", "value": value, "unit": unit})
    return found
