"""Where a policy to score comes from: the box, a file, an S3 URI, or a run's versions."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import agents
from agents.checkpoints.contract import CheckpointMissing, CheckpointStore
from agents.checkpoints.s3 import S3Checkpoints, S3Objects
from agents.confirmation import Facts, best_evaluation, comparable
from agents.connections import load_env
from agents.evaluator import EVALUATED
from agents.policy import Policy
from agents.policy_file import policy_from, provenance_of, read_policy
from agents.replay.contract import Replay

BOX = Path(agents.__file__).parent / "box" / "walk.safetensors"
"""The policy that is published with the project."""
_URI = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)")
_VERSION = re.compile(r"(?:(?P<prefix>.*)/)?(?P<run>[^/]+)/versions/(?P<number>\d+)(?:/(?P<object>[^/]*))?")
_POLICY_OBJECTS = (None, "", "policy.safetensors", "manifest.json")


@dataclass(frozen=True, slots=True)
class Source:
    """A policy, and what is known of it."""

    name: str
    policy: Policy = field(repr=False)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def in_the_box(path: Path = BOX) -> Source:
    """Raises: FileNotFoundError when there is none."""
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no policy in the box yet (agents/{path.parent.name}/{path.name} is missing); name one with "
            "--policy FILE, --policy s3://BUCKET/runs/NAME/versions/NUMBER or --run NAME, or put one there with "
            "`python -m agents export-policy --format safetensors`"
        )
    policy, provenance = read_policy(path)
    return _source("the policy in the box", policy, provenance)


def named(policy: str) -> Source:
    """Of a file, or of an S3 URI: a version of a run, or any object that holds a policy.

    Raises: FileNotFoundError, CheckpointMissing, CheckpointCorrupt, CheckpointStoreUnavailable, ValueError.
    """
    if policy.startswith("s3:"):
        return _from_s3(policy)
    found, provenance = read_policy(Path(policy))
    return _source(policy, found, provenance)


def of_run(replay: Replay, store: CheckpointStore, run: str, version: int | str | None) -> Source:
    """A version of a run by number, its `best` evaluated one, or its newest (None).

    Raises: CheckpointMissing when there is none.
    """
    number = best_version(replay, run) if version == "best" else version
    return _published(store, run, None if number is None else int(number))


def best_version(replay: Replay, run: str) -> int:
    """The best one as the newest evaluations count it: on their physics, seeds and reference.

    Raises: CheckpointMissing when none counts yet.
    """
    noted: list[Facts] = [event["details"] for event in replay.events(run, EVALUATED)]
    alike = [facts for facts in noted if comparable(facts) == comparable(noted[-1])]
    best = best_evaluation(alike)
    if best is None:
        raise CheckpointMissing(
            f"run {run!r} has no best version: {len(noted)} evaluations were noted, none of them confirmed; "
            "leave --version out for the newest"
        )
    return int(best["version"])


def _from_s3(uri: str) -> Source:
    found = _URI.fullmatch(uri)
    if found is None:
        raise ValueError(f"{uri!r} is no S3 URI; needed s3://BUCKET/KEY, e.g. s3://BUCKET/runs/NAME/versions/00000012")
    load_env()
    bucket, key, endpoint = found["bucket"], found["key"], os.environ.get("AWS_ENDPOINT_URL_S3") or None
    version = _VERSION.fullmatch(key)
    if version is not None and version["object"] in _POLICY_OBJECTS:
        # By way of the manifest, so that the checksum is compared.
        with closing(S3Checkpoints(bucket, endpoint, version["prefix"] or "")) as store:
            return _published(store, version["run"], int(version["number"]))
    with closing(S3Objects(bucket, endpoint)) as objects:
        stored = objects.get(key)
    if stored is None:
        raise CheckpointMissing(f"there is no object {uri}; a version is named s3://BUCKET/runs/NAME/versions/NUMBER")
    policy, provenance = policy_from(stored.data, uri)
    return _source(uri, policy, provenance)


def _source(name: str, policy: Policy, provenance: Mapping[str, Any]) -> Source:
    # A part of a checkpoint that lies about by itself does not know its number.
    return Source(f"{name}, version {policy.version}" if policy.version else name, policy, provenance)


def _published(store: CheckpointStore, run: str, number: int | None) -> Source:
    version, blob = store.load(run, "policy", number)
    policy = Policy.from_blob(blob, version=version.number)
    return Source(f"version {version.number} of run {run}", policy, provenance_of(version))
