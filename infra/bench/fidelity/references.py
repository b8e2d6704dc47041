"""Whole episodes by OpenSim at a tight tolerance: computed once, kept as `.npz` files, gone on with after a stop.

At 1e-7 OpenSim makes some twenty control steps a second, so 200 episodes take half an hour.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from environment.physics.settings import OpenSimSettings
from infra.bench.fidelity.episodes import DeadlinePlayer, Episode
from infra.bench.fidelity.policies import Policy

REFERENCE = OpenSimSettings("RungeKuttaMerson", 1e-7, weld_locked=False)
"""The model as it is published, its locked coordinates held by constraints. Its own error is up to 0.008 mm
over a fall, and 0.07 mm over three seconds on the feet: so far from its own solutions at 1e-8 and 1e-9 are the episodes
where a tight native engine is farthest from it."""
SECOND_OPINION = OpenSimSettings("RungeKuttaMerson", 1e-9, weld_locked=False)
"""For episodes that the reference and a tight engine see differently."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the reference did with a policy's actions."""

    policy: Policy
    episode: Episode


class References:
    """A folder of reference episodes: one file for each model file, policy and seed."""

    def __init__(self, folder: Path, model_sha256: str, settings: OpenSimSettings = REFERENCE) -> None:
        self.folder = folder / f"{settings.integrator}-{settings.accuracy:g}-{model_sha256[:12]}"

    def path(self, policy: Policy) -> Path:
        return self.folder / f"{policy.name}.npz"

    def load(self, policy: Policy) -> Episode | None:
        """None when it was not computed yet. Raises: ValueError for a file that is no episode."""
        path = self.path(policy)
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            missing = {field.name for field in fields(Episode)} - set(stored.files)
            if missing:
                raise ValueError(f"{path} lacks {', '.join(sorted(missing))}; delete it, and it is computed again")
            values = {field.name: stored[field.name] for field in fields(Episode)}
        values["ended"], values["seconds"] = str(values["ended"]), float(values["seconds"])
        return Episode(**values)

    def stored(self, policies: Sequence[Policy]) -> list[Reference]:
        """Those that are there already."""
        loaded = ((policy, self.load(policy)) for policy in policies)
        return [Reference(policy, episode) for policy, episode in loaded if episode is not None]

    def save(self, policy: Policy, episode: Episode) -> None:
        """A reader never sees half a file."""
        path = self.path(policy)
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(path.name + ".part")
        with staged.open("wb") as file:
            np.savez_compressed(file, **{field.name: getattr(episode, field.name) for field in fields(Episode)})
        staged.replace(path)

    def complete(self, policies: Sequence[Policy], player: Callable[[], DeadlinePlayer]) -> Iterator[Reference]:
        """Each policy's reference in turn; those that are missing are computed and kept.

        An episode that takes longer than the deadline is kept without steps, and given as such: where a discontinuity
        makes the body chatter, a tight tolerance may need hours for a single control step.
        """
        missing = [policy for policy in policies if not self.path(policy).exists()]
        with player() if missing else nullcontext() as playing:
            for number, policy in enumerate(policies, 1):
                episode = self.load(policy)
                if episode is None:
                    assert playing is not None
                    episode = playing.play(policy)
                    self.save(policy, episode)
                    about = f"{len(episode.rewards)} steps, {episode.ended}, {episode.seconds:.0f} s"
                    log.info("%d/%d %s: %s", number, len(policies), policy.name, about)
                yield Reference(policy, episode)
