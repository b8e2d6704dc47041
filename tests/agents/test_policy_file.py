"""A policy as one file: what comes out of it acts as what went in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.checkpoints.contract import Blob, CheckpointCorrupt
from agents.checkpoints.format import encode
from agents.policy_export import export_policy
from agents.policy_file import policy_bytes, policy_from, read_policy
from tests.policies import OBSERVATIONS, small_policy


def test_a_policy_comes_back_from_its_file_to_the_bit_with_version_and_provenance(tmp_path: Path) -> None:
    policy, path = small_policy(1), tmp_path / "walk.safetensors"
    path.write_bytes(policy_bytes(policy, {"run": "walk", "seeds": [1, 2]}))
    found, provenance = read_policy(path)
    rows = np.random.default_rng(0).standard_normal((50, OBSERVATIONS)).astype(np.float32)
    assert (found(rows) == policy(rows)).all()
    assert (found.version, found.contract) == (3, policy.contract)
    assert provenance == {"run": "walk", "seeds": [1, 2]}


def test_a_published_part_is_such_a_file_without_provenance() -> None:
    found, provenance = policy_from(encode(small_policy().to_blob()), "part")
    assert (found.version, provenance) == (0, {})


def test_safetensors_is_a_form_of_export(tmp_path: Path) -> None:
    policy, path = small_policy(2), tmp_path / "p.safetensors"
    export_policy(policy.to_blob(), 9, policy.contract, "safetensors", path, {"run": "walk"})
    found, provenance = read_policy(path)
    assert (found.version, provenance) == (9, {"run": "walk"})


def test_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no policy file"):
        read_policy(tmp_path / "absent.safetensors")
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(CheckpointCorrupt, match=r"notes.txt is no safetensors file"):
        read_policy(path)
    path.write_bytes(encode(Blob({}, {"format": "learner/1"})))
    with pytest.raises(ValueError, match=r"notes.txt: the blob's format is 'learner/1', needed 'policy/1'"):
        read_policy(path)
