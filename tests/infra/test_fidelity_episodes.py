"""Whole episodes: fixed actions, kept references, a deadline, and what two episodes are compared by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from environment.physics.models import file_sha256, model_path
from environment.physics.opensim import OpenSimPhysics
from environment.physics.settings import OpenSimSettings
from infra.bench.fidelity.episodes import ACTIONS_OVER, DEADLINE, DeadlinePlayer, Episode, play
from infra.bench.fidelity.policies import DRAWN, MOST_STEPS, REPLAY, Policy, mixed_policies
from infra.bench.fidelity.references import REFERENCE, References
from infra.bench.fidelity.trajectories import agreement, pair, summary

MODEL = model_path("3D_pros")
LOOSE = OpenSimSettings("SemiExplicitEuler2", 1e-2)


def straight(
    length: int, *, off_m: float = 0.0, reward: float = 10.0, ended: str = "fall", seconds: float = 1.0
) -> Episode:
    """A centre of mass that goes up a line, `off_m` beside it at the last step."""
    center = np.zeros((length + 1, 3))
    center[:, 1] = np.arange(length + 1)
    center[-1, 2] = off_m
    excitations = np.zeros((length, 19), np.float32)
    return Episode(excitations, center, np.full(length, reward), np.zeros((length + 1, 3)), ended, seconds)


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_actions_are_excitations_and_the_same_for_a_seed(kind: str) -> None:
    first, again, other = (Policy(kind, seed).excitations(19) for seed in (3, 3, 4))
    assert first.shape == (MOST_STEPS, 19)
    assert first.dtype == np.float32
    assert first.min() >= 0.0
    assert first.max() <= 1.0
    assert (first == again).all()
    assert (first != other).any() != kind.startswith("constant")


def test_random_kinds_are_what_they_are_called() -> None:
    binary, smooth, continuous = (Policy(kind, 1).excitations(19) for kind in ("binary", "smooth", "continuous"))
    assert set(np.unique(binary)) == {0.0, 1.0}
    assert (binary.reshape(75, 4, 19) == binary[::4, None]).all()
    assert 0.0 < np.abs(np.diff(smooth, axis=0)).max() < 0.12
    held = np.diff(np.flatnonzero(np.r_[True, (np.diff(continuous, axis=0) != 0).any(axis=1), True]))
    assert (held.min(), held.max()) == (1, 8)


def test_replayed_actions_come_first_and_are_named_after_what_they_hold(tmp_path: Path) -> None:
    file, other = tmp_path / "standing.npy", tmp_path / "other.npy"
    np.save(file, np.full((7, 19), 0.25))
    np.save(other, np.full((7, 19), 0.5))
    policies = mixed_policies(200, [file])
    assert policies[0].excitations(19).tolist() == np.full((7, 19), 0.25).tolist()
    assert policies[0].name != Policy(REPLAY, 1, other).name
    assert len({policy.name for policy in policies}) == 200
    kinds = [policy.kind for policy in policies]
    assert {kind: kinds.count(kind) for kind in ("binary", "smooth", "continuous")} == {
        "binary": 66, "smooth": 65, "continuous": 65,
    }  # fmt: skip
    assert set(kinds[:10]) == {*DRAWN, REPLAY}


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (np.zeros((5, 18)), "needed .steps, 19 excitations."),
        (np.full((5, 19), -0.5), "outside .0, 1.; were policy outputs"),
        (np.full((5, 19), np.nan), "outside .0, 1."),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, held: np.ndarray, message: str) -> None:
    np.save(tmp_path / "actions.npy", held)
    with pytest.raises(ValueError, match=message):
        Policy(REPLAY, 1, tmp_path / "actions.npy").excitations(19)


def test_a_policy_that_is_no_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="no policy kind 'walk'"):
        Policy("walk", 1)
    with pytest.raises(ValueError, match="replay needs a file"):
        Policy(REPLAY, 1)


def test_a_pair_is_compared_over_the_steps_that_both_took() -> None:
    ours, truth = straight(120, off_m=0.004, reward=9.0), straight(130)
    found = pair("x", ours, truth)
    assert found.error_mm.shape == (120,)
    assert found.error_mm.max() == pytest.approx(4.0)
    assert found.first_return_error_percent == pytest.approx(10.0)
    assert found.fall_steps == (120, 130)
    assert found.returns == (1080.0, 1300.0)


def test_the_summary_tells_the_first_second_from_the_whole_episode() -> None:
    pairs = [
        pair("late", straight(120, off_m=0.009), straight(120)),
        pair("early", straight(50, off_m=0.002), straight(50)),
        pair("up", straight(100, ended="time_limit"), straight(90)),
    ]
    found = summary(pairs, 3.0)
    assert (found.episodes, found.steps, found.steps_per_s) == (3, 270, 90.0)
    assert found.first_error_mm == pytest.approx(2.0)
    assert found.whole_error_mm == pytest.approx(9.0)
    assert found.worst == "early"
    assert found.same_fall_step == pytest.approx(2 / 3)
    assert found.most_steps_apart == 10
    assert 0.9 < found.return_correlation < 0.9999


def test_a_fall_where_the_reference_stands_is_no_agreement() -> None:
    found = summary([pair("x", straight(50), straight(50, ended="time_limit"))], 1.0)
    assert found.same_fall_step == 0.0


def test_nothing_to_compare_with_is_an_error() -> None:
    with pytest.raises(ValueError, match="bench references"):
        agreement(None, [])  # type: ignore[arg-type]


def test_references_come_back_as_they_were_kept(tmp_path: Path) -> None:
    store, policy = References(tmp_path, "a" * 64), Policy("binary", 3)
    assert store.load(policy) is None
    assert store.stored([policy]) == []
    kept = replace(straight(7, off_m=0.1), ended="simulator_error: x")
    store.save(policy, kept)
    found = store.load(policy)
    assert found is not None
    assert (found.ended, found.seconds, found.fall_step) == ("simulator_error: x", 1.0, None)
    assert found.mass_center_m.tobytes() == kept.mass_center_m.tobytes()
    assert References(tmp_path, "b" * 64).load(policy) is None
    assert [path.suffix for path in tmp_path.rglob("*.*")] == [".npz"]


def test_a_damaged_reference_says_what_to_do(tmp_path: Path) -> None:
    store, policy = References(tmp_path, "a" * 64), Policy("binary", 3)
    store.save(policy, straight(3))
    np.savez(store.path(policy), rewards=np.zeros(3))
    with pytest.raises(ValueError, match=r"lacks .*; delete it"):
        store.load(policy)


@pytest.mark.opensim
def test_references_are_computed_once_and_equal_the_simulator_s_own(tmp_path: Path) -> None:
    actions = tmp_path / "few.npy"
    np.save(actions, np.full((3, 19), 0.1))
    policy = Policy(REPLAY, 5, actions)
    store = References(tmp_path, file_sha256(MODEL))
    (first,) = store.complete([policy], lambda: DeadlinePlayer(MODEL, LOOSE, 60.0))
    assert first.episode.ended == ACTIONS_OVER
    assert first.episode.mass_center_m.shape == (4, 3)
    (again,) = store.complete([policy], lambda: pytest.fail("computed again"))
    here = play(OpenSimPhysics(MODEL, LOOSE), policy)
    for one in (again.episode, here):
        assert one.mass_center_m.tobytes() == first.episode.mass_center_m.tobytes()
        assert one.y.tobytes() == first.episode.y.tobytes()
        assert one.rewards.tobytes() == first.episode.rewards.tobytes()


@pytest.mark.opensim
def test_an_episode_over_its_deadline_is_kept_as_such_and_the_next_one_is_played(tmp_path: Path) -> None:
    actions = tmp_path / "few.npy"
    np.save(actions, np.full((2, 19), 0.1))
    long, short = Policy("binary", 1), Policy(REPLAY, 5, actions)
    with DeadlinePlayer(MODEL, OpenSimSettings("RungeKuttaMerson", 1e-10), 5.0) as player:
        stopped, played = player.play(long), player.play(short)
    assert (stopped.ended, len(stopped.rewards)) == (DEADLINE, 0)
    assert (played.ended, len(played.rewards)) == (ACTIONS_OVER, 2)
    store = References(tmp_path, "a" * 64)
    store.save(long, stopped)
    assert store.stored([long])[0].episode.ended == DEADLINE


@pytest.mark.opensim
def test_a_looser_integrator_strays_and_the_recorded_actions_are_played_exactly() -> None:
    policy = Policy("smooth", 2)
    tight = play(
        OpenSimPhysics(MODEL, replace(REFERENCE, accuracy=1e-4)), policy, excitations=policy.excitations(19)[:20]
    )
    loose = play(OpenSimPhysics(MODEL, LOOSE), policy, excitations=tight.excitations)
    assert (loose.excitations == tight.excitations).all()
    assert 1e-4 < pair("x", loose, tight).error_mm.max() < 10.0
