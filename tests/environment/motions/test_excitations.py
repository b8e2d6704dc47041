"""Excitations are found back from the activations that they led to."""

from __future__ import annotations

import numpy as np
import pytest

from environment.motions.excitations import ActivationDynamics
from environment.osim_file import read_model
from environment.physics.native.physics import NativePhysics
from tests.motions import MODEL

DYNAMICS = ActivationDynamics(read_model(MODEL).muscles)


@pytest.mark.parametrize("held", [1, 4])
@pytest.mark.parametrize("strength", [1.0, 0.1])
def test_what_the_engine_was_given_is_found_from_where_its_activations_went(held: int, strength: float) -> None:
    physics, generator = NativePhysics(MODEL), np.random.default_rng(2)
    places = physics.layout.activations
    before, after, given = [physics.reset()[places]], [], []
    for _ in range(12):
        given.append(strength * generator.random(19))
        after.append([physics.step(given[-1])[places] for _ in range(held)][-1])
        before.append(after[-1])
    found = DYNAMICS.excitations(np.stack(before[:-1]), np.stack(after), held)
    np.testing.assert_allclose(found, np.stack(given), atol=0.01)


def test_what_no_excitation_leads_to_is_approached_as_far_as_one_can() -> None:
    before, after = np.full((1, 19), 0.5), np.array([[0.99] * 9 + [0.01] * 10])
    found = DYNAMICS.excitations(before, after, 1)
    np.testing.assert_allclose(found, [[1.0] * 9 + [0.0] * 10], atol=1e-6)
