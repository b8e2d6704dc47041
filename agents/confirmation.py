"""What may be called a run's best: a score that the reference physics stands behind.

Every version is scored on the physics of the rollouts. One that beats the best so far is played again on the reference
(OpenSim), and only scores there decide: a policy that lives on an error of the fast engine stays a candidate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.baselines import Score

Facts = Mapping[str, Any]
"""An `evaluated` document's details."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One version's score, and what the reference said of it."""

    score: Score
    physics: str
    """That the score was made on."""
    reference: str
    """Name of the physics that decides; the same as `physics` where that is the reference itself."""
    confirmation: Score | None = None
    """On the reference; None for a score that did not beat the best, and where `physics` decides by itself."""
    best_before: float | None = None
    """Mean on the reference that the confirmation had to beat; None if nothing was confirmed before."""

    @property
    def confirmed(self) -> bool:
        """The reference was asked, and it is a new best there too."""
        return self.confirmation is not None and (self.best_before is None or self.confirmation.mean > self.best_before)

    def facts(self) -> dict[str, Any]:
        """For the `evaluated` document: the score itself, and under `confirmation` that on the reference."""
        facts = {"physics": self.physics, "reference": self.reference, "confirmation": None}
        if self.confirmation is None:
            return self.score.facts() | facts
        played = len(self.confirmation.seeds)
        confirmation = self.confirmation.facts() | {
            "physics": self.reference,
            "confirmed": self.confirmed,
            "best_before": self.best_before,
            # A difference to `mean` here is the engines'; one to the whole score may be the seeds'.
            "candidate_mean_on_these_seeds": float(np.mean(self.score.returns[:played])),
        }
        return self.score.facts() | facts | {"confirmation": confirmation}


def comparable(facts: Facts) -> Hashable:
    """Equal for scores that may be compared: same physics, seeds and reference."""
    return facts["physics"], tuple(facts["seeds"]), facts.get("reference", facts["physics"])


def deciding(facts: Facts) -> Facts | None:
    """The part of an `evaluated` document that counts; None for a score that nobody confirmed.

    Documents written before there were two engines name no reference: their score counts.
    """
    if facts.get("reference", facts["physics"]) == facts["physics"]:
        return facts
    confirmation: Facts | None = facts["confirmation"]
    return confirmation


def best_evaluation(evaluations: Iterable[Facts]) -> Facts | None:
    """The document with the highest deciding mean, the oldest of equals; None when none counts.

    Args:
        evaluations: Comparable ones, oldest first.
    """
    counting = [(part["mean"], facts) for facts in evaluations if (part := deciding(facts)) is not None]
    return max(counting, key=lambda pair: float(pair[0]))[1] if counting else None


def engine(physics: str) -> str:
    """`opensim` of `opensim/SemiExplicitEuler2/0.001`."""
    return physics.partition("/")[0]


def scores_text(facts: Facts, *, seeds: bool = False) -> str:
    """Every score of a document with its engine: `1,217 ± 0 on native, 1,214 ± 0 on opensim`.

    Args:
        facts: Of an evaluation or a baseline (which names no physics of its own).
        seeds: Say over how many.
    """
    text = _score_text(facts, seeds)
    confirmation = facts.get("confirmation")
    if confirmation:
        alike = engine(confirmation["physics"]) == engine(facts["physics"])
        text += f", {_score_text(confirmation, seeds, whole_name=alike)}"
        text += "" if confirmation["confirmed"] else " (not confirmed)"
    return text


def _score_text(facts: Facts, seeds: bool, *, whole_name: bool = False) -> str:
    on = ""
    if "physics" in facts:
        on = f" on {facts['physics'] if whole_name else engine(facts['physics'])}"
    return f"{facts['mean']:,.0f} ± {facts['spread']:,.0f}{on}" + (f" over {facts['episodes']} seeds" if seeds else "")
