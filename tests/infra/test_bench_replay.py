"""The replay benchmark: each of its pieces on a real mongod, small; nothing here judges a speed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from pymongo import MongoClient

from agents.memory import layout_of
from agents.replay.runs import Run
from environment.observations import observation
from infra.bench.machine import machine
from infra.bench.replay.arrivals import Arrivals
from infra.bench.replay.data import STEPS, TIMESTEPS, Source, play, run_of_bench
from infra.bench.replay.growth import growth
from infra.bench.replay.inserting import Client, inserting
from infra.bench.replay.live import latencies_ms
from infra.bench.replay.peers.contract import Build, Draw, PeerMissing, Shape
from infra.bench.replay.peers.known import PEERS, build
from infra.bench.replay.peers.original import original
from infra.bench.replay.report import measure
from infra.bench.replay.rows import Bar, Row, row
from infra.bench.replay.sizes import Sizes
from infra.bench.replay.store import Store, bench_store
from infra.bench.replay.turns import in_turns
from infra.bench.report import table

TINY = Sizes(
    played=2,
    stretch=3,
    stretches=2,
    original=2,
    worker=1,
    batches=(8, 16),
    rounds=2,
    turn_s=0.001,
    peer_bytes=1e6,
    refills=1,
    latency_episodes=3,
    live_rounds=1,
    live_turn_s=0.2,
    growth=(2, 5),
)
MEASURED = (
    "durable insert, 1,200 at a time",
    "durable insert, as a worker writes",
    "warm refill of the mirror",
    *(
        f"uniform, {seen}, {floats}, batch {batch}"
        for seen in ("compact", "original")
        for batch in TINY.batches
        for floats in ("float32", "float16")
    ),
    *(f"prioritised, {seen}, float32, batch {batch}" for seen in ("compact", "original") for batch in TINY.batches),
    *(
        f"{sampling}, compact, float32, batch {batch}"
        for batch in TINY.batches
        for sampling in ("recency", "policy_age")
    ),
    "insert to sampleable, 50th percentile",
    "insert to sampleable, 95th percentile",
    *(f"uniform, compact, float32, batch {batch}: while 3,000 timesteps/s arrive" for batch in TINY.batches),
)


@pytest.fixture(scope="module")
def source() -> Source:
    return play(TINY.played)


@pytest.fixture
def store(mongodb_uri: str) -> Iterator[Store]:
    with bench_store(mongodb_uri) as found:
        yield found


def databases(uri: str) -> set[str]:
    client: MongoClient[dict[str, Any]]
    with MongoClient(uri) as client:
        return {name for name in client.list_database_names() if name.startswith("bench_")}


def here(shape: Shape) -> Draw:
    """A peer that is installed."""

    def draw(size: int) -> Mapping[str, Any]:
        return {name: np.zeros((size, width), np.float32) for name, width in shape.widths.items()}

    return draw


def gone(shape: Shape) -> Draw:
    raise ModuleNotFoundError("No module named 'gone'")


def broken(shape: Shape) -> Draw:
    raise PeerMissing("its library is of another year")


BUILDS: Mapping[str, Mapping[str, Build]] = {"uniform": {"here": here, "gone": gone}, "prioritised": {"broken": broken}}


def is_sane(found: Row) -> bool:
    numbers = [value for value in found.values() if isinstance(value, int | float)]
    return all(math.isfinite(number) and number > 0 for number in numbers)


@pytest.mark.slow
@pytest.mark.mongo
def test_every_line_is_measured_with_and_without_its_peers(mongodb_uri: str) -> None:
    missing: dict[str, str] = {}
    with bench_store(mongodb_uri) as store:
        rows = measure(store, TINY, missing, BUILDS)
    assert tuple(one["name"] for one in rows) == MEASURED
    assert [one for one in rows if not is_sane(one)] == []
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    found = {one["name"]: one for one in rows}

    uniform = found["uniform, compact, float16, batch 8"]
    assert uniform["peer_value"] == uniform["here"]
    assert uniform["ratio"] == uniform["value"] / uniform["here"]
    assert uniform["peer_value"] > uniform["$sample"] > 0
    assert (uniform["fastest"], uniform["gone"]) == ("here", None)
    assert found["uniform, compact, float16, batch 16"]["$sample"] is None
    lonely = found["prioritised, original, float32, batch 16"]
    assert (lonely["peer"], lonely["peer_value"], lonely["ratio"], lonely["broken"]) == ("no peer", None, None, None)
    assert lonely["floor"] < lonely["goal"]
    assert set(missing) == {"gone's uniform buffer", "broken's prioritised buffer"}
    assert "--categories peers" in missing["gone's uniform buffer"]
    assert missing["broken's prioritised buffer"] == "its library is of another year"

    fast, slow = (found[f"insert to sampleable, {percentile}th percentile"] for percentile in (50, 95))
    assert fast["value"] <= slow["value"] <= slow["largest_ms"]
    assert fast["episodes"] == TINY.latency_episodes
    told = table({"bench": "replay", "about": "", "machine": machine("numpy"), "rows": rows})
    assert all(name in told for name in MEASURED)


@pytest.mark.mongo
def test_the_database_is_gone_even_after_a_failure(mongodb_uri: str) -> None:
    before = databases(mongodb_uri)

    def use() -> None:
        with bench_store(mongodb_uri) as store:
            with closing(store.open()) as log:
                log.open_run(run_of_bench())
            assert databases(mongodb_uri) == before | {store.database}
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        use()
    assert databases(mongodb_uri) == before


@pytest.mark.mongo
def test_bulk_and_worker_write_what_was_played(store: Store, source: Source) -> None:
    log, run = store.open(), run_of_bench()
    log.open_run(run)
    with original(store, run) as peer:
        inserting(log, run, source, peer, TINY)
    for name in (run.name, "worker"):
        episodes = log.episodes_after(name, {})
        for number, episode in enumerate(episodes):
            found = log.timesteps(episode)
            which = number % TINY.played if name == run.name else 0
            assert (found.state == source.state[which]).all()
            assert (found.excitation == source.excitation[which]).all()
            assert (found.policy_action[1:] == 2 * source.excitation[which][1:] - 1).all()
            assert (found.reward == source.reward[which]).all()
            assert found.decision.tolist() == [False] + STEPS * [True]
            assert found.terminated.tolist() == STEPS * [False] + [True]
            assert episode.episode_return == pytest.approx(found.reward.sum())
            assert episode.length == STEPS
    assert len(log.episodes_after(run.name, {})) == TINY.stretch * TINY.stretches
    assert log.counts(run.name).timesteps == TINY.stretch * TINY.stretches * TIMESTEPS
    log.close()


@pytest.mark.mongo
@pytest.mark.parametrize("name", ["compact", "original"])
def test_the_originals_way_sees_what_we_see(store: Store, source: Source, name: str) -> None:
    run = run_of_bench()
    observe = observation(name, layout_of(run))
    rows = np.arange(TIMESTEPS)[:, None] + np.arange(-observe.history, 1)
    expected = observe(source.state[0][np.maximum(rows, 0)], np.zeros(TIMESTEPS, np.float32))
    with original(store, run) as peer:
        peer.insert(peer.documents(source, 1), 100)
        assert peer.find_rate() > 0
        seen, following = peer.sample(name, 40)
    # A reset state may come up more than once, with another future each time.
    places = [np.flatnonzero(np.isclose(expected, one, rtol=1e-5, atol=1e-6).all(axis=1)) for one in seen]
    assert len({place[0] for place in places}) > 10
    for place, after in zip(places, following, strict=True):
        futures = expected[place[place < STEPS] + 1]
        assert len(futures) < len(place) or np.isclose(futures, after, rtol=1e-5, atol=1e-6).all(axis=1).any()


@pytest.mark.mongo
def test_growth_is_told_at_each_size_beside_the_smallest(store: Store) -> None:
    rows = growth(store, TINY)
    assert [one for one in rows if not is_sane(one)] == []
    names = list(dict.fromkeys(one["name"] for one in rows))
    assert len(names) == 8
    assert [(one["name"], one["timesteps"]) for one in rows] == [(n, e * TIMESTEPS) for n in names for e in TINY.growth]
    assert {one["ratio"] for one in rows if one["timesteps"] == TINY.growth[0] * TIMESTEPS} == {1.0}
    first = {one["name"]: one["value"] for one in reversed(rows)}
    assert [one["peer_value"] for one in rows] == [first[one["name"]] for one in rows]
    with closing(store.open()) as log:
        assert len(log.episodes_after(run_of_bench().name, {})) == TINY.growth[-1]


@pytest.mark.mongo
def test_a_writer_that_can_not_write_says_so(store: Store, source: Source) -> None:
    with pytest.raises(KeyError, match="no run 'other'"), Arrivals(store, "other", source, 10.0):
        raise AssertionError("it can not be ready")


@pytest.mark.mongo
def test_a_client_goes_on_where_it_stopped(store: Store, source: Source) -> None:
    log, run = store.open(), run_of_bench()
    log.open_run(run)
    client = Client(log, run, source)
    for episodes in (1, 9, 3):
        assert min(client.write(episodes)) > 0
    assert [episode.id & 0xFFFFF for episode in log.episodes_after(run.name, {})] == list(range(13))
    assert store.disk_bytes("timesteps") > 0
    log.close()


def test_states_are_those_of_a_moving_body(source: Source) -> None:
    run: Run = run_of_bench()
    assert source.state.shape == (TINY.played, TIMESTEPS, len(run.state_names))
    assert np.isfinite(source.state).all()
    moved = (np.diff(source.state, axis=1) != 0).any(axis=2)
    assert moved.mean() > 0.95
    assert (source.excitation[:, 0] == 0).all()
    assert (source.reward[:, 0] == 0).all()


@pytest.mark.parametrize(("sampling", "name"), [(sampling, name) for sampling in PEERS for name in PEERS[sampling]])
def test_a_peer_hands_over_as_many_numbers_or_says_why_it_does_not(sampling: str, name: str) -> None:
    shape = Shape(observation_size=7, action_size=3, transitions=500)
    peers = build({name: PEERS[sampling][name]}, shape)
    if name in peers.missing:
        assert not peers.draws
        assert any(why in peers.missing[name] for why in ("--categories peers", "does not load"))
        return
    batch = peers.draws[name](64)
    found = {column: tuple(batch[column].shape) for column in shape.widths}
    assert found == {column: (64, width) for column, width in shape.widths.items()}
    assert len(np.unique(np.asarray(batch["observation"]), axis=0)) > 40


def test_a_peer_gets_as_many_transitions_as_its_memory_holds() -> None:
    shape = Shape.within(1e6, 100, 19, most=10_000)
    assert shape.transitions * 4 * (sum(shape.widths.values())) <= 1e6 < (shape.transitions + 1) * 4 * 221
    assert Shape.within(1e12, 100, 19, most=25_000).transitions == 25_000
    made = list(Shape(2, 1, 25_000).content())
    assert [len(one["reward"]) for one in made] == [10_000, 10_000, 5_000]


def test_everyone_gets_as_many_turns_one_after_the_other() -> None:
    called: list[str] = []

    def work(name: str, amount: int) -> int:
        called.append(name)
        return amount

    found = in_turns({"a": lambda: work("a", 10), "b": lambda: work("b", 1)}, rounds=3, turn_s=0.0)
    assert "".join(called) == "ab" + 3 * "ab"
    assert all(rate.per_s > 0 and rate.per_processor_s > 0 for rate in found.values())


def test_latency_is_from_an_episodes_own_start() -> None:
    assert latencies_ms([1.0, 1.1, 1.2], [1.02, 1.105]).tolist() == pytest.approx([20.0, 5.0])


def test_what_was_reached_is_told_whichever_way_is_better() -> None:
    more, less = Bar(20.0, 30.0), Bar(50.0, 20.0, smaller_is_better=True)
    assert [more.reached(value) for value in (30.0, 29.0, 20.0, 19.0)] == ["goal", "floor", "floor", "NOT THE FLOOR"]
    assert [less.reached(value) for value in (20.0, 21.0, 50.0, 51.0)] == ["goal", "floor", "floor", "NOT THE FLOOR"]


def test_a_figure_below_its_floor_is_marked_and_the_command_succeeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from infra import __main__ as cli
    from infra.bench.choice import BENCHES

    slow = row("slow", 1.0, "things/s", peer=("theirs", 4.0), bar=Bar(2.0, 3.0))
    result = {"bench": "replay", "about": "", "machine": machine("numpy"), "rows": [slow]}
    monkeypatch.setitem(BENCHES, "replay", lambda quick: result)
    cli.bench(cli._parser().parse_args(["bench", "replay"]))
    assert "NOT THE FLOOR" in capsys.readouterr().out
    assert slow["ratio"] == 0.25
