"""Many bodies in one loop: what they store is what each alone would have stored, whatever happens to the others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agents.actor import EpisodePlan, Planner, act
from agents.batch_actor import act_together
from agents.build import build_environment, build_environments, contract_of, describe_run
from agents.config import RunConfig
from agents.exploration.build import build_exploration
from agents.exploration.config import KINDS, ExplorationConfig, Kind
from agents.exploration.none import NoExploration
from agents.exploration.parameter import Seen
from agents.networks import Actor
from agents.normalisation import Normaliser
from agents.policies import FixedPolicy
from agents.policy import ActingPolicy, Policy, RandomPolicy
from agents.replay.contract import EpisodeWriter
from agents.replay.documents import episode_document
from agents.replay.memory import MemoryReplay
from agents.replay.runs import Episode, Run
from environment.prosthetics import ProstheticsEnv
from environment.starts import Mixture, Pushed, StartSource
from environment.vector import ProstheticsVectorEnv
from tests.runs import RUN

BODIES = 5
Float32 = NDArray[np.float32]
CONFIG = RunConfig.of({"environment": {"frame_skip": [2, 5], "max_steps": 30}})


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is written at the same time of day."""
    monkeypatch.setattr("agents.replay.writer.utc_now", lambda: datetime(2026, 11, 28, 12, 0, 0, 5000, UTC))


@pytest.fixture(scope="module")
def run() -> Run:
    with closing(ProstheticsEnv(CONFIG.environment)) as environment:
        return describe_run(RUN, CONFIG, environment)


class RowByRow(Policy):
    """Answers many observations one after the other: a product of many rows rounds otherwise than one of each."""

    asked = 0

    def __call__(self, observation: Float32) -> Float32:
        self.asked += 1
        if observation.ndim == 1:
            return super().__call__(observation)
        return np.stack([super(RowByRow, self).__call__(row) for row in observation])


def policy_of(run: Run, version: int = 1) -> RowByRow:
    contract, generator = contract_of(run, CONFIG), torch.Generator().manual_seed(version)
    actor = Actor(contract.observation_size, contract.action_size, (32, 24), generator=generator)
    with torch.no_grad():
        actor.body.final.weight.normal_(0, 0.1, generator=generator)
    return RowByRow(actor, Normaliser.identity(contract.observation_size), contract, version=version)


class Plan:
    """A body's plans: of the same number the same, whoever asks."""

    def __init__(self, body: int, kind: Kind = "none") -> None:
        self._body, self._kind, self._number = body, kind, itertools.count()
        self._seen = Seen()

    def __call__(self, policy: ActingPolicy) -> EpisodePlan:
        number = next(self._number)
        generator = np.random.default_rng([self._body, number])
        config = ExplorationConfig(kind=self._kind)
        explore = build_exploration(config, generator, sigma=0.3, dt_s=0.04, decisions=8, seen=self._seen)
        return EpisodePlan(100 * self._body + number, explore)


def plans_of(kind: Kind = "none") -> list[Planner]:
    return [Plan(body, kind) for body in range(BODIES)]


class Newer:
    """Another policy each time that it is asked."""

    def __init__(self, policies: Sequence[ActingPolicy]) -> None:
        self._policies = iter(policies)

    def latest(self) -> ActingPolicy:
        return next(self._policies)


def opened(run: Run, bodies: int = BODIES) -> tuple[MemoryReplay, list[EpisodeWriter]]:
    replay = MemoryReplay()
    replay.open_run(run)
    return replay, [replay.writer(RUN, f"w/{body}") for body in range(bodies)]


def together(
    run: Run,
    policies: Any,
    plans: Sequence[Planner],
    until: Any,
    environments: Any = None,
) -> tuple[MemoryReplay, list[Episode]]:
    """Plays until `until`, which is asked at every decision, says so; the episodes in the order they ended."""
    replay, writers = opened(run, len(plans))
    with closing(environments or build_environments(CONFIG.environment, run, len(plans))) as simulator:
        return replay, list(act_together(simulator, policies, writers, plans, "native", until))


def alone(
    run: Run,
    policy: ActingPolicy,
    plans: Sequence[Planner],
    counts: Sequence[int],
    starts: StartSource | None = None,
) -> MemoryReplay:
    """So many episodes of each body, one body after the other."""
    replay, writers = opened(run, len(plans))
    with closing(build_environment(CONFIG.environment, run)) as simulator:
        simulator.starts = starts
        for writer, plan, count in zip(writers, plans, counts, strict=True):
            episodes = act(simulator, FixedPolicy(policy), writer, plan, "native", lambda: False)
            list(itertools.islice(episodes, count))
    return replay


def stored(replay: MemoryReplay, writer: int, finished: int) -> tuple[list[dict[str, Any]], bytes]:
    """Documents of a writer's first episodes without the time they took, and the bytes of their timesteps."""
    episodes = [one for one in replay.episodes_after(RUN, {}) if one.writer == writer][:finished]
    documents = [episode_document(episode) for episode in episodes]
    for document in documents:
        assert document.pop("step_ms_mean") > 0.0 or document["ended"] == "aborted"
    last = (episodes[-1].id << 20) + episodes[-1].length
    return documents, bytes(replay.read_timesteps(episodes[0].id << 20, last))


def decisions(count: int) -> Any:
    """Stops after so many."""
    numbers = itertools.count()
    return lambda: next(numbers) >= count


@pytest.mark.parametrize("kind", KINDS)
def test_every_body_stores_bit_for_bit_what_it_would_alone(run: Run, kind: Kind) -> None:
    policy = policy_of(run)
    replay, episodes = together(run, FixedPolicy(policy), plans_of(kind), decisions(30))
    finished = [episode for episode in episodes if episode.ended != "aborted"]
    counts = [sum(one.writer == writer for one in finished) for writer in range(1, BODIES + 1)]
    assert min(counts) >= 2
    assert all(list(one.round_returns) == ["round1", "round2"] for one in finished)
    single = alone(run, policy, plans_of(kind), counts)
    for writer, count in enumerate(counts, 1):
        assert stored(replay, writer, count) == stored(single, writer, count)


def test_bodies_start_where_each_alone_would_and_the_log_tells(run: Run) -> None:
    policy, environments = policy_of(run), build_environments(CONFIG.environment, run, BODIES)
    starts = Mixture([(0.6, Pushed(environments.layout, (0.2, 1.2)))])
    environments.starts = starts
    replay, episodes = together(run, FixedPolicy(policy), plans_of(), decisions(30), environments)
    counts = [sum(one.writer == w and one.ended != "aborted" for one in episodes) for w in range(1, BODIES + 1)]
    single = alone(run, policy, plans_of(), counts, starts)
    for writer, count in enumerate(counts, 1):
        assert stored(replay, writer, count) == stored(single, writer, count)
    assert {episode.start.start.get("kind") for episode in episodes} == {"pushed", None}


def test_one_call_of_the_policy_serves_all_bodies_that_add_noise_to_it(run: Run) -> None:
    policy = policy_of(run)
    plans = [Plan(0), Plan(1, "gaussian"), Plan(2, "ornstein_uhlenbeck"), Plan(3, "pink"), Plan(4, "uniform")]
    together(run, FixedPolicy(policy), plans, decisions(12))
    assert policy.asked == 12
    needy = policy_of(run)
    together(run, FixedPolicy(needy), [Plan(0), Plan(1), Plan(2, "state_dependent")], decisions(12))
    assert needy.asked == 2 * 12


def test_a_published_policy_answers_many_rows_as_it_does_each(run: Run) -> None:
    plain = policy_of(run)
    policy = Policy(plain.actor, plain.normaliser, plain.contract, version=1)
    rows = np.random.default_rng(1).standard_normal((64, plain.contract.observation_size)).astype(np.float32)
    np.testing.assert_allclose(policy(rows), plain(rows), atol=1e-5)


class Constant:
    """A policy that always does the same, another thing in each version."""

    def __init__(self, version: int, muscles: int) -> None:
        self.version, self._muscles = version, muscles

    def __call__(self, observation: Float32) -> Float32:
        return np.full((*observation.shape[:-1], self._muscles), self.version / 1000, np.float32)

    def check(self, needed: Any, **_: Any) -> None:
        raise AssertionError("not asked here")


def test_each_body_acts_to_its_episode_s_end_with_the_version_that_was_newest_at_its_start(run: Run) -> None:
    policies = [Constant(version, len(run.action_names)) for version in range(1, 500)]
    replay, episodes = together(run, Newer(policies), plans_of(), decisions(60))
    assert len({episode.start.policy_version for episode in episodes}) > 5
    mixed = 0
    for episode in episodes:
        found = replay.timesteps(episode)
        version = episode.start.policy_version
        assert set(found.policy_version.tolist()) == {version}
        np.testing.assert_array_equal(found.policy_action[1:], np.float32(version / 1000))
        mixed += any(other.id != episode.id and other.start.policy_version < version for other in episodes)
    assert mixed > 0
    versions = {w: [e.start.policy_version for e in episodes if e.writer == w] for w in range(1, BODIES + 1)}
    assert all(sorted(one) == one for one in versions.values())
    assert len({tuple(one) for one in versions.values()}) > 1, "bodies began at different times"


def test_bodies_that_follow_the_mean_ask_it_and_the_log_tells(run: Run) -> None:
    actor, mean = policy_of(run, 1), policy_of(run, 2)
    mean.version = actor.version = 7

    def planners(*followers: int) -> list[Planner]:
        def always(planned: EpisodePlan) -> Planner:
            return lambda _: planned

        each = [(body, mean if body in followers else None) for body in range(BODIES)]
        return [always(EpisodePlan(body, NoExploration(), mean=who)) for body, who in each]

    replay, _ = together(run, FixedPolicy(actor), planners(0, 2), decisions(12))
    beside = alone(run, actor, planners(0, 2), [1] * BODIES)
    all_actor = alone(run, actor, planners(), [1] * BODIES)
    for writer in range(1, BODIES + 1):
        follows = writer in (1, 3)
        (document, *_), found = stored(replay, writer, 1)
        assert document["policy_version"] == 7
        assert document["exploration"].get("policy") == ("mean" if follows else None)
        assert found == stored(beside, writer, 1)[1]
        assert (found == stored(all_actor, writer, 1)[1]) != follows


class Poisoned:
    """Environments of which one's simulator breaks at the n-th decision."""

    def __init__(self, environments: ProstheticsVectorEnv, body: int, decision: int) -> None:
        self._environments, self._body, self._left = environments, body, decision
        self.reset, self.close = environments.reset, environments.close

    def step(self, actions: Float32) -> Any:
        self._left -= 1
        if self._left == 0:
            self._environments.physics._engine.bodies.y[self._body, 0] = np.nan
        return self._environments.step(actions)


def test_a_simulator_that_breaks_in_one_body_does_not_disturb_the_others(run: Run) -> None:
    policy = policy_of(run)
    healthy, _ = together(run, FixedPolicy(policy), plans_of("gaussian"), decisions(20))
    sick = Poisoned(build_environments(CONFIG.environment, run, BODIES), body=2, decision=4)
    replay, episodes = together(run, FixedPolicy(policy), plans_of("gaussian"), decisions(20), sick)
    broken = [episode for episode in episodes if episode.ended.startswith("simulator_error")]
    assert [(one.writer, one.truncated, one.terminated) for one in broken] == [(3, True, False)]
    assert replay.timesteps(broken[0]).truncated[-1]
    after = [episode for episode in episodes if episode.writer == 3 and episode.id > broken[0].id]
    assert {episode.ended for episode in after} == {"time_limit", "aborted"}
    for writer in (1, 2, 4, 5):
        assert stored(replay, writer, 10) == stored(healthy, writer, 10)


def test_a_stop_marks_the_open_episodes_aborted_and_tells_of_them(run: Run) -> None:
    replay, episodes = together(run, FixedPolicy(policy_of(run)), [Plan(body) for body in range(3)], decisions(2))
    assert [(one.writer, one.ended, one.truncated) for one in episodes] == [(w, "aborted", True) for w in (1, 2, 3)]
    assert all(replay.timesteps(episode).truncated[-1] for episode in episodes)
    assert replay.counts(RUN).timesteps == sum(episode.length + 1 for episode in episodes)


def test_whoever_stops_listening_closes_the_open_episodes(run: Run) -> None:
    replay, writers = opened(run)
    plans = plans_of()
    with closing(build_environments(CONFIG.environment, run, BODIES)) as simulator:
        episodes: Iterator[Episode] = act_together(
            simulator, FixedPolicy(policy_of(run)), writers, plans, "native", lambda: False
        )
        next(episodes)
        del episodes
    left = replay.episodes_after(RUN, {})
    assert [episode.writer for episode in left] == [1, 2, 3, 4, 5]
    assert {episode.ended for episode in left} == {"aborted", "time_limit"}
    assert replay.counts(RUN).timesteps == sum(episode.length + 1 for episode in left)


def test_an_error_of_the_policy_aborts_every_open_episode_and_is_raised(run: Run) -> None:
    class Breaks(RandomPolicy):
        left = 3

        def __call__(self, observation: Float32) -> Float32:
            self.left -= 1
            if self.left == 0:
                raise FloatingPointError("diverged")
            return super().__call__(observation)

    replay, writers = opened(run)
    policy = Breaks(contract_of(run, CONFIG), np.random.default_rng(0))

    def plan(policy: ActingPolicy) -> EpisodePlan:
        return EpisodePlan(1, NoExploration())

    simulator = build_environments(CONFIG.environment, run, BODIES)
    with closing(simulator), pytest.raises(FloatingPointError, match="diverged"):
        list(act_together(simulator, FixedPolicy(policy), writers, [plan] * BODIES, "native", lambda: False))
    assert replay.counts(RUN).aborted == BODIES
    assert {episode.ended for episode in replay.episodes_after(RUN, {})} == {"aborted"}
