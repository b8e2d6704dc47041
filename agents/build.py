"""The only wiring: configuration and connections -> objects. Everything else knows contracts."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import agents
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig, check_run_name
from agents.connections import Connections
from agents.ddpg import build_algorithm, build_config
from agents.device_learner import DeviceLearner
from agents.learner import Learner
from agents.memory import build_memory, check_same_body, layout_of
from agents.policy import PolicyContract
from agents.replay.contract import Replay
from agents.replay.mirror import Mirror
from agents.replay.mongo import MongoReplay
from agents.replay.reflected import Reflected
from agents.replay.runs import Run
from agents.resimulation import Resimulator
from agents.starts import motions_of
from environment.config import EnvironmentConfig
from environment.imitation.build import clock_of, fixed_clock_of, reward_of
from environment.observations import observation
from environment.physics.build import build_physics
from environment.prosthetics import ProstheticsEnv
from environment.rewards import Reward
from environment.state import StateLayout
from environment.vector import ONLY_WHEN_ASKED, ProstheticsVectorEnv

log = logging.getLogger(__name__)


def open_replay(connections: Connections, *, patience_s: float | None = None) -> MongoReplay:
    """The durable log. `patience_s`: how long a call waits for a server that went away; None waits for ever.

    Raises: ReplayUnavailable.
    """
    return MongoReplay(connections.mongodb_uri, connections.mongodb_database, patience_s=patience_s)


def open_store(connections: Connections) -> S3Checkpoints:
    """The checkpoint store, its bucket made if it is missing. Raises: CheckpointStoreUnavailable."""
    store = S3Checkpoints(connections.s3_bucket, connections.s3_endpoint)
    store.ensure_bucket()
    return store


def describe_run(name: str, config: RunConfig, environment: ProstheticsEnv) -> Run:
    """What the log keeps of a run."""
    layout = environment.layout
    return Run(
        name=check_run_name(name),
        config=config.plain(),
        task=config.environment.task,
        physics=environment.physics.name,
        model_sha256=environment.physics.model_sha256,
        state_names=layout.names,
        state_units=layout.units,
        action_names=environment.physics.muscles,
        observation=environment.observe.name,
        reward=environment.reward.name,
        code_version=code_version(),
        layout_sha256=layout.sha256,
    )


def create_run(name: str, config: RunConfig, replay: Replay) -> Run:
    """Opens the run of that name, or makes it. A stored run keeps its own configuration.

    Raises: ValueError when the stored run does not fit `config`, one that it is to learn from has another body, or a
        motion file is none of its body; KeyError when there is no such run.
    """
    environment = ProstheticsEnv(config.environment)
    try:
        run = describe_run(name, config, environment)
    finally:
        environment.close()
    motions_of(config)
    for other in config.replay.partitions:
        check_same_body(run, replay.run(other))
    return replay.open_run(run)


def contract_of(run: Run, config: RunConfig) -> PolicyContract:
    """What a policy of this run sees and moves."""
    clock = fixed_clock_of(config.environment)
    observe = observation(config.environment.observation, layout_of(run), phase=clock is not None)
    return PolicyContract(
        layout_sha256=run.layout_sha256,
        observation=observe.name,
        observation_size=len(observe.names),
        action_size=len(run.action_names),
        frame_skip=config.environment.frame_skip,
        bins=config.environment.bins,
        action_names=tuple(run.action_names),
        task=run.task,
        clock=clock,
    )


def build_environment(config: EnvironmentConfig, run: Run) -> ProstheticsEnv:
    """An environment of the run.

    Raises: ValueError when this machine's simulator describes its states otherwise than the run's.
    """
    environment = ProstheticsEnv(config)
    _check_layout(environment.layout, run)
    _check_motion(config, environment.reward, run)
    return environment


def build_environments(config: EnvironmentConfig, run: Run, bodies: int) -> ProstheticsVectorEnv:
    """As many as one on the native engine, reset only where they are asked to. Raises: ValueError as above."""
    environments = ProstheticsVectorEnv(config, bodies, autoreset_mode=ONLY_WHEN_ASKED)
    _check_layout(environments.layout, run)
    _check_motion(config, environments.reward, run)
    return environments


def _check_layout(layout: StateLayout, run: Run) -> None:
    if layout.sha256 != run.layout_sha256:
        raise ValueError(
            f"run {run.name!r} stores states of another layout than this machine's simulator gives; "
            "is another version of OpenSim or osim-rl installed here?"
        )


def _check_motion(config: EnvironmentConfig, reward: Reward, run: Run) -> None:
    if config.imitation and reward.name != run.reward:
        raise ValueError(
            f"run {run.name!r} learns for {run.reward}, here that is {reward.name}; has {config.motion} been changed "
            "since the run was made, or is it another file on this machine?"
        )


def evaluation_environment(config: RunConfig, run: Run) -> ProstheticsEnv:
    """The run's task by its own reward, without early aborts; integrated as osim-rl does it if so configured."""
    return build_environment(scored_environment(config), run)


def confirming_environment(config: RunConfig, run: Run) -> ProstheticsEnv | None:
    """The same on the physics that decides what is best; None where `evaluation_environment` is on it already, and the
    configuration names no other integration of it.
    """
    scored, evaluation = scored_environment(config), config.evaluation
    otherwise = evaluation.confirm_integrator is not None or evaluation.confirm_accuracy is not None
    if scored.physics == evaluation.confirm_physics and (evaluation.official or not otherwise):
        return None
    return build_environment(evaluation.confirming(scored), run)


def scored_environment(config: RunConfig) -> EnvironmentConfig:
    """Where versions are scored: all episodes integrated alike, whatever is drawn for the rollouts."""
    return config.environment.official() if config.evaluation.official else config.environment.scored()


def build_resimulator(config: RunConfig, run: Run, **physics: Any) -> Resimulator:
    """Plays the run's stored episodes on another physics, by the rewards that they were stored with.

    Args:
        physics: Those of `EnvironmentConfig` that name it: physics, integrator, accuracy, stale_controls. Without any
            it is the run's own, each episode with what was drawn for it.

    Raises: ValueError when that physics does not fit what the run stores.
    """
    layout, environment = layout_of(run), config.environment
    reward = reward_of(environment, layout)
    scored = reward_of(environment.scored(), layout)
    simulated = dataclasses.replace(environment.undrawn(), **physics) if physics else environment
    body = build_physics(simulated)
    return Resimulator(run, reward, body, scored, clock=clock_of(environment), as_drawn=simulated.draws)


def build_learner(config: RunConfig, run: Run, others: Sequence[Run] = ()) -> Learner:
    """A fresh learner of the run, on the device that the configuration names.

    Args:
        others: The runs that `replay.partitions` names.
    """
    torch.set_num_threads(config.learner.threads)
    contract = contract_of(run, config)
    choice = config.algorithm
    algorithm = build_algorithm(
        choice.name,
        contract.observation_size,
        contract.action_size,
        settings=build_config(choice.name, {**choice.settings, "bins": config.environment.bins}),
        device=device(config.learner.device),
        seed=config.learner.seed,
    )
    memory = build_memory(config, run, others)
    plain, exchange = (memory.memory, memory.exchange) if isinstance(memory, Reflected) else (memory, None)
    if algorithm.device.type != "cuda":
        log.info("the learner runs on the CPU: its updates are neither captured nor compiled")
    elif config.learner.on_device and isinstance(plain, Mirror):
        return DeviceLearner(config, algorithm, plain, contract, compiled=config.learner.compiled, exchange=exchange)
    else:
        reason = "several runs or hindsight are sampled" if config.learner.on_device else "learner.on_device is false"
        log.warning("the networks are on the GPU, the memory is on the host: %s", reason)
    return Learner(config, algorithm, memory, contract)


def device(wanted: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises: ValueError when a GPU is asked for and there is none."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("learner.device asks for a GPU, but torch sees none here; use auto or cpu")
    return torch.device(wanted)


def code_version() -> str:
    """The package's version, with the commit where this is a git checkout."""
    root = Path(__file__).resolve().parent.parent
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return agents.__version__
    return f"{agents.__version__}+{found.stdout.strip()}"
