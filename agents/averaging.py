"""One policy of many: the mean of the weights of a run's versions.

Neighbouring versions of a learner that goes on differ by hundreds of points, for the critic is never right everywhere;
what they differ in averages out, what they have learned stays. After Izmailov et al., Averaging Weights Leads to Wider
Optima and Better Generalization (arXiv 1803.05407), and for policies Nikishin et al., Improving Stability in Deep
Reinforcement Learning with Weight Averaging (2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.checkpoints.contract import Blob, CheckpointStore, Version
from agents.policy import Policy


def averaged(policies: Sequence[Policy]) -> Policy:
    """The policy whose weights and normaliser are the means of theirs; its version is the newest one's.

    Only versions of one run that follow each other have a meaningful mean: networks that were trained apart do not
    agree on what their hidden units are.

    Raises: ValueError when there are none, or their contracts or networks differ.
    """
    if not policies:
        raise ValueError("there are no policies to average, needed at least one")
    blobs = [policy.to_blob() for policy in policies]
    first = blobs[0]
    for policy, blob in zip(policies, blobs, strict=True):
        differing = [name for name, value in blob.metadata.items() if value != first.metadata.get(name)]
        if differing:
            raise ValueError(
                f"versions {policies[0].version} and {policy.version} differ in {', '.join(differing)}; only versions "
                "of one run can be averaged"
            )
    tensors = {
        # In double precision: a hundred float32 numbers lose two digits otherwise.
        name: np.mean([blob.tensors[name] for blob in blobs], axis=0, dtype=np.float64).astype(array.dtype)
        for name, array in first.tensors.items()
    }
    newest = max(policy.version for policy in policies)
    return Policy.from_blob(Blob(tensors, dict(first.metadata)), version=newest)


def average_of(store: CheckpointStore, newest: Version, count: int) -> tuple[Blob, list[int]]:
    """The `policy` part of the mean of `count` stored versions, `newest` and those before it, and their numbers.

    Raises: ValueError when fewer are kept; CheckpointCorrupt.
    """
    kept = [version.number for version in store.versions(newest.run) if version.number <= newest.number]
    if not 1 <= count <= len(kept):
        raise ValueError(
            f"--average {count}: run {newest.run!r} keeps {len(kept)} versions up to {newest.number}, needed from 1 to "
            "so many; a run keeps the newest `learner.keep_versions`"
        )
    numbers = kept[-count:]
    loaded = [store.load(newest.run, "policy", number) for number in numbers]
    policies = [Policy.from_blob(blob, version=version.number) for version, blob in loaded]
    return averaged(policies).to_blob(), numbers
