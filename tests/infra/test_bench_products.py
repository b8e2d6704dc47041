"""Single products are measured right: the same product by both, and every gradient's shape."""

from __future__ import annotations

import time

import pytest
import torch

from agents import onednn
from infra.bench.learner.products import best_seconds, measured


def test_rows_are_a_layer_s_outputs_and_both_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    multiplied = onednn.multiplied

    def watched(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(first.shape), tuple(second.shape)))
        found = multiplied(first, second)
        torch.testing.assert_close(found, first @ second)
        return found

    monkeypatch.setattr(onednn, "multiplied", watched)
    rows = list(measured(8, [(6, 5)], threads=1, budget_s=0.0))
    assert set(seen) == {((8, 6), (6, 5)), ((8, 5), (5, 6)), ((5, 8), (8, 6))}
    assert [row["name"].split(", ")[2] for row in rows] == ["outputs", "gradient of inputs", "gradient of weights"]
    for row in rows:
        assert row["ratio"] == pytest.approx(row["value"] / row["peer_value"])
        assert row["ratio"] > 0
        assert row["taken"] is False, "such small ones are torch's"


def test_each_call_has_its_turn_and_its_own_best() -> None:
    def slow() -> torch.Tensor:
        time.sleep(0.02)
        return torch.zeros(1)

    def slower() -> torch.Tensor:
        time.sleep(0.06)
        return torch.zeros(1)

    quick, late = best_seconds((slow, slower), budget_s=0.1)
    assert 0.02 <= quick < late
    assert late >= 0.06
