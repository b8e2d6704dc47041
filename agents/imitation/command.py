"""`python -m agents demonstrate` and `clone`: runs of demonstrations, and runs that begin with what they show."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.config import RunConfig, check_run_name, data_dir
from agents.connections import Connections
from agents.stopping import StopFlag
from agents.telemetry import Telemetry
from environment.config import EnvironmentConfig

if TYPE_CHECKING:
    from agents.imitation.inverse import InverseDynamics
    from agents.imitation.regression import Fitted, Point
    from agents.replay.contract import Replay
    from agents.replay.runs import Episode, Run

UPDATES = 3000
EPISODES = 20
_MOST_LEARNED_FROM = 60_000
"""Timesteps of a run that the inverse-dynamics model learns from, the newest: more are no better."""


def demonstrate(options: argparse.Namespace, stop: StopFlag) -> None:
    """Writes demonstrations into a run of their own, for other runs to learn from."""
    from agents.build import open_replay

    check_run_name(options.run)
    with (
        closing(open_replay(Connections.from_environment())) as replay,
        _telemetry(options, "demonstrator") as telemetry,
    ):
        if options.run in replay.runs() and replay.episodes_after(options.run, {}):
            raise ValueError(f"run {options.run!r} holds episodes already; demonstrations need a run of their own")
        written = _of_a_policy if options.policy is not None else _of_motions
        episodes = list(written(options, replay, telemetry, stop))
    steps = sum(episode.length for episode in episodes)
    print(f"run {options.run}: {len(episodes)} demonstrations, {steps:,} timesteps")
    print(f"  learn from them with --set 'replay.partitions={{\"{options.run}\":0.25}}'")


def clone(options: argparse.Namespace, stop: StopFlag) -> None:
    """Publishes a run's first version: an actor that does what is demonstrated."""
    from agents.build import open_replay, open_store
    from agents.imitation import cloning
    from agents.imitation.regression import FitConfig

    check_run_name(options.run)
    connections = Connections.from_environment()
    with (
        closing(open_replay(connections)) as replay,
        closing(open_store(connections)) as store,
        _telemetry(options, "cloner") as telemetry,
    ):
        run = replay.run(options.run)
        version, fitted = cloning.clone(
            run,
            RunConfig.of(run.config),
            replay.run(options.demonstrations),
            replay,
            store,
            FitConfig(updates=options.updates, seed=options.seed),
            telemetry.process,
            partial(_tell, telemetry, "clone"),
            stop,
        )
    print(f"run {options.run}: version {version.number} does what run {options.demonstrations} shows")
    print(f"  {fitted.text()}")


def add_imitation(commands: Any) -> None:
    """Adds the sub-commands to the sub-parsers of `python -m agents`."""
    added = _added(commands, demonstrate)
    what = added.add_mutually_exclusive_group(required=True)
    what.add_argument("--policy", metavar="FILE", help="episodes that a policy's file plays, without noise")
    what.add_argument("--motion", nargs="+", metavar="FILE", help="states of motion files, with inferred actions")
    added.add_argument(
        "--from",
        dest="learn_from",
        metavar="STORED",
        help="run with the settings to show a motion in, and whose timesteps tell which actions lead where; needed for "
        "files without activations (default: from the activations, as prosthetics-round2)",
    )
    added.add_argument("--episodes", type=int, metavar="N", help=f"of the policy (default: {EPISODES})")
    added.set_defaults(wrong=_misplaced)
    cloning = _added(commands, clone)
    cloning.add_argument("--demonstrations", required=True, metavar="STORED", help="run whose actions are cloned")


def _added(commands: Any, function: Callable[[argparse.Namespace, StopFlag], None]) -> argparse.ArgumentParser:
    name = function.__name__
    added: argparse.ArgumentParser = commands.add_parser(
        name, help=(function.__doc__ or "").rstrip("."), description=function.__doc__
    )
    added.set_defaults(command=function, name=name)
    added.add_argument("--run", required=True, metavar="NAME", help="the run's name")
    added.add_argument("--updates", type=int, default=UPDATES, metavar="N", help="of the fit (default: %(default)s)")
    added.add_argument("--seed", type=int, default=0, metavar="S", help="of what is random (default: %(default)s)")
    added.add_argument("--process", metavar="NAME", help="name of this process in logs and events")
    added.add_argument("--traceback", action="store_true", help="show the whole traceback of an error")
    return added


def _misplaced(options: argparse.Namespace) -> str | None:
    if options.motion is None and options.learn_from is not None:
        return "--from is of a motion's actions; a policy has its own"
    if options.motion is not None and options.episodes is not None:
        return "--episodes is of a policy; a motion is shown once for every row that it can decide at"
    return None


def _of_a_policy(
    options: argparse.Namespace, replay: Replay, telemetry: Telemetry, stop: StopFlag
) -> Iterator[Episode]:
    from agents.build import build_environment, create_run
    from agents.imitation.demonstrations import show_policy
    from agents.official.rules import AS_OSIM_RL, check_fits, environment_of, on_native
    from agents.official.sources import named

    source = named(options.policy)
    contract = source.policy.contract
    config = RunConfig(environment=on_native(environment_of(contract, contract.task), AS_OSIM_RL))
    run = create_run(options.run, config, replay)
    episodes = EPISODES if options.episodes is None else options.episodes
    with (
        closing(build_environment(config.environment, run)) as environment,
        _writing(replay, run, telemetry, policy=source.name, provenance=dict(source.provenance)) as writer,
    ):
        check_fits(contract, environment)
        yield from show_policy(source.policy, environment, writer, episodes, options.seed, stop)


def _of_motions(options: argparse.Namespace, replay: Replay, telemetry: Telemetry, stop: StopFlag) -> Iterator[Episode]:
    from agents.build import create_run
    from agents.imitation.demonstrations import LEARNED, SOLVED, show_motion, solved, tells_muscles
    from agents.memory import layout_of
    from environment.imitation.build import reward_of
    from environment.motions.read import read_motion
    from environment.osim_file import read_model
    from environment.physics.models import model_path
    from environment.tasks import task

    stored = None if options.learn_from is None else replay.run(options.learn_from)
    environment = EnvironmentConfig() if stored is None else RunConfig.of(stored.config).environment.scored()
    environment = replace(environment, motion=None)
    file = model_path(task(environment.task).model)
    motions = [read_motion(Path(path), file) for path in options.motion]
    muscles = all(tells_muscles(motion) for motion in motions)
    if stored is None and not muscles:
        raise ValueError(
            f"{' '.join(options.motion)} tells no activations, so nothing says which excitations led along it; name a "
            "run whose timesteps do, with --from"
        )
    held = environment.frame_skip if isinstance(environment.frame_skip, int) else environment.frame_skip[1]
    facts: dict[str, Any] = {"motions": [motion.name for motion in motions], "actions": SOLVED}
    inverse = None
    if stored is not None:
        inverse, fitted = _inverse(options, replay, stored, held, telemetry, stop, muscles=muscles)
        facts |= {"actions": LEARNED, "learned_from": stored.name, **_facts(fitted)}
    run = create_run(options.run, RunConfig(environment=environment), replay)
    layout = layout_of(run)
    between, reward = inverse or solved(read_model(file), layout, held), reward_of(environment, layout)
    with _writing(replay, run, telemetry, **facts) as writer:
        for motion in motions:
            yield from show_motion(motion, layout, reward, between, held, writer, facts["actions"])


def _inverse(
    options: argparse.Namespace,
    replay: Replay,
    stored: Run,
    held: int,
    telemetry: Telemetry,
    stop: StopFlag,
    *,
    muscles: bool,
) -> tuple[InverseDynamics, Fitted]:
    from agents.imitation.inverse import InverseDynamics, led
    from agents.imitation.regression import FitConfig
    from agents.memory import layout_of

    inverse, fitted = InverseDynamics.learn(
        layout_of(stored),
        led(replay.timesteps_of(_newest(replay, stored.name)), held),
        muscles=muscles,
        config=FitConfig(updates=options.updates, seed=options.seed),
        tell=partial(_tell, telemetry, "inverse"),
        stop=stop,
    )
    print(f"actions between states, learned from run {stored.name}{'' if muscles else ', without muscles'}:")
    print(f"  {fitted.text()}", flush=True)
    return inverse, fitted


def _newest(replay: Replay, run: str) -> list[Episode]:
    from agents.replay.backlog import is_experience

    chosen: list[Episode] = []
    steps = 0
    for episode in sorted(replay.episodes_after(run, {}), key=lambda one: one.finished, reverse=True):
        if is_experience(episode) and episode.length and steps < _MOST_LEARNED_FROM:
            chosen.append(episode)
            steps += episode.length
    if not chosen:
        raise ValueError(f"run {run!r} holds no timestep to learn from; let it explore first")
    return chosen


@contextmanager
def _writing(replay: Replay, run: Run, telemetry: Telemetry, **facts: Any) -> Iterator[Any]:
    writer = replay.writer(run.name, telemetry.process)
    try:
        writer.note("demonstrated", **facts)
        yield writer
    finally:
        writer.close(60.0)


@contextmanager
def _telemetry(options: argparse.Namespace, kind: str) -> Iterator[Telemetry]:
    telemetry = Telemetry(data_dir() / "runs" / options.run, options.process or f"{kind}.{socket.gethostname()}")
    well = False
    try:
        yield telemetry
        well = True
    finally:
        telemetry.close(well=well)


def _tell(telemetry: Telemetry, name: str, point: Point) -> None:
    telemetry.status(updates=point.update, loss=point.fitted, held_out=point.held_out)
    telemetry.scalars({f"{name}/loss": point.fitted, f"{name}/held_out": point.held_out}, point.update)


def _facts(fitted: Fitted) -> dict[str, float]:
    return {"error": fitted.error, "error_of_the_mean": fitted.error_of_the_mean}
