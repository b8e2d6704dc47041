"""A policy as one file, in the format of published checkpoints: safetensors with the contract and the provenance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.checkpoints.contract import Blob, Version
from agents.checkpoints.format import decode, encode
from agents.policy import Policy

VERSION, PROVENANCE = "version", "provenance"
"""In the file's metadata, beside those of the policy: number of the checkpoint, and how it was made."""


def policy_bytes(policy: Policy, provenance: Mapping[str, Any]) -> bytes:
    """For `policy_from`. Raises: ValueError when the provenance is not JSON."""
    blob = policy.to_blob()
    return encode(Blob(blob.tensors, {**blob.metadata, VERSION: policy.version, PROVENANCE: dict(provenance)}))


def policy_from(data: bytes, name: str) -> tuple[Policy, dict[str, Any]]:
    """The policy in a safetensors file, and its provenance; empty for a part of a checkpoint, which carries none.

    Raises: CheckpointCorrupt when it is no such file; ValueError when it holds no policy.
    """
    blob = decode(data, name)
    try:
        policy = Policy.from_blob(blob, version=int(blob.metadata.get(VERSION, 0)))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return policy, dict(blob.metadata.get(PROVENANCE, {}))


def read_policy(path: Path) -> tuple[Policy, dict[str, Any]]:
    """The same of a file. Raises: FileNotFoundError, too."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no policy file {path}")
    return policy_from(path.read_bytes(), str(path))


def provenance_of(version: Version) -> dict[str, Any]:
    """What a published version says of itself, for a file that leaves its run."""
    return {
        "run": version.run,
        "version": version.number,
        "published": version.published.isoformat(),
        "metadata": dict(version.metadata),
    }
