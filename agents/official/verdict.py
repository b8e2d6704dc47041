"""What a policy does, in a word and a sentence: a high score alone does not say that it walks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.official.figures import RoundScores
from environment.timestep import CONTROL_STEP_S

STANDING, WALKING, FALLING, MOVING = "standing", "walking", "falling", "moving"
STANDING_M_PER_S = 0.1
"""Who never falls and gets less far on average stands: 1 m in the 10 s of round 2."""
WALKED_RATE = 0.6
"""Of the episodes that must be walked to call it walking."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`label` is one of `standing`, `walking`, `falling` and `moving` (none of the others)."""

    label: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.label}: {self.sentence}"


def verdict(scores: RoundScores) -> Verdict:
    """Of the policy's episodes on the held-out seeds of a round."""
    episodes = scores.of("policy")
    count = len(episodes)
    distance_m = float(np.mean([one.distance_m for one in episodes]))
    falls = [one.length for one in episodes if one.fell]
    walked = sum(map(scores.walked, episodes))
    if not falls and distance_m < STANDING_M_PER_S * scores.steps * CONTROL_STEP_S:
        return Verdict(STANDING, f"it never falls and gets {distance_m:.2f} m far on average")
    if walked >= WALKED_RATE * count:
        how = f"{scores.walked_m:g} m or more without a fall in {walked} of {count} episodes"
        return Verdict(WALKING, f"{how}; {_beside_the_blind(scores)}")
    if 2 * len(falls) > count:
        return Verdict(
            FALLING,
            f"{len(falls)} of {count} episodes end in a fall, after {np.mean(falls):.0f} steps of 10 ms on average",
        )
    return Verdict(
        MOVING,
        f"{len(falls)} of {count} episodes end in a fall, {walked} lead {scores.walked_m:g} m or further without one; "
        f"{distance_m:.2f} m on average",
    )


def _beside_the_blind(scores: RoundScores) -> str:
    columns = scores.columns
    mean, blind = columns["policy"]["mean"], columns["blind_walking"]["mean"]
    assert mean is not None
    assert blind is not None
    where = "above" if mean > blind else "not above"
    return f"{where} the ideal blind walker on the same seeds, {mean:,.0f} against {blind:,.0f}"
