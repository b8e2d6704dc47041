"""Learning on the device is learning on the host: same batches, same statistics, same updates, resumed to the bit.

On a machine without a GPU the device is the CPU, where the work of an update is done but not recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.config import RunConfig
from agents.ddpg import CONFIGS, build_algorithm
from agents.ddpg.actor_critic import ActorCritic
from agents.device_learner import DeviceLearner
from agents.device_normaliser import DeviceNormaliser
from agents.graphs import Graphs
from agents.learner import Learner
from agents.normalisation import RunningNormaliser
from agents.policy import PolicyContract
from agents.replay.device_columns import DeviceColumns
from agents.replay.memory import MemoryReplay
from agents.replay.mirror import Mirror
from tests.agents.test_mirror import make_mirror
from tests.contracts.replay_samples import ACTION_SIZE, sample_episode, sample_run, write_episode
from tests.learning import same_tensors, small

CPU = torch.device("cpu")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def replay() -> MemoryReplay:
    store = MemoryReplay()
    store.open_run(sample_run())
    return store


def collect(replay: MemoryReplay, episodes: int, first_seed: int = 0) -> None:
    rng = np.random.default_rng(first_seed)
    writer = replay.writer("run", f"w{first_seed}")
    for seed in range(first_seed, first_seed + episodes):
        write_episode(writer, sample_episode(seed, int(rng.integers(1, 25)), fall=bool(rng.integers(2))))


def filled(replay: MemoryReplay, **settings: Any) -> Mirror:
    mirror = make_mirror(200, **settings)
    mirror.follow(replay, "run")
    return mirror


def learner(
    kind: type[Learner], mirror: Mirror, name: str = "td3", sampling: str = "uniform", **settings: Any
) -> Learner:
    with mirror.still() as ring:
        width = ring.observation.shape[1]
    contract = PolicyContract(
        layout_sha256="0" * 64,
        observation="test/1",
        observation_size=width,
        action_size=ACTION_SIZE,
        frame_skip=1,
        bins=None,
        action_names=tuple(f"muscle_{number}" for number in range(ACTION_SIZE)),
        task="test",
    )
    config = RunConfig.of({"learner": {"batch_size": 16}, "replay": {"sampling": {"name": sampling}}})
    device = DEVICE if kind is DeviceLearner else CPU
    algorithm = build_algorithm(name, width, ACTION_SIZE, settings=small(name, **settings), device=device, seed=1)
    return kind(config, algorithm, mirror, contract)


@pytest.mark.parametrize("floats", ["float32", "float16"])
def test_the_device_gathers_what_the_mirror_samples_however_often_the_ring_wrapped(
    replay: MemoryReplay, floats: str
) -> None:
    mirror = make_mirror(60, floats=floats)
    columns = DeviceColumns(mirror, DEVICE)
    for lap in range(6):
        collect(replay, 7, first_seed=10 * lap)
        mirror.follow(replay, "run")
        columns.catch_up()
        batch = mirror.sample(100, np.random.default_rng(lap))
        assert batch.number is not None
        found = columns.gathered(torch.from_numpy(batch.number).to(DEVICE))
        for name, values in found.items():
            np.testing.assert_array_equal(values.cpu().numpy(), getattr(batch, name), err_msg=name)


def test_the_device_draws_every_transition_held_alike(replay: MemoryReplay) -> None:
    mirror = make_mirror(60)
    columns = DeviceColumns(mirror, DEVICE)
    for lap in range(4):
        collect(replay, 5, first_seed=10 * lap)
        mirror.follow(replay, "run")
        columns.catch_up()
        count = mirror.transitions
        every = (torch.arange(count, dtype=torch.float64, device=DEVICE) + 0.5) / count
        drawn = columns.drawn(every).cpu().numpy()
        with mirror.still() as ring:
            held = np.arange(ring.first, ring.next)
            expected = held[ring.starts(held)]
        np.testing.assert_array_equal(drawn, expected)
        last = torch.tensor([1 - 1e-16], dtype=torch.float64, device=DEVICE)
        assert columns.drawn(last).item() == expected[-1]


def test_a_device_that_fell_behind_by_more_than_the_ring_holds_catches_up(replay: MemoryReplay) -> None:
    mirror = make_mirror(60)
    columns = DeviceColumns(mirror, DEVICE)
    collect(replay, 2)
    mirror.follow(replay, "run")
    columns.catch_up()
    for lap in range(1, 5):
        collect(replay, 5, first_seed=10 * lap)
        mirror.follow(replay, "run")
    columns.catch_up()
    batch = mirror.sample(100, np.random.default_rng(0))
    assert batch.number is not None
    found = columns.gathered(torch.from_numpy(batch.number).to(DEVICE))
    np.testing.assert_array_equal(found["next_observation"].cpu().numpy(), batch.next_observation)
    every = (torch.arange(mirror.transitions, dtype=torch.float64, device=DEVICE) + 0.5) / mirror.transitions
    assert set(columns.drawn(every).tolist()) >= set(batch.number.tolist())


def test_both_normalisers_tell_the_same_and_take_over_from_each_other() -> None:
    generator = np.random.default_rng(0)
    host, device = RunningNormaliser(4), DeviceNormaliser(4, DEVICE)
    for size in (1, 30, 7):
        rows = (generator.standard_normal((size, 4)) * [1, 50, 0, 1e-3] + [0, 1000, 3, 0]).astype(np.float32)
        host.update(rows)
        device.update(torch.from_numpy(rows).to(DEVICE))
    seen = generator.standard_normal((9, 4)).astype(np.float32) * 100
    np.testing.assert_allclose(device(torch.from_numpy(seen).to(DEVICE)).cpu().numpy(), host(seen), rtol=1e-5)
    taken = DeviceNormaliser(4, DEVICE)
    taken.load_state_dict(host.state_dict())
    for name, array in host.state_dict().items():
        np.testing.assert_array_equal(taken.state_dict()[name], array)
        np.testing.assert_allclose(device.state_dict()[name], array, rtol=1e-12)


def test_an_observation_that_is_not_finite_leaves_the_statistics_alone() -> None:
    device = DeviceNormaliser(2, DEVICE)
    device.update(torch.tensor([[1.0, 2.0], [3.0, 4.0]], device=DEVICE))
    before = device.state_dict()
    device.update(torch.tensor([[1.0, float("nan")]], device=DEVICE))
    for name, array in before.items():
        np.testing.assert_array_equal(device.state_dict()[name], array)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_same_draws_give_the_same_updates_as_on_the_host(replay: MemoryReplay, name: str) -> None:
    collect(replay, 20)
    settings = {"mean_updates": 4} | ({} if name in ("ddpg", "d4pg") else {"target_noise": 0.0})
    if name == "redq":
        settings |= {"critics": 2, "subset": 2, "policy_delay": 3}  # its random subset is all of them
    host = learner(Learner, filled(replay, sampling="recency"), name, "recency", **settings)
    device = learner(DeviceLearner, filled(replay, sampling="recency"), name, "recency", **settings)
    for _ in range(12):
        host.learn()
        device.learn()
    theirs = host.state().tensors
    assert theirs["actor/mean_count"] == 12
    for key, array in device.state().tensors.items():
        if key != "generator":
            np.testing.assert_allclose(array, theirs[key], rtol=2e-3, atol=2e-5, err_msg=key)
    np.testing.assert_allclose(device.metrics()["critic/loss"], host.metrics()["critic/loss"], rtol=1e-2)


@pytest.mark.parametrize("sampling", ["uniform", "prioritised"])
def test_a_resumed_device_learner_goes_on_bit_for_bit(replay: MemoryReplay, sampling: str) -> None:
    collect(replay, 20)
    schedule = {"warmup_updates": 10, "decay": "linear", "decay_updates": 40}
    straight = learner(DeviceLearner, filled(replay, sampling=sampling), "td3", sampling, lr_schedule=schedule)
    for _ in range(15):
        straight.learn()
    saved = straight.state()
    resumed = learner(DeviceLearner, make_mirror(200, sampling=sampling), "td3", sampling, lr_schedule=schedule)
    resumed.restore(saved, replay, "run")
    for _ in range(15):
        straight.learn()
        resumed.learn()
    assert same_tensors(straight.state(), resumed.state())
    assert resumed.updates == 30


def test_a_run_goes_on_on_the_host_and_back(replay: MemoryReplay) -> None:
    collect(replay, 20)
    first = learner(DeviceLearner, filled(replay))
    for _ in range(5):
        first.learn()
    saved = first.state()
    for kind in (Learner, DeviceLearner):
        other = learner(kind, make_mirror(200))
        other.restore(saved, replay, "run")
        other.learn()
        assert other.updates == 6
        assert other.state().tensors["normaliser/count"].tolist() == [6 * 16]


def test_a_loss_that_is_not_finite_is_told_before_anything_is_stored_and_has_changed_nothing(
    replay: MemoryReplay,
) -> None:
    collect(replay, 20)
    found = learner(DeviceLearner, filled(replay))
    found.learn()
    before = found.state()
    assert isinstance(found, DeviceLearner)
    with found.mirror.still() as ring:
        ring.reward[:] = np.nan
    found._columns._next = 0  # the whole ring anew
    for _ in range(3):
        found.learn()
    with pytest.raises(FloatingPointError, match="a loss was not finite in one of the last"):
        found.copies()
    found.roll_back(before)
    for name, array in found.state().tensors.items():
        if name.startswith(("actor", "critic")):
            np.testing.assert_array_equal(array, before.tensors[name], err_msg=name)


def test_priorities_are_not_made_of_errors_that_are_not_finite(replay: MemoryReplay) -> None:
    collect(replay, 20)
    found = learner(DeviceLearner, filled(replay, sampling="prioritised"), "td3", "prioritised")
    found.learn()
    assert isinstance(found, DeviceLearner)
    before = found.state()
    with found.mirror.still() as ring:
        ring.reward[:] = np.nan
    found._columns._next = 0  # the whole ring anew
    with pytest.raises(FloatingPointError, match="a loss was not finite"):
        found.learn()
    found.roll_back(before)
    assert found.algorithm.updates == 1
    after = found.mirror.state_dict()
    assert all(np.isfinite(array).all() for array in after.values() if array.dtype.kind == "f")


def test_what_it_hears_from_the_device_tells_losses_and_ages(replay: MemoryReplay) -> None:
    collect(replay, 20)
    found = learner(DeviceLearner, filled(replay))
    assert found.metrics() == {}
    for _ in range(100):
        found.learn()
    assert {"critic/loss", "actor/value", "actor/loss"} <= set(found.metrics())
    assert "finite" not in found.metrics()
    assert found.ages.metrics()["sample/share_version_0"] >= 0


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("td3", {}),
        ("d4pg", {}),
        ("d4pg", {"critic_norm": True}),
        *(pytest.param(name, {}, marks=pytest.mark.slow) for name in CONFIGS if name not in ("td3", "d4pg")),
    ],
)
def test_an_update_can_be_traced_whole(
    replay: MemoryReplay, name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a compiler has to: what it makes of it is run here as it is, and gives the same."""
    collect(replay, 20)
    plain = learner(DeviceLearner, filled(replay), name, **settings)
    traced = learner(DeviceLearner, filled(replay), name, **settings)
    assert isinstance(traced, DeviceLearner)
    traced.algorithm._by_hand = None
    pieces = [(traced, "_batch"), *((traced.algorithm, name) for name in ("_target", "_judged", "_climbed"))]
    for owner, piece in pieces:
        whole = torch.compile(getattr(owner, piece), backend="aot_eager", fullgraph=True)
        monkeypatch.setattr(owner, piece, whole)
    for _ in range(3):
        plain.learn()
        traced.learn()
    for key, array in traced.state().tensors.items():
        if not key.startswith("mirror"):
            np.testing.assert_allclose(array, plain.state().tensors[key], rtol=1e-3, atol=1e-6, err_msg=key)


@pytest.mark.skipif(DEVICE.type == "cpu", reason="needs a GPU")
@pytest.mark.parametrize("name", list(CONFIGS))
def test_recorded_updates_are_those_of_work_that_is_not(
    replay: MemoryReplay, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(replay, 20)
    recorded = learner(DeviceLearner, filled(replay), name)
    plain = learner(DeviceLearner, filled(replay), name)
    assert isinstance(plain, DeviceLearner)
    monkeypatch.setattr(plain, "_graphs", lambda kind, work: work())
    for _ in range(30):
        recorded.learn()
        plain.learn()
    assert same_tensors(recorded.state(), plain.state())


def test_work_on_a_cpu_is_done_and_not_recorded() -> None:
    done: list[int] = []

    def work() -> int:
        done.append(len(done))
        return done[-1]

    graphs: Graphs[int] = Graphs(CPU, torch.Generator())
    assert [graphs("kind", work) for _ in range(6)] == done == list(range(6))


def test_a_ring_of_another_precision_keeps_it_on_the_device() -> None:
    columns = DeviceColumns(make_mirror(60, floats="float16"), DEVICE)
    assert columns._columns["observation"].dtype == torch.float16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"), [("td3", {}), ("d4pg", {}), ("d4pg", {"critic_norm": True}), ("redq", {})]
)
def test_compiled_updates_are_those_that_are_not(replay: MemoryReplay, name: str, settings: dict[str, Any]) -> None:
    collect(replay, 20)
    plain = learner(DeviceLearner, filled(replay), name, **settings)
    same = learner(DeviceLearner, filled(replay), name, **settings)
    assert isinstance(same.algorithm, ActorCritic)
    assert isinstance(same.mirror, Mirror)
    compiled = DeviceLearner(same.config, same.algorithm, same.mirror, same._contract, compiled=True)
    for _ in range(4):
        plain.learn()
        compiled.learn()
    tensors = compiled.state().tensors
    for key, array in plain.state().tensors.items():
        if not key.startswith("mirror"):
            np.testing.assert_allclose(tensors[key], array, rtol=1e-4, atol=1e-6, err_msg=key)
