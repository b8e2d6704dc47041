"""The mean of a run's versions as a policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.averaging import average_of, averaged
from agents.checkpoints.contract import Blob
from agents.checkpoints.memory import MemoryCheckpoints
from agents.policy import Policy
from tests.bodied import body_policy

RUN = "r"


def test_weights_and_normaliser_are_the_means_and_it_acts_by_them() -> None:
    policies = [body_policy(seed) for seed in range(3)]
    mean, parts = averaged(policies).to_blob(), [policy.to_blob() for policy in policies]
    assert mean.metadata == parts[0].metadata
    for name, array in mean.tensors.items():
        wanted = sum(part.tensors[name].astype(np.float64) for part in parts) / 3
        np.testing.assert_allclose(array, wanted, rtol=1e-6, atol=1e-9)
        assert array.dtype == parts[0].tensors[name].dtype
    seen = np.linspace(-1, 1, policies[0].contract.observation_size, dtype=np.float32)
    actions = [policy(seen) for policy in (averaged(policies), *policies)]
    assert all(not np.array_equal(actions[0], other) for other in actions[1:])
    assert np.array_equal(averaged([policies[1]] * 5)(seen), actions[2]), "the mean of alike ones is that one"


def test_what_can_not_be_averaged_is_refused() -> None:
    policy = body_policy(0)
    other = Policy(policy.actor, policy.normaliser, replace(policy.contract, bins=2), version=9)
    with pytest.raises(ValueError, match="versions 7 and 9 differ in contract"):
        averaged([policy, other])
    with pytest.raises(ValueError, match="at least one"):
        averaged([])


def test_the_stored_versions_before_the_newest_count_and_no_later_one() -> None:
    store = MemoryCheckpoints()
    for seed in range(5):
        store.publish(RUN, body_policy(seed).to_blob(), Blob({}, {}), {"updates": seed})
    newest, _ = store.load(RUN, "policy", 4)
    blob, numbers = average_of(store, newest, 3)
    assert numbers == [2, 3, 4]
    wanted = averaged([body_policy(seed) for seed in (1, 2, 3)]).to_blob()
    assert all(np.array_equal(blob.tensors[name], wanted.tensors[name]) for name in wanted.tensors)
    for wrong in (0, 5):
        with pytest.raises(ValueError, match="keeps 4 versions up to 4"):
            average_of(store, newest, wrong)
