"""`python -m agents watch`: which episode is shown, and what the command leaves behind."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from agents.__main__ import main
from agents.actor import EpisodePlan, play
from agents.build import contract_of, create_run
from agents.config import RunConfig
from agents.exploration.uniform import UniformActions
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.official.sources import Source
from agents.policy import Policy, PolicyMismatch, RandomPolicy
from agents.policy_file import policy_bytes
from agents.replay.contract import Replay
from agents.replay.memory import MemoryReplay
from agents.replay.mongo import MongoReplay
from agents.replay.runs import Episode, Run
from agents.watch.episodes import played, played_at_random, stored
from environment.prosthetics import ProstheticsEnv
from environment.rendering.video import frame_steps

RUN = "walk"
Watch = Callable[..., tuple[int, str, str]]


@pytest.fixture
def watch(capsys: pytest.CaptureFixture[str]) -> Iterator[Watch]:
    """Status, stdout and stderr of the command, in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["watch", *arguments])
        told = capsys.readouterr()
        return status, told.out, told.err

    yield command
    for number, handler in handlers.items():
        signal.signal(number, handler)


def run_in(replay: Replay, **environment: int) -> Run:
    return create_run(RUN, RunConfig.of({"environment": environment}), replay)


def fall_into(replay: Replay, run: Run, seed: int = 4) -> Episode:
    """A real episode of random actions, stored."""
    config = RunConfig.of(run.config)
    with closing(ProstheticsEnv(config.environment)) as environment:
        generator = np.random.default_rng(seed)
        policy = RandomPolicy(contract_of(run, config), generator)
        plan = EpisodePlan(seed, UniformActions(generator), "explore")
        return play(environment, policy, replay.writer(RUN, "w"), plan, environment.physics.name, lambda: False)


def small(run: Run) -> Policy:
    """An untrained policy that may act in the run."""
    contract = contract_of(run, RunConfig.of(run.config))
    actor = Actor(contract.observation_size, contract.action_size, (16,), generator=torch.Generator().manual_seed(1))
    size = contract.observation_size
    return Policy(actor, Normaliser(np.zeros(size, np.float32), np.ones(size, np.float32), 10.0), contract, version=7)


def test_a_stored_episode_is_shown_as_it_was() -> None:
    replay = MemoryReplay()
    run = run_in(replay)
    episode = fall_into(replay, run)
    motion = stored(replay, episode.id)
    kept = replay.timesteps(episode)
    np.testing.assert_array_equal(motion.states, kept.state)
    np.testing.assert_array_equal(motion.reward, kept.reward)
    assert motion.layout.names == tuple(run.state_names)
    assert (motion.model, motion.ended) == ("3D_pros", "fall")
    assert motion.title == f"run walk, episode {episode.id}: random actions, explore, seed 4"
    assert set(motion.terms) == {"alive", "velocity_forward", "velocity_lateral", "effort"}
    np.testing.assert_allclose(np.sum(list(motion.terms.values()), axis=0), kept.reward, atol=1e-5)


def test_an_episode_of_another_model_file_is_refused() -> None:
    from dataclasses import replace

    replay = MemoryReplay()
    run = run_in(replay)
    episode = fall_into(replay, run)
    other = MemoryReplay()
    other.open_run(replace(run, model_sha256="f" * 64))
    again = fall_into(other, run)
    assert again.id == episode.id
    with pytest.raises(ValueError, match="of a model file with the sum ffff"):
        stored(other, again.id)


def test_a_policy_plays_its_task_and_the_same_seed_plays_the_same() -> None:
    policy = small(run_in(MemoryReplay()))
    one, same = (played(Source("mine", policy), 3, lambda: False) for _ in range(2))
    np.testing.assert_array_equal(one.states, same.states)
    assert one.title == "mine, seed 3"
    assert one.ended == "fall"
    assert not np.array_equal(one.states, played_at_random(3, lambda: False).states[: len(one.states)])


def test_a_policy_of_another_body_is_refused() -> None:
    from dataclasses import replace

    policy = small(run_in(MemoryReplay()))
    policy.contract = replace(policy.contract, layout_sha256="0")
    with pytest.raises(PolicyMismatch, match="layout_sha256"):
        played(Source("other", policy), 3, lambda: False)


def test_a_policys_file_becomes_a_video(watch: Watch, tmp_path: Path) -> None:
    file, video = tmp_path / "p.safetensors", tmp_path / "p.mp4"
    file.write_bytes(policy_bytes(small(run_in(MemoryReplay())), {}))
    status, out, _ = watch("--policy", str(file), "--seed", "3", "--video", str(video))
    assert status == 0
    with av.open(str(video)) as opened:
        frames = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    assert {frame.shape for frame in frames} == {(720, 1280, 3)}
    steps = played(Source("", small(run_in(MemoryReplay()))), 3, lambda: False).steps
    assert len(frames) == len(frame_steps(steps))
    assert f"{len(frames)} frames in" in out
    assert out.startswith(file.name)
    assert f"seed 3: {steps / 100:.2f} s, return " in out
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 1


@pytest.mark.mongo
def test_a_stored_episode_is_watched_by_its_id(
    watch: Watch, mongodb_uri: str, database_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", database_name)
    monkeypatch.setenv("S3_BUCKET", "not-needed-here")
    with closing(MongoReplay(mongodb_uri, database_name)) as replay:
        episode = fall_into(replay, run_in(replay, max_steps=20))
    status, out, _ = watch("--episode", str(episode.id), "--video", str(tmp_path / "e.mp4"))
    assert status == 0
    assert f"episode {episode.id}: random actions" in out
    assert (tmp_path / "e.mp4").stat().st_size > 10_000
    status, _, err = watch("--episode", str(episode.id + 1), "--video", str(tmp_path / "f.mp4"))
    assert status == 1
    assert f"watch: no episode {episode.id + 1} is stored" in err


def test_an_empty_box_is_told(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.official.sources.in_the_box.__defaults__", (tmp_path / "box" / "walk.safetensors",))
    status, out, err = watch("--video", str(tmp_path / "a.mp4"))
    assert (status, out) == (1, "")
    assert err.startswith("watch: there is no policy in the box yet (agents/box/walk.safetensors is missing)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--version", "3"), "--version is one of a run"),
        (("--episode", "7", "--seed", "1"), "has its seed already"),
        (("--seed", "-1"), "--seed -1 is outside 0.."),
        (("--port", "70000", "--serve"), "--port 70000 is outside"),
        (("--policy", "random", "--video", "walk.avi"), "must end in .mp4"),
        (("--policy", "random", "--video", "/no/where/walk.mp4"), "no folder /no/where to write walk.mp4 in"),
        (("--policy", "nothing.safetensors"), "there is no policy file nothing.safetensors"),
        (("--run", "x"), "MONGODB_URI is not set"),
    ],
)
def test_what_can_not_be_watched_is_said_before_anything_moves(
    arguments: tuple[str, ...], words: str, watch: Watch
) -> None:
    status, out, err = watch(*arguments)
    assert (status, out) == (1, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_two_things_are_not_watched_at_once(watch: Watch) -> None:
    with pytest.raises(SystemExit):
        watch("--run", "x", "--episode", "3")
