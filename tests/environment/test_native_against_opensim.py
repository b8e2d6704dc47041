"""The native engine gives what OpenSim gives: at single states of every kind, and over whole falls.

`python -m infra bench fidelity` does the same on 10,000 states of each model and on 200 episodes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from environment.physics.models import model_path
from environment.physics.native.physics import DEFAULT, TIGHT, NativePhysics
from environment.physics.native.probe import NativeOracle
from environment.physics.opensim import OpenSimPhysics
from environment.rewards import round1, round2
from infra.bench.fidelity.coverage import check_coverage
from infra.bench.fidelity.episodes import Episode, play
from infra.bench.fidelity.models import NAMES, fidelity_model_path
from infra.bench.fidelity.oracle import Oracle
from infra.bench.fidelity.policies import Policy
from infra.bench.fidelity.probe import Probe
from infra.bench.fidelity.references import REFERENCE
from infra.bench.fidelity.rhs import differences
from infra.bench.fidelity.states import Labelled, labelled
from infra.bench.fidelity.trajectories import pair

pytestmark = pytest.mark.opensim

STATES = 1200
POLICIES = (Policy("binary", 1), Policy("smooth", 2), Policy("constant-0", 1))


@cache
def sampled(name: str) -> tuple[Probe, Labelled]:
    probe = Probe(Oracle(fidelity_model_path(name)))
    return probe, labelled(probe, STATES, 3)


@pytest.mark.parametrize("name", NAMES)
def test_rates_and_every_number_of_the_state_are_opensim_s(name: str) -> None:
    probe, found = sampled(name)
    check_coverage(probe, found)
    classes = differences(NativeOracle(probe.oracle.path), probe.oracle, found)
    assert [one for one in classes if not one.within] == []
    assert sum(one.states for one in classes) >= STATES


def test_every_contact_pushes_when_opensim_s_early_exit_is_switched_off() -> None:
    probe, found = sampled("3D_pros")
    skipped = found.of("contact-skip")
    left_out = probe.skipped_force_n(skipped) > 1.0
    assert 10 < left_out.sum() < len(skipped) - 10
    arrays = (skipped.q, skipped.u, skipped.a, skipped.l, skipped.e)
    vectors = NativeOracle(probe.oracle.path, skip_contacts=False).state_vectors(*arrays)
    truth = probe.oracle.state_vectors(*arrays)
    floor = [i for i, name in enumerate(probe.oracle.layout.names) if name.endswith("/ground.force.Y")]
    missing_n = (truth - vectors)[:, floor].sum(axis=1)
    np.testing.assert_allclose(missing_n, probe.skipped_force_n(skipped), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", [round1, round2])
def test_rewards_of_the_same_state_are_equal(rule: object) -> None:
    probe, found = sampled("3D_pros")
    states = found.of("gait")
    arrays = (states.q, states.u, states.a, states.l, states.e)
    target = np.tile([1.25, 0.0, 0.3], (len(states), 1))
    layout = probe.oracle.layout.with_target()
    ours, theirs = (
        rule(layout).evaluate(np.concatenate((engine.state_vectors(*arrays), target), axis=1))  # type: ignore[operator]
        for engine in (NativeOracle(probe.oracle.path), probe.oracle)
    )
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-9, atol=1e-9)


@cache
def reference(policy: Policy) -> Episode:
    return play(OpenSimPhysics(model_path("3D_pros"), REFERENCE), policy)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_whole_fall_at_the_tight_setting_is_opensim_s(policy: Policy) -> None:
    truth = reference(policy)
    ours = play(NativePhysics(model_path("3D_pros"), TIGHT), policy, excitations=truth.excitations)
    found = pair(policy.name, ours, truth)
    assert found.error_mm.max() <= 0.01
    assert found.fall_steps[0] == found.fall_steps[1] == len(truth.rewards)


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_whole_fall_at_the_default_setting_is_opensim_s_to_a_millimetre(policy: Policy) -> None:
    truth = reference(policy)
    ours = play(NativePhysics(model_path("3D_pros"), DEFAULT), policy, excitations=truth.excitations)
    found = pair(policy.name, ours, truth)
    assert found.error_mm.max() <= 1.0
    assert found.first_return_error_percent <= 0.5
    assert found.fall_steps[0] == found.fall_steps[1] == len(truth.rewards)


def test_fifteen_control_steps_at_the_tight_setting_are_opensim_s() -> None:
    policy = Policy("binary", 5)
    actions = policy.excitations(19)[:15]
    truth = play(OpenSimPhysics(model_path("3D_pros"), REFERENCE), policy, excitations=actions)
    ours = play(NativePhysics(model_path("3D_pros"), TIGHT), policy, excitations=actions)
    assert pair(policy.name, ours, truth).error_mm.max() <= 1e-3
    np.testing.assert_allclose(ours.rewards, truth.rewards, rtol=1e-6)


def test_reset_states_are_equal() -> None:
    native, opensim = NativePhysics(model_path("3D_pros")), OpenSimPhysics(model_path("3D_pros"))
    ours, theirs = native.reset(), opensim.reset()
    assert native.layout.names == opensim.layout.names
    rates = native.layout.where("joint_acc", "body_acc", "body_acc_rot", "misc/mass_center_acc")
    allowed = np.maximum(1e-6 * np.abs(theirs), 1e-9)
    # Both solve each muscle's equilibrium to a tolerance: what is left over moves the feet's accelerations most.
    allowed[rates] = np.maximum(allowed[rates], 1e-6)
    assert (np.abs(ours - theirs) / allowed).max() <= 1.0
