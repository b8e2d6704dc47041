"""Real learner processes on real servers: killed, resumed and compared to the bit; suspended, replaced and fenced."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from pymongo import MongoClient

from agents.actor import EpisodePlan, play
from agents.build import contract_of
from agents.checkpoints.contract import Blob, CheckpointStoreUnavailable, Version
from agents.checkpoints.s3 import S3Checkpoints
from agents.config import RunConfig
from agents.exploration.contract import Acts
from agents.policy import RandomPolicy
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Run
from infra.services.s3 import S3Server
from tests.runs import RUN, fake_environment, open_run

pytestmark = [pytest.mark.mongo, pytest.mark.s3]

ROOT = Path(__file__).resolve().parents[2]
STEPS = 60
"""Of every recorded episode: the body never falls."""
AT_FIRST = 5
"""Episodes that are there before the first update. They allow half of the updates."""
EPISODES = 10
UPDATES = 1_000
BATCH = 32


def recorded_config(sampling: str) -> RunConfig:
    """The limiter lets every episode pay for so many updates that ten of them allow `UPDATES`, to the update.

    So the learner itself makes the stream a recorded one: an episode enters when it stands still at a known count.
    """
    steps = EPISODES * STEPS
    return RunConfig.of(
        {
            "environment": {"task": "prosthetics-round1", "max_steps": STEPS, "frame_skip": 1},
            "replay": {
                "explore_timesteps": AT_FIRST * STEPS,
                # Fewer than are recorded: the oldest episodes leave, and the ring goes round.
                "capacity_timesteps": 400,
                "samples_per_timestep": (UPDATES * BATCH + 0.5) / steps,
                "n_step": 3,
                "sampling": {"name": sampling},
            },
            "algorithm": {"name": "td3", "settings": {"hidden": [24, 16]}},
            # Versions come by the clock, at whatever update the learner is then: that may not matter.
            "learner": {"batch_size": BATCH, "publish_seconds": 0.3, "seed": 3, "lease_seconds": 5.0, "device": "cpu"},
        }
    )


class Upright:
    """Random actions that carry the fake body's weight."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def reset(self, policy: Acts) -> None:
        """Nothing to forget."""

    def __call__(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        action = self._generator.uniform(-1.0, 1.0, 4).astype(np.float32)
        action[0] = abs(action[0])
        return action

    def describe(self) -> dict[str, Any]:
        return {"kind": "upright"}


@dataclass
class Place:
    """A database and a bucket with one run, and its learner processes."""

    config: RunConfig
    run: Run
    replay: MongoReplay
    store: S3Checkpoints
    variables: dict[str, str]
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def record(self, number: int) -> None:
        """Writes episode `number`; of the same number it is the same anywhere, its id included."""
        environment = fake_environment(self.config.environment)
        policy = RandomPolicy(contract_of(self.run, self.config), np.random.default_rng(0))
        writer = self.replay.writer(RUN, f"w{number}")
        plan = EpisodePlan(number, Upright(number), "explore")
        episode = play(environment, policy, writer, plan, environment.physics.name, lambda: False)
        assert episode.length == STEPS
        writer.close(60.0)

    def learner(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A new process: `python -m agents learn`, or what `arguments` say."""
        command = [sys.executable, *(arguments or ("-m", "agents", "learn", "--run", RUN))]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.variables, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """With SIGKILL. Its lease is ended by hand, so that nobody waits until it runs out."""
        process.kill()
        process.wait()
        holder = self.replay.lease_holder(RUN)
        assert holder is not None
        self.replay.release_lease(RUN, holder)

    def newest(self) -> Version | None:
        """None also when it can not be told now: the local server refuses to read what is just being replaced."""
        try:
            return self.store.latest(RUN)
        except CheckpointStoreUnavailable:
            return None

    def newest_updates(self) -> int:
        version = self.newest()
        return 0 if version is None else int(version.metadata["updates"])

    def wait_until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        given_up_s = time.monotonic() + 200.0
        while not condition():
            assert process.poll() is None, self.log.read_text()
            assert time.monotonic() < given_up_s, self.log.read_text()
            time.sleep(0.05)

    @property
    def log(self) -> Path:
        return self.folder / "learner.log"

    def has_used_up(self, updates: int) -> bool:
        return self.newest_updates() == updates

    def play_stream(self, process: subprocess.Popen[bytes], first: int, stop_at: int = UPDATES) -> None:
        """Lets an episode enter whenever the learner has used up those before, until `stop_at` updates."""
        for number in range(first, EPISODES + 1):
            allowed = number * UPDATES // EPISODES
            self.wait_until(partial(self.has_used_up, allowed), process)
            if allowed >= stop_at:
                return
            self.record(number)


@pytest.fixture
def make_place(mongodb_uri: str, s3_environment: S3Server, tmp_path: Path) -> Iterator[Callable[[RunConfig], Place]]:
    with ExitStack() as opened:
        places: list[Place] = []

        def make(config: RunConfig) -> Place:
            name = f"test-{uuid.uuid4().hex}"
            folder = tmp_path / name
            folder.mkdir()
            replay = opened.enter_context(closing(MongoReplay(mongodb_uri, name)))
            store = opened.enter_context(closing(S3Checkpoints(name)))
            store.ensure_bucket()
            variables = os.environ | {
                "MONGODB_URI": mongodb_uri,
                "MONGODB_DATABASE": name,
                "S3_BUCKET": name,
                "DATA_DIR": str(folder / "data"),
            }
            places.append(Place(config, open_run(replay, config), replay, store, variables, folder))
            return places[-1]

        yield make
        for place in places:
            for process in place.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            with MongoClient[dict[str, Any]](mongodb_uri) as client:
                client.drop_database(place.variables["MONGODB_DATABASE"])
            shutil.rmtree(s3_environment.folder / place.variables["S3_BUCKET"], ignore_errors=True)


def end(place: Place, process: subprocess.Popen[bytes]) -> Blob:
    """Stops the learner in order; what it held then."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, place.log.read_text()
    version, blob = place.store.load(RUN, "learner")
    assert version.metadata["updates"] == UPDATES
    return blob


@pytest.mark.parametrize("sampling", [pytest.param("uniform", marks=pytest.mark.slow), "prioritised"])
def test_a_killed_and_resumed_learner_ends_with_the_bits_of_one_that_never_stopped(
    make_place: Callable[[RunConfig], Place], sampling: str
) -> None:
    config = recorded_config(sampling)
    straight, killed = make_place(config), make_place(config)
    for place in (straight, killed):
        for number in range(AT_FIRST):
            place.record(number)

    process = straight.learner()
    straight.play_stream(process, AT_FIRST)
    expected = end(straight, process)

    process = killed.learner()
    killed.play_stream(process, AT_FIRST, stop_at=UPDATES // 2)
    assert killed.newest_updates() == UPDATES // 2
    killed.kill(process)
    process = killed.learner()
    killed.play_stream(process, AT_FIRST)
    found = end(killed, process)

    (resumed,) = killed.replay.events(RUN, "resumed")
    assert resumed["details"]["updates"] == UPDATES // 2
    assert straight.replay.events(RUN, "resumed") == []
    assert set(found.tensors) == set(expected.tensors)
    for name, array in expected.tensors.items():
        assert (array.dtype, array.shape) == (found.tensors[name].dtype, found.tensors[name].shape), name
        assert array.tobytes() == found.tensors[name].tobytes(), f"{name} differs"
    assert found.metadata == expected.metadata
    kinds = ("network", "target", "adam", "generator", "normaliser/", "mirror/episodes", "mirror/watermark")
    assert all(any(kind in name for name in expected.tensors) for kind in kinds)
    assert ("mirror/sampler/priorities" in expected.tensors) == (sampling == "prioritised")
    assert int(expected.tensors["mirror/first_point"][0]) > 0, "the oldest had left"


def is_suspended(process: subprocess.Popen[bytes]) -> bool:
    return bool(psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)


@pytest.mark.parametrize("write", ["latest.json", pytest.param("manifest.json", marks=pytest.mark.slow)])
def test_a_learner_that_was_suspended_in_a_publication_and_replaced_changes_nothing_when_it_wakes(
    make_place: Callable[[RunConfig], Place], write: str
) -> None:
    place = make_place(recorded_config("uniform"))
    for number in range(AT_FIRST):
        place.record(number)
    # A pointer is also written when the term begins.
    suspended = place.learner("-m", "tests.learner_process", "3" if write == "latest.json" else "2", write, RUN)
    place.wait_until(lambda: is_suspended(suspended), suspended)
    before = place.store.latest(RUN)
    first = place.replay.lease_holder(RUN)
    assert before is not None

    heir = place.learner()
    place.wait_until(lambda: place.newest_updates() == UPDATES // 2 and _by(place) != first, heir)
    newest = place.store.latest(RUN)
    assert newest is not None
    assert place.replay.lease_holder(RUN) == newest.metadata["learner"]

    suspended.send_signal(signal.SIGCONT)
    assert suspended.wait(60) == 1
    assert place.store.latest(RUN) == newest == _seen_anew(place)
    told = place.log.read_text()
    reasons = (f"taken over by {newest.metadata['learner']}", "cut off and replaced, and stops", "was opened meanwhile")
    assert any(reason in told for reason in reasons), told

    place.record(AT_FIRST)
    place.wait_until(lambda: place.newest_updates() == UPDATES // 2 + UPDATES // EPISODES, heir)
    after = _seen_anew(place)
    assert after is not None
    assert after.metadata["learner"] == newest.metadata["learner"]
    assert after.number > newest.number > before.number
    _, blob = place.store.load(RUN, "learner", newest.number)
    assert blob.metadata["algorithm"]["updates"] == UPDATES // 2


def _by(place: Place) -> str | None:
    version = place.newest()
    return None if version is None else str(version.metadata["learner"])


def _seen_anew(place: Place) -> Version | None:
    """By somebody who looks for the first time."""
    with closing(S3Checkpoints(place.variables["S3_BUCKET"])) as store:
        return store.latest(RUN)
