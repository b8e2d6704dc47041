"""What a replay store promises. Implementations, both over `log.py`: `mongo.py` (durable), `memory.py` (tests and
one-process runs).

An episode number carries its writer: `episode = writer << 20 | n`, and a timestep's `_id` is
`episode << 20 | step`. A writer is one life of one worker process; it takes a fresh number when it starts, so a
restarted worker can never mix its timesteps with those of its former life, and every retry writes the same ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from environment.timestep import TimeStep

STEP_BITS = 20
"""Control steps an episode can have: 2**20 (2.9 simulated hours)."""
EPISODE_BITS = 20
"""Episodes one life of a worker can write: 2**20."""

SPOOL_BYTES = 512 << 20
"""Room on a worker's local disk while the store is away: some 250,000 timesteps."""

ABORTED = "aborted"
"""`Episode.ended` of an episode whose worker stopped or died in the middle. Its timesteps are good data."""

UNSPLIT = "unsplit"
"""The only term in `Episode.reward_terms` of an aborted episode: nobody was left to split its return."""

Purpose = Literal["explore", "train", "evaluate"]


def episode_id(writer: int, number: int) -> int:
    """The id of a writer's `number`-th episode (from 0)."""
    if not 0 <= number < 1 << EPISODE_BITS:
        raise ValueError(
            f"episode number {number} does not fit {EPISODE_BITS} bits; restart the worker for a new writer"
        )
    if not 0 < writer < 1 << (63 - EPISODE_BITS - STEP_BITS):
        raise ValueError(f"writer number {writer} is outside 1..{(1 << (63 - EPISODE_BITS - STEP_BITS)) - 1}")
    return writer << EPISODE_BITS | number


def timestep_id(episode: int, step: int) -> int:
    """The `_id` of a timestep: sorts by writer, then episode, then step."""
    if not 0 <= step < 1 << STEP_BITS:
        raise ValueError(f"step {step} does not fit {STEP_BITS} bits; end the episode earlier")
    return episode << STEP_BITS | step


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
    """Kind and level of the exploration noise, e.g. `{"kind": "gaussian", "sigma": 0.1}`."""
    physics: str = ""
    """Engine, integrator and accuracy, e.g. `opensim/SemiExplicitEuler2/0.001`."""


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
class EpisodeTimesteps:
    """All T+1 timesteps of an episode as columns, in step order."""

    episode: int
    state: NDArray[np.float32]
    """(T+1, S)"""
    excitation: NDArray[np.float32]
    """(T+1, M)"""
    policy_action: NDArray[np.float32]
    """(T+1, M)"""
    decision: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    policy_version: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Timesteps:
    """All R timesteps of E episodes as columns, one episode after the other; views of the bytes that were read."""

    episodes: Sequence[Episode]
    """(E,) by id."""
    first: NDArray[np.int64]
    """(E,) row of each episode's reset state."""
    state: NDArray[np.float32]
    """(R, S)"""
    excitation: NDArray[np.float32]
    """(R, M)"""
    policy_action: NDArray[np.float32]
    """(R, M)"""
    decision: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    policy_version: NDArray[np.int64]

    def episode(self, number: int) -> EpisodeTimesteps:
        """A copy of the columns of one of them."""
        rows = slice(int(self.first[number]), int(self.first[number]) + self.episodes[number].length + 1)
        columns = {name: np.ascontiguousarray(getattr(self, name)[rows]) for name in _COLUMNS}
        return EpisodeTimesteps(episode=self.episodes[number].id, **columns)


_COLUMNS = tuple(field.name for field in fields(EpisodeTimesteps) if field.name != "episode")


@dataclass(frozen=True, slots=True)
class TimestepBlock:
    """K consecutive timesteps of an open episode as columns, to be written at once."""

    state: NDArray[np.float32]
    """(K, S)"""
    excitation: NDArray[np.float32]
    """(K, M)"""
    policy_action: NDArray[np.float32]
    """(K, M)"""
    decision: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in self.__slots__}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns of a block: found {lengths}, needed as many rows in each")

    def __len__(self) -> int:
        return len(self.reward)

    def __getitem__(self, rows: slice) -> TimestepBlock:
        """Views of some of its rows."""
        return TimestepBlock(*(getattr(self, name)[rows] for name in self.__slots__))

    def timestep(self, row: int, step: int) -> TimeStep:
        """One of them, which is step `step` of its episode."""
        return TimeStep(
            step=step,
            state=self.state[row],
            excitation=self.excitation[row],
            policy_action=self.policy_action[row],
            decision=bool(self.decision[row]),
            reward=float(self.reward[row]),
            terminated=bool(self.terminated[row]),
            truncated=bool(self.truncated[row]),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Documents of one run in the four collections."""

    runs: int
    episodes: int
    timesteps: int
    events: int
    aborted: int
    """Of the episodes, those whose worker stopped or died in the middle."""


class RefusedTimestep(ValueError):
    """A timestep that may not enter the log: not finite, out of range, wrong width or out of order."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """One of a few words, to count by: `not_finite`, `out_of_range`, `wrong_width`, `out_of_order`, …"""


class WriterConflict(RuntimeError):
    """The store has other documents than ours under our ids: another process writes with this writer's number, or a
    newer life of the worker has closed its episode."""


class ReplayUnavailable(ConnectionError):
    """The store cannot be reached, or asks for other credentials. Says which, without the password."""


class EpisodeWriter(Protocol):
    """Appends one worker's episodes. One life of one process; not shared between threads."""

    writer: int

    @property
    def waited_s(self) -> float:
        """Seconds that this writer has waited so far because the store was away."""

    def begin(self, start: EpisodeStart, first: TimeStep) -> int:
        """Opens an episode with its reset timestep (step 0) and returns its id.

        Raises: RuntimeError while another episode is open.
        """

    def add(self, timestep: TimeStep) -> None:
        """Takes the next timestep; durable after the next `flush` (every `batch` timesteps) or `end`.

        Raises: RefusedTimestep, and the timestep is not taken (the refusal is counted as an event).
        """

    def add_many(self, block: TimestepBlock) -> None:
        """Takes the next timesteps; the same as `add` of each, at a fraction of the cost.

        Raises: RefusedTimestep of the first one that may not enter; those before it are taken, those after it not.
        """

    def end(self, *, ended: str, reward_terms: Mapping[str, float], step_ms_mean: float) -> Episode:
        """Writes what is left of the open episode's timesteps, then its document.

        An episode whose last timestep is neither terminated nor truncated (a simulator failure) becomes truncated.
        Waits and retries while the store is away; never drops.

        Raises: ValueError when `reward_terms` do not add up to the return; RuntimeError when no episode is open, or
            when a newer life of this worker has closed it.
        """

    def abort(self) -> Episode | None:
        """Ends an open episode as `aborted` (its last timestep counts as truncated); None if none is open."""

    def note(self, kind: str, **details: Any) -> None:
        """Notes in `events` what happened to this worker, in order with what it writes."""

    def drain(self, wait_s: float) -> int:
        """Waits until the store has all that was handed over, at most `wait_s`; returns the timesteps it lacks then."""

    def close(self, wait_s: float) -> int:
        """Ends this life: `drain`. With a spool the timesteps that are left are sent by the next life; else none is."""


class News(Protocol):
    """Tells one reader when to look for new episodes. It may miss some and tell of others twice: what is new, only
    `episodes_after` knows."""

    def wait(self, seconds: float) -> None:
        """Returns as soon as an episode was added to the run since the last call, at the latest after so long."""

    def close(self) -> None:
        """From another thread it also ends a `wait`, soon."""


class Replay(Protocol):
    """The log of one or many runs."""

    def open_run(self, run: Run) -> Run:
        """Creates the run or, if it exists, returns the stored one.

        Raises: ValueError when the stored run has another layout, task, reward or model: says found and needed.
        """

    def run(self, name: str) -> Run:
        """Raises: KeyError naming the runs that exist."""

    def runs(self) -> Sequence[str]: ...

    def writer(
        self, run: str, worker: str, *, batch: int = 150, spool: Path | None = None, spool_bytes: int = SPOOL_BYTES
    ) -> EpisodeWriter:
        """A new life of `worker`: takes a fresh writer number and closes what its former lives left open.

        With `spool`, a folder of this worker's own on local disk, the writer does not wait for the store: what it takes
        lies there, at most `spool_bytes` of it, until the store has it. What former lives left there is sent first.

        Raises: RuntimeError when another process uses the folder.
        """

    def episodes_after(self, run: str, watermarks: Mapping[int, int]) -> Sequence[Episode]:
        """Episodes beyond `watermarks` (writer -> last episode id taken), each writer's in order."""

    def news(self, run: str) -> News:
        """Listens from now on."""

    def timesteps(self, episode: Episode) -> EpisodeTimesteps:
        """Raises: LookupError when the log has gaps: says which steps are missing."""

    def timesteps_of(self, episodes: Sequence[Episode]) -> Sequence[EpisodeTimesteps]:
        """Those of many episodes, in the order asked."""

    def read(self, episodes: Sequence[Episode]) -> Timesteps:
        """Those of some episodes of one run, by id; neighbours in the log are read in one go.

        All of them are in memory at once: ask for some ten thousand timesteps at a time.

        Raises: LookupError when the log has gaps: says which steps are missing.
        """

    def event(self, run: str, process: str, kind: str, **details: Any) -> None:
        """Notes in `events` what happened and when."""

    def events(self, run: str, kind: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Oldest first."""

    def quarantine(self, run: str) -> Sequence[Mapping[str, Any]]:
        """The timesteps that were refused, with their values, oldest first; of each writer the first of each reason."""

    def counts(self, run: str) -> Counts: ...

    def close_abandoned(self, run: str) -> Sequence[Episode]:
        """Marks as `aborted` every episode that has timesteps but no document. Only when no worker runs."""

    def acquire_lease(self, run: str, holder: str, *, seconds: float) -> bool:
        """Takes or renews the right to train `run`; False while another holder's lease is alive."""

    def release_lease(self, run: str, holder: str) -> None: ...

    def lease_holder(self, run: str) -> str | None:
        """Who may train `run` now; None when nobody's lease is alive."""

    def close(self) -> None: ...
