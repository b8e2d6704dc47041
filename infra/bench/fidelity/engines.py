"""Where the engine under test comes from. It is imported only when asked for: it compiles."""

from __future__ import annotations

from pathlib import Path

from environment.physics.contract import Physics
from infra.bench.fidelity.oracle import RightHandSide


def native_right_hand_side(path: Path) -> RightHandSide:
    """The native engine of a model file, to be asked at any states."""
    from environment.physics.native.probe import NativeOracle

    return NativeOracle(path)


def native_physics(path: Path, *, tight: bool) -> Physics:
    """The native engine as a simulator, at its default setting or at its tightest."""
    from environment.physics.native.physics import DEFAULT, TIGHT, NativePhysics

    return NativePhysics(path, TIGHT if tight else DEFAULT)
