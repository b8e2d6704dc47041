"""The learner's mirror: every transition it draws can be found again in the episodes that were written."""

from __future__ import annotations

import dataclasses
import threading
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.experience import Batch
from agents.replay.columns import EpisodeTimesteps
from agents.replay.derivation import Derivation
from agents.replay.memory import MemoryReplay
from agents.replay.mirror import Mirror
from agents.replay.nstep import transitions
from agents.replay.ring import Ring, bytes_needed
from agents.replay.runs import Episode, EpisodeStart
from agents.replay.sampling import build_sampler
from tests.contracts.replay_samples import ACTION_SIZE, STATE_SIZE, sample_episode, sample_run, write_episode

GAMMA = 0.9
Float32 = NDArray[np.float32]
Drawn = dict[bytes, tuple[Any, Any, np.float32, np.float32]]
"""Bytes of an observation -> action, next observation, reward, discount."""


def whole_window(window: Float32, target_age_s: Float32) -> Float32:
    """An observation that hides nothing: the states of the window, then the target's age."""
    return np.concatenate([window.reshape(len(window), -1), target_age_s[:, None]], axis=1)


def row_age(states: Float32, first: NDArray[np.int64]) -> Float32:
    rows = np.arange(len(states))
    return ((rows - first[np.searchsorted(first, rows, side="right") - 1]) / 100).astype(np.float32)


def make_mirror(
    capacity: int = 100,
    *,
    sampling: str = "uniform",
    settings: dict[str, Any] | None = None,
    floats: str = "float32",
    state_size: int = STATE_SIZE,
    history: int = 2,
    n_step: int = 3,
    gamma: float = GAMMA,
) -> Mirror:
    derive = Derivation(
        state_size=state_size,
        action_size=ACTION_SIZE,
        observe=whole_window,
        observation_size=state_size * (history + 1) + 1,
        history=history,
        target_age=row_age,
        training_reward=lambda steps: steps.reward,
        gamma=gamma,
        n_step=n_step,
    )
    ring = Ring(capacity, derive.observation_size, ACTION_SIZE, floats)
    return Mirror(ring, derive, build_sampler(sampling, settings or {}, ring))


@pytest.fixture
def replay() -> MemoryReplay:
    store = MemoryReplay()
    store.open_run(sample_run())
    return store


def _expected(data: EpisodeTimesteps, *, history: int, n: int) -> Drawn:
    """What each decision of an episode must look like when drawn, by its observation's bytes."""
    found = transitions(data.reward, data.decision, np.zeros(1, np.int64), data.terminated[-1:], gamma=GAMMA, n=n)

    def observation(row: int) -> Float32:
        window = [data.state[max(0, row - back)] for back in range(history, -1, -1)]
        return np.append(np.concatenate(window), row / 100).astype(np.float32)

    rows = zip(found.start.tolist(), found.stop.tolist(), found.reward, found.discount, strict=True)
    return {
        observation(start).tobytes(): (
            2 * data.excitation[start + 1] - 1,
            observation(stop),
            np.float32(reward),
            np.float32(discount),
        )
        for start, stop, reward, discount in rows
    }


def _assert_found(batch: Batch, expected: Drawn) -> set[bytes]:
    for row in range(len(batch.reward)):
        action, following, reward, discount = expected[batch.observation[row].tobytes()]
        np.testing.assert_array_equal(batch.action[row], action)
        np.testing.assert_array_equal(batch.next_observation[row], following)
        assert (batch.reward[row], batch.discount[row]) == (reward, discount)
    return {observation.tobytes() for observation in batch.observation}


@pytest.mark.parametrize("frame_skip", [1, 4])
@pytest.mark.parametrize(("history", "n"), [(0, 1), (3, 5)])
def test_every_draw_is_a_decision_as_it_happened_however_often_the_ring_wrapped(
    replay: MemoryReplay, history: int, n: int, frame_skip: int
) -> None:
    rng = np.random.default_rng(0)
    mirror = make_mirror(60, history=history, n_step=n)
    writer = replay.writer("run", "w")
    everything: dict[int, Drawn] = {}
    for seed in range(40):
        steps = sample_episode(seed, int(rng.integers(1, 25)), fall=bool(rng.integers(2)), frame_skip=frame_skip)
        episode = write_episode(writer, steps)
        everything[episode.id] = _expected(replay.timesteps(episode), history=history, n=n)
        assert mirror.follow(replay, "run") == episode.length
        held = [everything[id] for id in mirror.episodes]
        expected = {key: value for episode_rows in held for key, value in episode_rows.items()}
        assert mirror.transitions == len(expected)
        drawn = _assert_found(mirror.sample(20 * len(expected), rng), expected)
        assert drawn == set(expected), "each decision held can be drawn"


def test_the_oldest_episodes_leave_first_and_whole(replay: MemoryReplay) -> None:
    mirror = make_mirror(50)
    writer = replay.writer("run", "w")
    lengths = [9, 19, 4, 12, 30, 7, 9, 9, 40, 3]
    ids = [write_episode(writer, sample_episode(seed, length)).id for seed, length in enumerate(lengths)]
    for count, episode in enumerate(replay.episodes_after("run", {}), start=1):
        mirror.append([episode], replay.read([episode]))
        held = list(mirror.episodes)
        assert held == ids[count - len(held) : count]
        rows = sum(length + 1 for length in lengths[count - len(held) : count])
        assert mirror.timesteps == rows <= mirror.capacity
        assert mirror.transitions == rows - len(held)


def test_draws_are_uniform_over_decisions_not_over_episodes(replay: MemoryReplay) -> None:
    writer = replay.writer("run", "w")
    write_episode(writer, sample_episode(1, 5))
    write_episode(writer, sample_episode(2, 45))
    mirror = make_mirror()
    mirror.follow(replay, "run")
    drawn = mirror.sample(50_000, np.random.default_rng(0)).observation
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 50
    chi_squared = float(((counts - 1000.0) ** 2 / 1000.0).sum())
    assert chi_squared < 95, "beyond the 99.99th percentile of 49 degrees of freedom"


def test_the_reset_state_repeats_before_the_first_row(replay: MemoryReplay) -> None:
    steps = sample_episode(1, 1)
    write_episode(replay.writer("run", "w"), steps)
    mirror = make_mirror(history=2)
    mirror.follow(replay, "run")
    batch = mirror.sample(1, np.random.default_rng(0))
    first, last = steps[0].state, steps[1].state
    np.testing.assert_array_equal(batch.observation[0], [*first, *first, *first, 0.0])
    np.testing.assert_array_equal(batch.next_observation[0], [*first, *first, *last, np.float32(0.01)])


def test_a_fall_removes_the_bootstrap_and_a_time_limit_or_an_abort_keeps_it(replay: MemoryReplay) -> None:
    writer = replay.writer("run", "w")
    for ending, expected in (("fall", 0.0), ("limit", GAMMA), ("abort", GAMMA)):
        steps = sample_episode(1, 1, fall=ending == "fall")
        if ending == "abort":
            writer.begin(EpisodeStart(seed=0, policy_version=1), steps[0])
            writer.add(dataclasses.replace(steps[1], terminated=False, truncated=False))
            assert writer.abort() is not None
        else:
            write_episode(writer, steps)
        mirror = make_mirror()
        newest = replay.episodes_after("run", {})[-1:]
        mirror.append(newest, replay.read(newest))
        assert mirror.sample(1, np.random.default_rng(0)).discount[0] == np.float32(expected), ending


def test_batches_say_which_policy_acted_and_weigh_alike(replay: MemoryReplay) -> None:
    writer = replay.writer("run", "w")
    for version in (3, 8):
        write_episode(writer, sample_episode(version, 10), EpisodeStart(seed=0, policy_version=version))
    mirror = make_mirror()
    mirror.follow(replay, "run")
    batch = mirror.sample(200, np.random.default_rng(0))
    assert set(batch.policy_version.tolist()) == {3, 8}
    assert batch.weight.tolist() == [1.0] * 200
    assert batch.observation.dtype == batch.action.dtype == batch.reward.dtype == np.float32


def test_every_new_episode_is_taken_once(replay: MemoryReplay) -> None:
    writers = [replay.writer("run", name) for name in "ab"]
    mirror = make_mirror(1000)
    written = []
    for round_ in range(6):
        for writer in writers:
            written.append(write_episode(writer, sample_episode(round_, 3)).id)
        assert mirror.follow(replay, "run") == 6
        assert mirror.follow(replay, "run") == 0
    assert sorted(mirror.episodes) == sorted(written)
    assert mirror.taken_steps == 36


def test_evaluations_are_passed_over_for_good(replay: MemoryReplay) -> None:
    writer = replay.writer("run", "w")
    evaluation = EpisodeStart(seed=0, policy_version=1, purpose="evaluate")
    write_episode(writer, sample_episode(0, 5), evaluation)
    mirror = make_mirror()
    assert mirror.follow(replay, "run") == 0
    assert mirror.transitions == 0
    explored = write_episode(writer, sample_episode(1, 5), EpisodeStart(seed=0, policy_version=0, purpose="explore"))
    write_episode(writer, sample_episode(2, 5), evaluation)
    assert mirror.follow(replay, "run") == 5
    assert mirror.episodes == [explored.id]
    assert mirror.state_dict()["watermark_episodes"].tolist() == [explored.id + 1]


def test_an_episode_of_the_reset_state_alone_is_harmless(replay: MemoryReplay) -> None:
    writer = replay.writer("run", "w")
    writer.begin(EpisodeStart(seed=0, policy_version=0), sample_episode(1, 0)[0])
    writer.abort()
    mirror = make_mirror()
    assert mirror.follow(replay, "run") == 0
    with pytest.raises(ValueError, match="no transition yet"):
        mirror.sample(4, np.random.default_rng(0))


def test_a_backlog_longer_than_the_mirror_is_counted_but_only_its_newest_part_read(replay: MemoryReplay) -> None:
    writer = replay.writer("run", "w")
    ids = [write_episode(writer, sample_episode(seed, 9)).id for seed in range(12)]
    for step in range(10):
        replay.delete_timesteps([ids[0] << 20 | step])
    mirror = make_mirror(50)
    assert mirror.follow(replay, "run") == 108
    assert mirror.episodes == ids[-5:]


class _SetBack(MemoryReplay):
    """A worker whose clock was set back an hour between its two episodes."""

    def episodes_after(self, run: str, watermarks: Any) -> list[Episode]:
        found = list(super().episodes_after(run, watermarks))
        return [
            dataclasses.replace(episode, finished=episode.finished - timedelta(hours=episode.id & 1))
            for episode in found
        ]


def test_a_clock_that_was_set_back_does_not_reorder_a_worker() -> None:
    replay = _SetBack()
    replay.open_run(sample_run())
    writer = replay.writer("run", "w")
    ids = [write_episode(writer, sample_episode(seed, 3)).id for seed in range(4)]
    mirror = make_mirror()
    mirror.follow(replay, "run")
    assert mirror.episodes == ids


def test_a_resumed_learner_draws_the_same_batches(replay: MemoryReplay) -> None:
    rng = np.random.default_rng(3)
    writers = [replay.writer("run", name) for name in "abc"]
    mirror = make_mirror(80)
    for seed in range(25):
        write_episode(writers[rng.integers(3)], sample_episode(seed, int(rng.integers(1, 15))))
        if seed % 3 == 0:
            mirror.follow(replay, "run")
    evaluation = EpisodeStart(seed=0, policy_version=1, purpose="evaluate")
    write_episode(replay.writer("run", "evaluator"), sample_episode(0, 5), evaluation)
    mirror.follow(replay, "run")
    state = mirror.state_dict()
    write_episode(writers[0], sample_episode(99, 5))

    resumed = make_mirror(80)
    resumed.restore(state, replay, "run")
    assert resumed.episodes == mirror.episodes
    for name, array in resumed.state_dict().items():
        np.testing.assert_array_equal(array, state[name], name)
    for seed in range(3):
        ours, theirs = (m.sample(64, np.random.default_rng(seed)) for m in (resumed, mirror))
        for column in ("observation", "action", "reward", "discount", "next_observation", "policy_version"):
            np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
    assert resumed.follow(replay, "run") == mirror.follow(replay, "run") == 5
    assert resumed.episodes[-1] == mirror.episodes[-1]


def test_a_checkpoint_of_another_database_is_refused(replay: MemoryReplay) -> None:
    write_episode(replay.writer("run", "w"), sample_episode(0, 3))
    mirror = make_mirror()
    mirror.follow(replay, "run")
    empty = MemoryReplay()
    empty.open_run(sample_run())
    with pytest.raises(LookupError, match=r"1 of 1 episodes .* not in the log"):
        make_mirror().restore(mirror.state_dict(), empty, "run")
    with pytest.raises(RuntimeError, match="taken nothing yet"):
        mirror.restore(mirror.state_dict(), replay, "run")


def test_memory_is_refused_before_it_is_taken() -> None:
    with pytest.raises(
        MemoryError, match=r"needs \d+\.\d+ GB, found .* available; needed at most \d+ decisions, or float16"
    ):
        make_mirror(10**12)


@pytest.mark.parametrize("floats", ["float32", "float16"])
def test_the_memory_asked_for_is_the_memory_used(floats: str) -> None:
    ring = Ring(1000, 7, ACTION_SIZE, floats)
    used = sum(value.nbytes for value in vars(ring).values() if isinstance(value, np.ndarray))
    assert used == bytes_needed(1000, 7, ACTION_SIZE, floats)


def test_an_episode_that_does_not_fit_is_refused(replay: MemoryReplay) -> None:
    episode = write_episode(replay.writer("run", "w"), sample_episode(0, 20))
    with pytest.raises(ValueError, match="21 timesteps, the mirror room for 20"):
        make_mirror(20).follow(replay, "run")
    with pytest.raises(ValueError, match="another run"):
        make_mirror(state_size=STATE_SIZE + 1).append([episode], replay.read([episode]))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"capacity": 1}, "at least 2"),
        ({"floats": "float8"}, "there are float32, float16"),
        ({"n_step": 0}, "found n_step 0"),
        ({"history": -1}, "history -1"),
        ({"gamma": 1.01}, "gamma in"),
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_mirror(**bad)


def test_sampling_while_feeding_never_mixes_episodes() -> None:
    """Each episode is filled with one number: a torn read would show two."""
    mirror = make_mirror(200, state_size=64, history=3)
    replay = MemoryReplay()
    replay.open_run(sample_run(state_names=tuple(f"s{i}" for i in range(64)), state_units=("m",) * 64))
    writer = replay.writer("run", "w")
    fed = []
    for seed in range(30):
        steps = sample_episode(seed, 20 + seed, state_size=64)
        marked = [dataclasses.replace(step, state=np.full(64, seed, np.float32)) for step in steps]
        episode = write_episode(writer, marked)
        fed.append(([episode], replay.read([episode])))
    mirror.append(*fed[0])
    done = threading.Event()

    def feed() -> None:
        for _ in range(10):
            for episodes, steps in fed:
                mirror.append(episodes, steps)
        done.set()

    feeder = threading.Thread(target=feed)
    feeder.start()
    rng = np.random.default_rng(0)
    while not done.is_set():
        batch = mirror.sample(128, rng)
        states = np.concatenate([batch.observation[:, :-1], batch.next_observation[:, :-1]], axis=1)
        assert (states == states[:, :1]).all()
    feeder.join()
