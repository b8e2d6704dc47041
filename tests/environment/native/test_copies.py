"""A native body holds addresses of its own memory: it is one body, in one process, until it is closed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from environment.physics.models import model_path
from environment.physics.native.batch import NativeBatch
from environment.physics.native.physics import NativePhysics


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_body_s_memory_is_not_copied_or_pickled(copied: object) -> None:
    body = NativePhysics(model_path("3D_pros"))
    with pytest.raises(TypeError, match="can not be copied or pickled"):
        copied(body._engine._bodies)  # type: ignore[operator]


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_whole_body_is_not_copied_or_pickled(copied: object) -> None:
    with pytest.raises(TypeError):
        copied(NativePhysics(model_path("3D_pros")))  # type: ignore[operator]


def test_a_closed_simulator_says_so() -> None:
    body = NativePhysics(model_path("3D_pros"))
    body.reset()
    body.close()
    with pytest.raises(RuntimeError, match="was closed"):
        body.reset()
    batch = NativeBatch(model_path("3D_pros"), number=16, threads=2)
    batch.reset()
    batch.close()
    batch.reset()
    with pytest.raises(RuntimeError, match="was closed"):
        batch.step(np.zeros((16, 19)))


def test_the_model_of_2017_that_starts_deep_in_the_floor_can_be_stepped() -> None:
    body = NativePhysics(model_path("3D").with_name("gait9dof18musc_20170320.osim"))
    body.reset()
    assert np.isfinite(body.step(np.full(18, 0.3))).all()
