"""The whole configuration of a run: frozen, checked when made, one TOML file for command line and notebooks.

    [environment]
    task = "prosthetics-round2"
    [learner]
    batch_size = 256

Every setting has a default, so an empty file is a valid one. Secrets are not here; they come from the environment.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.curriculum_config import CurriculumConfig
from agents.ddpg import CONFIGS
from agents.exploration.config import ExplorationConfig
from agents.flow_control import Limiter
from agents.plain import ConfigError, from_plain, to_plain, with_settings
from agents.replay_config import ReplayConfig
from agents.starts_config import StartsConfig
from environment.arguments import is_whole
from environment.config import OSIM_RL_ACCURACY, OSIM_RL_INTEGRATOR, PHYSICS, EnvironmentConfig

MOST_BODIES = 256
_RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How workers play."""

    bodies: int = 1
    """Bodies that one worker process moves side by side, each in an episode of its own: 16 or more collect several
    times as much on a core as one. On the native physics; on OpenSim a process has one body whatever this says."""

    def __post_init__(self) -> None:
        if not is_whole(self.bodies) or not 1 <= self.bodies <= MOST_BODIES:
            raise ValueError(
                f"bodies={self.bodies!r} must be a whole number in 1..{MOST_BODIES}; each has a writer of its own, and "
                "beyond some 64 a process collects no faster"
            )


@dataclass(frozen=True, kw_only=True)
class AlgorithmChoice:
    """Which variant of `agents/ddpg/` learns, and the settings of it that differ from its defaults."""

    name: str = "td3"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """E.g. `{hidden = [400, 300], actor_lr = 1e-4}`; its class in `agents/ddpg/` lists them."""

    def __post_init__(self) -> None:
        if "bins" in self.settings:
            raise ValueError("bins belongs to [environment]: the muscles and the algorithm must have the same")
        # Lists, as a file or a database gives them back: a stored configuration equals the one it was made from.
        object.__setattr__(self, "settings", to_plain(self.settings))
        if self.name not in CONFIGS:
            raise ValueError(f"algorithm is {self.name!r}, needed one of {', '.join(CONFIGS)}")
        from_plain(CONFIGS[self.name], self.settings, "settings")


@dataclass(frozen=True, kw_only=True)
class LearnerConfig:
    """How the learner trains and publishes."""

    batch_size: int = 256
    publish_seconds: float = 20.0
    """Seconds between published checkpoints …"""
    publish_updates: int | None = None
    """… or updates between them, whichever comes first; None leaves it to the seconds."""
    keep_versions: int = 10
    """Newest checkpoints kept in the store, besides the best evaluated one."""
    threads: int = 1
    """CPU threads of the learner; the workers keep the other cores."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: the GPU where there is one."""
    on_device: bool = True
    """On a GPU: whether the memory lies there too, and all of an update is done there; else only the networks are."""
    compiled: bool = True
    """Of an update on the GPU: whether torch compiles it. That takes about a minute at the start of a process, less
    once the results are stored on the machine."""
    seed: int = 0
    reward_scale: float = 0.1
    reward_offset: float = 0.0
    """The critic learns `scale * (reward + offset)` of every control step. Stored and reported rewards stay as they
    are. Round 2 pays up to 10 a step; unscaled its values reach 1,000, far from what fresh networks put out."""
    lease_seconds: float = 15.0
    """How long the run stays reserved for a learner that stopped answering, or died without notice."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads", "keep_versions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not self.publish_seconds > 0 or (self.publish_updates is not None and self.publish_updates < 1):
            raise ValueError("publish_seconds and publish_updates must be positive; no worker would ever see a policy")
        if not is_whole(self.seed) or self.seed < 0:
            raise ValueError(f"seed={self.seed!r} must be a whole number from 0")
        if not math.isfinite(self.reward_offset):
            raise ValueError(f"reward_offset={self.reward_offset} must be a finite number")
        if not 0 < self.reward_scale < math.inf:
            raise ValueError(
                f"reward_scale={self.reward_scale} must be positive; the critic would learn nothing or the opposite"
            )
        if self.device != "auto" and not re.fullmatch(r"cpu|cuda(:\d+)?", self.device):
            raise ValueError(f"device={self.device!r} must be auto, cpu, cuda or cuda:N")
        if not 5 <= self.lease_seconds < math.inf:
            raise ValueError(
                f"lease_seconds={self.lease_seconds} must be at least 5; a hiccup of the network would lose the run"
            )


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How published checkpoints are scored."""

    seeds: tuple[int, ...] = (11, 22, 33, 44, 55, 66, 77, 88, 99, 110)
    """Of the noise-free episodes; the first three are the challenge grader's."""
    every_versions: int = 1
    """Of so many published versions one is scored: more leave the processors to the workers and the learner. With 1 it
    is the newest whenever the last score is known."""
    official: bool = False
    """Integrate as osim-rl does (slower, comparable with the challenge) instead of as the rollouts do."""
    confirm_physics: str = "opensim"
    """A version that beats the best so far is played again on this physics, whose scores alone decide what is best.
    Nothing is played twice where versions are scored on it anyway, unless another integration of it is named below."""
    confirm_integrator: str | None = None
    confirm_accuracy: float | None = None
    """How that physics integrates. None on OpenSim is as tightly as osim-rl does: at the setting for fast rollouts a
    chaotic body's error would decide as well. None on another physics is its default."""
    confirm_episodes: int = 3
    """Of the seeds, from the first, those that confirm. 1,000 steps take OpenSim some 20 seconds."""

    def __post_init__(self) -> None:
        if self.confirm_physics not in PHYSICS:
            raise ValueError(f"confirm_physics={self.confirm_physics!r} is unknown; there are {', '.join(PHYSICS)}")
        self.confirming(EnvironmentConfig())
        if self.every_versions < 1:
            raise ValueError(f"every_versions={self.every_versions} must be at least 1; no version would be scored")
        if self.confirm_episodes < 1:
            raise ValueError(f"confirm_episodes={self.confirm_episodes} must be at least 1; nothing would ever be best")
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ValueError(f"evaluation seeds {list(self.seeds)} must be different ones, at least one")
        if not all(is_whole(seed) and 0 <= seed < 2**32 for seed in self.seeds):
            raise ValueError(f"evaluation seeds {list(self.seeds)} must be whole numbers in 0..{2**32 - 1}")

    def confirming(self, scored: EnvironmentConfig) -> EnvironmentConfig:
        """The environment `scored` on the physics that confirms."""
        integrator, accuracy = self.confirm_integrator, self.confirm_accuracy
        if self.confirm_physics == "opensim":
            integrator = OSIM_RL_INTEGRATOR if integrator is None else integrator
            accuracy = OSIM_RL_ACCURACY if accuracy is None else accuracy
        return scored.on(self.confirm_physics, integrator, accuracy)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything about a run but where its services are."""

    environment: EnvironmentConfig = field(default_factory=EnvironmentConfig)
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    starts: StartsConfig = field(default_factory=StartsConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    algorithm: AlgorithmChoice = field(default_factory=AlgorithmChoice)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        self.limiter()
        if self.environment.imitates and self.environment.motion is None:
            object.__setattr__(self, "environment", replace(self.environment, motion=self._motion()))
        if self.replay.reflected_share and (self.environment.motion or self.environment.clock):
            raise ValueError(
                f"replay.reflected_share={self.replay.reflected_share:g} exchanges left and right, but the phase of a "
                "motion (environment.motion or .clock) has no mirror image; leave one of them out"
            )

        if self.environment.late_targets and any(self.curriculum.late_targets):
            raise ValueError(
                f"environment.late_targets={self.environment.late_targets:g} is of all episodes, "
                f"curriculum.late_targets={list(self.curriculum.late_targets)} of each stage's; leave one of them out"
            )

        if self.exploration.mean_share and self.algorithm.settings.get("mean_updates") is None:
            raise ValueError(
                f"exploration.mean_share={self.exploration.mean_share:g} of the episodes would follow the mean of the "
                "actor, but the run keeps none; set algorithm.settings.mean_updates, e.g. to 20000"
            )

    def _motion(self) -> str:
        """What is imitated where only the starts name a motion."""
        motions = self.starts.motions
        if len(motions) != 1:
            raise ValueError(
                f"environment.imitation={self.environment.imitation:g} and aborts={list(self.environment.aborts)} need "
                f"one motion to imitate, found {list(motions)}: name it with --motion FILE, or environment.motion"
            )
        return motions[0]

    @property
    def bodies(self) -> int:
        """Bodies that one worker process moves: `rollout.bodies` on the native physics, the only one with batches."""
        return self.rollout.bodies if self.environment.physics == "native" else 1

    def limiter(self) -> Limiter:
        """What keeps learner and workers in step. Raises: ValueError when they would wait for each other."""
        return Limiter(
            self.replay.samples_per_timestep,
            self.learner.batch_size,
            explore_timesteps=self.replay.explore_timesteps,
            lead_timesteps=self.replay.lead_timesteps,
        )

    def plain(self) -> dict[str, Any]:
        """As nested dicts and lists, the form stored with the run."""
        return dict(to_plain(self))

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> RunConfig:
        """From the stored form. Raises: ConfigError."""
        return from_plain(cls, plain)


def load_config(
    path: Path | None = None, settings: Sequence[str] = (), base: Mapping[str, Any] | None = None
) -> RunConfig:
    """A TOML file with `name.name=value` settings on top; what neither names is as in `base`, else the default.

    A value is read as JSON, else as a string: `learner.batch_size=128`, `environment.frame_skip=[1,5]`,
    `environment.bins=null`, `environment.task=prosthetics-round1`.

    Raises: ConfigError for a missing or broken file, an unknown setting or a refused value.
    """
    data: Mapping[str, Any] = {} if path is None else _read(path)
    overrides: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting!r} must look like learner.batch_size=128")
        overrides[name.strip()] = _value(text.strip())
    return RunConfig.of(with_settings(_merged(base or {}, data), overrides))


def names_setting(path: Path, setting: str) -> bool:
    """Whether a TOML file has a setting of that name. Raises: ConfigError for a missing or broken file."""
    node: Any = _read(path)
    for name in setting.split("."):
        if not isinstance(node, Mapping) or name not in node:
            return False
        node = node[name]
    return True


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from error


def check_run_name(name: str) -> str:
    """The name itself, if it can be a key in the store and a value in a shell. Raises: ConfigError."""
    if not _RUN_NAME.fullmatch(name):
        raise ConfigError(f"run name {name!r} must be 1 to 64 letters, digits, . _ -, the first a letter or digit")
    return name


def data_dir() -> Path:
    """Where this machine keeps logs and local data: DATA_DIR, relative to the repository; by default `.data`."""
    return Path(__file__).resolve().parent.parent / (os.environ.get("DATA_DIR") or ".data")


def _merged(base: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` over `base`, table by table."""
    merged = dict(base)
    for name, value in data.items():
        under = merged.get(name)
        merged[name] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
