"""What is written, what is kept in the learner's memory and how it is drawn: the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.plain import from_plain, to_plain
from agents.replay.ring import FLOATS
from agents.replay.ring_memory import MEMORIES
from agents.replay.sampling import SAMPLERS
from environment.arguments import is_number, is_whole


@dataclass(frozen=True, kw_only=True)
class SamplingChoice:
    """A way to sample of `agents/replay/sampling/`, and the settings of it that differ from its defaults."""

    name: str = "uniform"
    """`uniform`, `prioritised`, `recency` or `policy_age`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """E.g. `{alpha = 0.7}`; its class lists them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", to_plain(self.settings))
        if self.name not in SAMPLERS:
            raise ValueError(f"sampling is {self.name!r}, needed one of {', '.join(SAMPLERS)}")
        from_plain(SAMPLERS[self.name][1], self.settings, "settings")


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """What is written and what is kept in the learner's memory."""

    explore_timesteps: int = 25_000
    """Random timesteps before the first update, those of `partitions` included; the learner waits for them. With 0 it
    starts as soon as it has anything."""
    capacity_timesteps: int = 1_000_000
    """Room in the learner's mirror: so many decisions, ends of episodes included; the oldest episodes leave first. Of
    actions that are held it reaches further back than so many timesteps. The database keeps all."""
    mirror_floats: str = "float32"
    """Of the observations in the mirror; `float16` halves its memory and costs about three digits."""
    mirror_memory: str = "private"
    """Where the mirror lies: `private`, `shared` with processes that a program of yours forks from the learner's, or
    `pinned` for a GPU to copy from."""
    sampling: SamplingChoice = field(default_factory=SamplingChoice)
    """Which decisions the learner sees more often."""
    partitions: Mapping[str, float] = field(default_factory=dict)
    """Other runs in the same database that are learned from as well, and the share of every batch that is theirs: e.g.
    `{demonstrations = 0.25}`. Their states are seen with this run's observation and reward. One that holds nothing
    yet leaves its share to the others; shares that add up to 1 leave nothing to the run's own episodes."""
    fade_updates: Mapping[str, int] = field(default_factory=dict)
    """Which of these partitions get less and less, and after how many updates nothing, e.g. `{demonstrations =
    100000}`: their share goes down in a straight line, and what is left goes to the others in their proportions."""
    hindsight_share: float = 0.0
    """Share of every batch in which the velocity that was reached is taken for the one that was asked for, in the
    run's own episodes and those of `partitions` alike."""
    reflected_share: float = 0.0
    """Share of every batch, at most 0.5, in which left and right are exchanged. A body with a prosthesis is not its own
    mirror image: decision 0025 has how far such rows are from what it would do."""
    write_batch: int = 150
    """Timesteps that go to the database in one write."""
    spool_megabytes: int = 512
    """Room on a worker's disk for what the database has not taken yet; a worker whose room is full waits."""
    n_step: int = 1
    """Decisions that a transition spans."""
    gamma: float = 0.99
    """Discount per control step of 10 ms; 0.99 looks about one second ahead."""
    samples_per_timestep: float = 512.0
    """Transitions sampled per timestep collected, at most; the learner waits when it is ahead of the workers."""
    lead_timesteps: int | None = None
    """Timesteps that the workers may be ahead of what the learner has used up at that ratio, by its newest published
    version; then they wait. None: they never do, and everything they find out is kept."""

    def __post_init__(self) -> None:
        if not 0 <= self.explore_timesteps <= self.capacity_timesteps:
            raise ValueError(
                f"explore_timesteps={self.explore_timesteps} must be in 0..{self.capacity_timesteps} "
                "(capacity_timesteps); the learner would wait forever"
            )
        object.__setattr__(self, "partitions", to_plain(self.partitions))
        shares = [*self.partitions.values(), self.hindsight_share]
        if any(not 0 < share <= 1 for share in shares[:-1]) or not 0 <= shares[-1] <= 1 or sum(shares) > 1 + 1e-9:
            raise ValueError(
                f"partitions={dict(self.partitions)} and hindsight_share={self.hindsight_share} are shares of a batch: "
                "each must be in 0..1, all together at most 1"
            )
        self._check_fading()
        if not (is_number(self.reflected_share) and 0 <= self.reflected_share <= 0.5):
            raise ValueError(
                f"reflected_share={self.reflected_share!r} must be in 0..0.5; beyond, the reflected body would be the "
                "usual one"
            )
        if self.mirror_floats not in FLOATS:
            raise ValueError(f"mirror_floats={self.mirror_floats!r} is unknown; there are {', '.join(FLOATS)}")
        if self.mirror_memory not in MEMORIES:
            raise ValueError(f"mirror_memory={self.mirror_memory!r} is unknown; there are {', '.join(MEMORIES)}")
        for name in ("write_batch", "n_step", "spool_megabytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0.0 <= self.gamma < 1.0:
            raise ValueError(f"gamma={self.gamma} must be in [0, 1)")
        if not self.samples_per_timestep > 0:
            raise ValueError(
                f"samples_per_timestep={self.samples_per_timestep} must be positive; the learner would never start"
            )

    def _check_fading(self) -> None:
        object.__setattr__(self, "fade_updates", to_plain(self.fade_updates))
        for name, updates in self.fade_updates.items():
            if name not in self.partitions:
                known = ", ".join(self.partitions) or "none"
                raise ValueError(f"fade_updates names {name!r}, which is no partition; there are: {known}")
            if not is_whole(updates) or updates < 1:
                raise ValueError(f"fade_updates of {name!r} is {updates!r}, it must be a whole number from 1")
        stays = 1.0 - self.hindsight_share - sum(self.partitions[name] for name in self.fade_updates)
        if self.fade_updates and not stays > 1e-9:
            raise ValueError(
                f"partitions={dict(self.partitions)} leave nothing to learn from once {', '.join(self.fade_updates)} "
                "has faded; needed shares below 1, for the run's own episodes or for a partition that stays"
            )
