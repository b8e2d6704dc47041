"""What official scoring says in the end: tables and a verdict for people, a document, a gait card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.build import code_version
from agents.checkpoints.format import encode
from agents.gait.card import GaitCard
from agents.gait.plot import lines, plot
from agents.official.figures import RoundScores, rows
from agents.official.sources import Source
from agents.official.table import table
from agents.official.verdict import verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one policy."""

    source: Source
    physics: str
    """Name of the engine that the policy's figures are of."""
    official: bool
    """On OpenSim with osim-rl's settings, in episodes of full length."""
    rounds: Sequence[RoundScores]
    card: GaitCard | None
    seconds: float
    """That the scoring took, without what was kept from before."""

    @property
    def judged(self) -> RoundScores:
        """The round that the verdict is of: round 2 where it was played."""
        return self.rounds[-1]

    def text(self) -> str:
        """For a terminal; the verdict is the last line."""
        told = [f"{self.source.name}, on {self.physics}"]
        told += [table(one) for one in self.rounds]
        if self.card is not None:
            told.append("\n".join(lines(self.card)))
        shortened = "" if self.official else f" (not official: on {self.physics}, {self.judged.steps} steps at most)"
        told.append(f"verdict in {self.judged.round_name}{shortened}: {verdict(self.judged)}")
        return "\n\n".join(told)

    def document(self) -> dict[str, Any]:
        """For JSON: rows by name, every episode, the gait card."""
        found = verdict(self.judged)
        policy = self.source.policy
        return {
            "policy": {
                "name": self.source.name,
                "version": policy.version,
                "sha256": hashlib.sha256(encode(policy.to_blob())).hexdigest(),
                "task": policy.contract.task,
                "provenance": dict(self.source.provenance),
            },
            "physics": self.physics,
            "official": self.official,
            "code_version": code_version(),
            "seconds": self.seconds,
            "verdict": {"round": self.judged.round_name, "label": found.label, "sentence": found.sentence},
            "rows": [row for one in self.rounds for row in rows(one)],
            "seeds": {"held_out": list(self.judged.seeds), "grader": list(self.judged.grader)},
            "gait": None if self.card is None else self.card.document(),
            "episodes": {
                one.round_name: {
                    who: [dataclasses.asdict(score) for score in episodes.values()]
                    for who, episodes in one.episodes.items()
                }
                for one in self.rounds
            },
        }

    def write(self, json_path: Path | None, card_path: Path | None) -> None:
        """What was asked for; the card's numbers go beside its picture: `walk.card.json` beside `walk.png`."""
        if json_path is not None:
            json_path.write_text(json.dumps(self.document(), indent=2) + "\n")
        if card_path is not None and self.card is not None:
            plot(self.card, card_path, f"{self.source.name}, {self.judged.round_name} on {self.physics}")
            card_path.with_suffix(".card.json").write_text(json.dumps(self.card.document(), indent=2) + "\n")
