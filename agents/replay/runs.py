"""A run and its episodes, as the log describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from environment.physics.integration import Integration
from environment.starts import DEFAULT

ABORTED = "aborted"
"""`Episode.ended` of an episode whose worker stopped or died in the middle. Its timesteps are good data."""

UNSPLIT = "unsplit"
"""The only term in `Episode.reward_terms` of an aborted episode: nobody was left to split its return."""

Purpose = Literal["explore", "train", "demonstrate", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One document of `runs`: everything needed to read the run's timesteps years later."""

    name: str
    config: Mapping[str, Any]
    """The run's whole configuration, as plain data."""
    task: str
    physics: str
    model_sha256: str
    state_names: Sequence[str]
    """(S,) `joint_pos/hip_r/0`, `body_vel/pelvis/x`, … the order of every stored state."""
    state_units: Sequence[str]
    action_names: Sequence[str]
    """(M,) muscle names, in the order of every stored action."""
    observation: str
    """Name and version of the observation the run's policies see, e.g. `compact/1`."""
    reward: str
    """Name and version of the stored reward, e.g. `round2/1`."""
    code_version: str
    layout_sha256: str
    """Of the names and units: stored policies and timesteps must agree on it."""


@dataclass(frozen=True, kw_only=True)
class EpisodeStart:
    """What is known of an episode when it starts."""

    seed: int
    policy_version: int
    """Version of the checkpoint that acts; 0 is the random policy before the first one."""
    purpose: Purpose = "train"
    exploration: Mapping[str, Any] = field(default_factory=dict)
    """Kind and level of the exploration noise, e.g. `{"kind": "gaussian", "sigma": 0.1}`; with `policy: "mean"` where
    it follows the running mean of the actor."""
    physics: str = ""
    """Engine, integrator and accuracy, e.g. `opensim/SemiExplicitEuler2/0.001`."""
    start: Mapping[str, Any] = field(default_factory=dict)
    """How the body started, e.g. `{"kind": "pushed", "m_per_s": 0.8}`, and what was drawn of its integration, e.g.
    `{"accuracy": 2e-5, "stale_controls": True}`; empty in the default pose where nothing is drawn."""

    @property
    def in_default_pose(self) -> bool:
        """Whether the episode began as a reset of the simulator leaves the body."""
        return bool(self.start.get("kind", DEFAULT) == DEFAULT)

    @property
    def integration(self) -> Integration | None:
        """What was drawn for it; None where all episodes on its physics are integrated alike."""
        return Integration.of(self.start)


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One document of `episodes`, written after all its timesteps: whoever sees it can read them all."""

    id: int
    run: str
    worker: str
    writer: int
    start: EpisodeStart
    length: int
    """Control steps T; the log holds T+1 timesteps."""
    episode_return: float
    """Undiscounted sum of the T rewards."""
    reward_terms: Mapping[str, float]
    """The same sum split by named term; they add up to the return. An aborted episode has one term, `UNSPLIT`."""
    round_returns: Mapping[str, float] = field(default_factory=dict)
    """What the T steps earned by the true rewards of both rounds, `round1` and `round2`, whatever was learned for: see
    `environment.round_rewards`. Empty for an aborted episode, and where they were not logged yet."""
    ended: str
    """`fall`, `time_limit`, `simulator_error: …`, `abort: <rule>` or `aborted`."""
    terminated: bool
    truncated: bool
    step_ms_mean: float
    """Wall milliseconds per control step, simulator and policy together."""
    started: datetime
    finished: datetime
    """UTC, both."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Documents of one run in the four collections."""

    runs: int
    episodes: int
    timesteps: int
    events: int
    aborted: int
    """Of the episodes, those whose worker stopped or died in the middle."""
