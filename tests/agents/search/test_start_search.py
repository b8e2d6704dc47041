"""A start searched, distilled and scored, with a policy of random weights that falls after a second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.__main__ import main
from agents.baselines import Score
from agents.evaluator import Stopped
from agents.imitation.regression import FitConfig
from agents.official.native import score_natively
from agents.official.rules import ACCURATE, AS_OSIM_RL
from agents.policy import Policy
from agents.policy_file import policy_bytes, read_policy
from agents.search.distil import DistilConfig, distil
from agents.search.evolution import EvolutionConfig
from agents.search.improve import Improved, improve_start
from agents.search.offsets import Decided, play
from agents.search.start import _SEED, FoundStart, Point, StartConfig, scored_config, search_start
from environment.targets import poisson_changes
from environment.vector import ONLY_WHEN_ASKED, ProstheticsVectorEnv
from tests.bodied import body_policy

SHORT = StartConfig(led_s=0.2, after_s=0.4, apart_points=0.0, evolution=EvolutionConfig(generations=8, pairs=7))
QUICK = DistilConfig(
    episodes=4, disturbed=8, bodies=8, rounds=2, fit=FitConfig(updates=400, batch_size=256, lr=3e-3, final=0.01)
)


@pytest.fixture
def policy() -> Policy:
    return body_policy(2)


@pytest.fixture
def three_bodies(policy: Policy) -> Iterator[ProstheticsVectorEnv]:
    environment = ProstheticsVectorEnv(scored_config(policy), 3, autoreset_mode=ONLY_WHEN_ASKED)
    yield environment
    environment.close()


def returns(decided: Sequence[Decided]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.sum([one.rewards for one in decided], axis=0)
    return total


def test_without_offsets_episodes_are_those_that_are_scored(policy: Policy, three_bodies: ProstheticsVectorEnv) -> None:
    seeds = (1001, 1002, 1003)
    played = list(play(three_bodies, policy, seeds, np.zeros((5, 19))))
    scored = score_natively(policy, seeds, settings=AS_OSIM_RL)
    np.testing.assert_allclose(returns(played), [score.episode_return for score in scored], rtol=1e-6)


def test_offsets_lead_the_first_decisions_and_no_others(policy: Policy, three_bodies: ProstheticsVectorEnv) -> None:
    offsets = np.zeros((3, 2, 19))
    offsets[1], offsets[2] = 0.25, 3.0
    first, second, third = play(three_bodies, policy, [1] * 3, offsets, 3)
    for decided in (first, second):
        own = policy(decided.seen)
        np.testing.assert_allclose(decided.action[0], own[0], atol=1e-6)
        np.testing.assert_allclose(decided.action[1], np.clip(own[1] + 0.25, -1, 1), atol=1e-6)
        assert (decided.action[2] == 1.0).all()
    np.testing.assert_allclose(third.action, policy(third.seen), atol=1e-6)
    assert not np.allclose(third.seen[0], third.seen[1])


def test_what_is_told_is_what_was_to_be_done_whatever_is_done(
    policy: Policy, three_bodies: ProstheticsVectorEnv
) -> None:
    first, second = play(three_bodies, policy, [1] * 3, np.zeros((1, 19)), 2, lambda _, action: -action)
    np.testing.assert_allclose(first.action, policy(first.seen), atol=1e-6)
    undisturbed = list(play(three_bodies, policy, [1] * 3, np.zeros((1, 19)), 2))
    assert not np.allclose(second.seen, undisturbed[1].seen)


def test_an_episode_that_is_over_earns_nothing_more(policy: Policy, three_bodies: ProstheticsVectorEnv) -> None:
    offsets = np.zeros((3, 30, 19))
    offsets[0], offsets[1] = 2.0, -2.0
    played = list(play(three_bodies, policy, [1] * 3, offsets))
    first_over = int(np.argmin([decided.playing[1] for decided in played]))
    assert 0 < first_over < len(played)
    for decided in played[first_over:]:
        assert not decided.playing[1]
        assert decided.rewards[1] == 0.0
        assert decided.rewards[0] != 0.0


def test_all_episodes_begin_alike_for_as_long_as_the_search_looks() -> None:
    latest = round(100 * 2.4)
    for seed in (_SEED, *range(1001, 1051)):
        targets = poisson_changes(seed, latest)
        assert (targets == targets[0]).all()


def test_a_search_finds_what_earns_more_and_tells_its_way(policy: Policy) -> None:
    told: list[Point] = []
    found = search_start(policy, SHORT, tell=told.append)
    assert found.offsets.shape == (5, 19)
    assert found.lost < found.lost_before == told[0].lost
    assert [point.generation for point in told] == list(range(9))
    assert found.lost == told[-1].least == min(point.lost for point in told)


def test_what_a_search_says_of_its_offsets_is_what_they_earn(
    policy: Policy, three_bodies: ProstheticsVectorEnv
) -> None:
    found = search_start(policy, SHORT)
    decisions = 15
    for offsets, lost in ((found.offsets, found.lost), (np.zeros((5, 19)), found.lost_before)):
        earned = returns(list(play(three_bodies, policy, [_SEED] * 3, offsets, decisions)))
        np.testing.assert_allclose(10.0 * 4 * decisions - earned, lost, atol=1e-3)


def test_what_it_costs_to_be_apart_leads_back_to_the_policys_own_stride(
    policy: Policy, three_bodies: ProstheticsVectorEnv
) -> None:
    def apart(offsets: np.ndarray) -> float:
        """At the last of 15 decisions, in standard deviations."""
        last, own = (
            policy.normaliser(list(play(three_bodies, policy, [_SEED] * 3, one, 15))[-1].seen[0])
            for one in (offsets, np.zeros((5, 19)))
        )
        return float(np.square(last - own).mean())

    free = search_start(policy, SHORT)
    bound = search_start(policy, replace(SHORT, apart_points=1000.0))
    assert apart(bound.offsets) < 0.5 * apart(free.offsets)
    assert free.lost < bound.lost <= bound.lost_before


def test_a_search_that_is_stopped_at_once_leaves_the_policy_as_it_is(policy: Policy) -> None:
    found = search_start(policy, SHORT, stop=lambda: True)
    assert found.lost == found.lost_before
    assert not found.offsets.any()


def test_a_distilled_policy_starts_so_by_itself_and_goes_on_as_before(
    policy: Policy, three_bodies: ProstheticsVectorEnv
) -> None:
    found = FoundStart(np.random.default_rng(0).uniform(-0.5, 0.5, (5, 19)), 0.0, 0.0)
    distilled, fitted = distil(policy, found, QUICK)
    led = list(play(three_bodies, policy, [1001, 1002, 1003], found.offsets))

    def off(one: Policy, some: Sequence[Decided]) -> float:
        return float(np.mean([np.abs(one(decided.seen) - decided.action).mean() for decided in some]))

    assert off(distilled, led[:5]) < 0.3 * off(policy, led[:5])
    assert off(distilled, led[5:12]) < 0.08
    assert (distilled.contract, distilled.version) == (policy.contract, policy.version)
    assert fitted.error < fitted.error_of_the_mean


def test_a_policy_that_falls_within_its_start_is_refused(policy: Policy) -> None:
    with pytest.raises(ValueError, match="over before its start is"):
        distil(policy, FoundStart(np.zeros((40, 19)), 0.0, 0.0), QUICK)


def test_a_policy_with_drawn_holds_is_refused(policy: Policy) -> None:
    drawn = Policy(policy.actor, policy.normaliser, replace(policy.contract, frame_skip=(2, 4)), version=policy.version)
    with pytest.raises(ValueError, match=r"frame skip is drawn, \(2, 4\)"):
        search_start(drawn, SHORT)


def test_a_start_goes_no_further_than_targets_stay() -> None:
    with pytest.raises(ValueError, match=r"led_s=2 .* at most 2\.4"):
        StartConfig(led_s=2.0, after_s=0.5)


@pytest.mark.parametrize("wrong", [{"episodes": 1}, {"rounds": 0}, {"disturbances": ()}, {"shares": (0.5, 0.5, 0.5)}])
def test_nonsense_to_distil_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(QUICK, **wrong)


def scores(*means_and_falls: tuple[float, int]) -> dict[str, Score]:
    """Of a hundred episodes on each of two integrations."""
    return {
        name: Score(tuple(range(100)), (mean,) * 100, (1000,) * 100, (True,) * falls + (False,) * (100 - falls))
        for name, (mean, falls) in zip(("one", "another"), means_and_falls, strict=True)
    }


@pytest.mark.parametrize(
    ("after", "better"),
    [
        ([(9_921.0, 2), (9_921.0, 0)], True),
        ([(9_921.0, 2), (9_919.0, 0)], False),
        ([(9_921.0, 3), (9_921.0, 0)], False),
        ([(9_920.0, 0), (9_921.0, 0)], False),
    ],
)
def test_better_is_more_points_and_no_more_falls_on_both_integrations(
    policy: Policy, after: list[tuple[float, int]], better: bool
) -> None:
    before = scores((9_920.0, 2), (9_920.0, 0))
    found = FoundStart(np.zeros((5, 19)), 44.0, 34.0)
    assert Improved(policy, found, before, scores(*after)).better is better


def test_from_the_search_to_the_scores_it_tells_what_it_does(policy: Policy) -> None:
    told: list[str] = []
    improved = improve_start(policy, SHORT, QUICK, episodes=3, threads=1, tell=told.append, stop=lambda: False)
    assert [line.partition(":")[0] for line in told] == ["before", "generation 0", "searched", "distilled", "after"]
    assert list(improved.after) == list(improved.before)
    assert improved.before[AS_OSIM_RL.name].mean == pytest.approx(
        np.mean([score.episode_return for score in score_natively(policy, (2001, 2002, 2003), settings=AS_OSIM_RL)])
    )
    assert improved.facts()["lost_in_the_start"]["searched"] == improved.found.lost


def test_stopped_it_scores_nothing(policy: Policy) -> None:
    with pytest.raises(Stopped):
        improve_start(policy, SHORT, QUICK, episodes=3, threads=1, tell=lambda _: None, stop=lambda: True)


def command(policy: Path, out: Path, *more: str) -> int:
    quick = ("--seconds", "0.2", "--generations", "10", "--updates", "600", "--episodes", "2")
    return main(["improve-start", "--policy", str(policy), "--out", str(out), *quick, *more])


def test_the_command_writes_a_better_policy_with_what_made_it(
    policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, out = tmp_path / "given.safetensors", tmp_path / "better.safetensors"
    given.write_bytes(policy_bytes(policy, {"run": "walk"}))
    status = command(given, out)
    said = capsys.readouterr()
    assert status == 0, said.err
    written, provenance = read_policy(out)
    assert provenance["run"] == "walk"
    facts = provenance["improved_start"]
    assert facts["search"]["evolution"]["generations"] == 10
    assert set(facts["before"]) == set(facts["after"]) == {AS_OSIM_RL.name, ACCURATE.name}
    for physics, after in facts["after"].items():
        assert after["mean"] > facts["before"][physics]["mean"]
    again = score_natively(written, (2001, 2002), settings=AS_OSIM_RL)
    assert [score.episode_return for score in again] == pytest.approx(facts["after"][AS_OSIM_RL.name]["returns"])


def test_the_command_writes_nothing_that_is_no_better(
    policy: Policy, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Improved, "better", False)
    given, out = tmp_path / "given.safetensors", tmp_path / "better.safetensors"
    given.write_bytes(policy_bytes(policy, {}))
    assert command(given, out, "--updates", "1", "--generations", "1") == 1
    assert "not better on both integrations" in capsys.readouterr().err
    assert not out.exists()


def test_a_missing_folder_is_told_before_anything_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "none.safetensors", tmp_path / "away" / "out.safetensors") == 1
    assert "no folder" in capsys.readouterr().err
