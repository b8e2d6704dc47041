"""The environment and the engine alone, side by side."""

from __future__ import annotations

import pytest

from infra.bench.overhead import environment_overhead


@pytest.mark.parametrize(("frame_skip", "decisions"), [(1, 140), (4, 35)])
def test_both_move_the_same_bodies_also_past_falls(frame_skip: int, decisions: int) -> None:
    found = environment_overhead(4, decisions, 1, observation="original", frame_skip=frame_skip)  # raises otherwise
    assert 4 * 90 < found["steps"] < 4 * decisions * frame_skip
    assert found["engine_us"] > 0.0
    assert found["overhead_us"] == found["environment_us"] - found["engine_us"]
