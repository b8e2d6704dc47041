"""Scored episodes on disk: what was played once is not played again, and the gait card reads the states from here."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

import agents
import environment
from agents.official.episode import EpisodeScore, Played

_CODE = ("official", "policy.py", "networks.py", "mlp.py", "residual_mlp.py", "layers.py", "normalisation.py")
"""Of the agents' code, what takes part in a score."""


def folder_of(data: Path, actor: str, rules: Sequence[str]) -> Path:
    """A folder below `data` for the episodes of one actor under one set of rules.

    Args:
        actor: What tells it from all others, e.g. a checksum of its weights.
        rules: Everything else that a score depends on, but task and seed. The code that simulates and scores is counted
            in: an episode that other code has played is played again.
    """
    text = "\n".join((actor, *rules, code_sha256()))
    return data / "official" / hashlib.sha256(text.encode()).hexdigest()[:16]


class KeptEpisodes:
    """Those in one folder, as files of 1.7 MB for 1,000 steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, task: str, seed: int) -> Played | None:
        """The episode, if it was played; None also for a file that is damaged."""
        try:
            # Opened here: numpy leaves a file that it can not read open.
            with self._path(task, seed).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return Played(EpisodeScore(**json.loads(stored["score"].tobytes())), stored["states"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
            return None  # cut short by a full disk or edited: it is played again, and written over

    def save(self, played: Played) -> None:
        """Whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(played.score.task, played.score.seed)
        staged = path.with_suffix(f".{os.getpid()}.tmp")
        text = np.frombuffer(json.dumps(dataclasses.asdict(played.score)).encode(), np.uint8)
        with staged.open("wb") as file:
            np.savez(file, allow_pickle=False, score=text, states=played.states)
        staged.replace(path)

    def _path(self, task: str, seed: int) -> Path:
        return self.folder / f"{task}-{seed}.npz"


@cache
def code_sha256() -> str:
    """Of the sources that simulate and score."""
    root = Path(agents.__file__).parent
    paths = [*Path(environment.__file__).parent.rglob("*.py")]
    for name in _CODE:
        paths += [root / name] if name.endswith(".py") else (root / name).rglob("*.py")
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(path.read_bytes())
    return found.hexdigest()
