"""Seeds that are drawn are never those of scores."""

from __future__ import annotations

import numpy as np

from agents.official.seeds import GRADER_SEEDS, HELD_OUT_SEEDS, SELECTION_SEEDS
from environment.config import EnvironmentConfig
from environment.prosthetics import ProstheticsEnv
from environment.seeds import RESERVED_SEEDS, drawn_seed
from environment.tasks import task
from environment.vector_episodes import Episodes
from tests.fakes import FakePhysics


class Lowest(np.random.Generator):
    """Draws the lowest number that it may."""

    def integers(self, low, high=None, *_, **__):  # type: ignore[no-untyped-def]
        return 0 if high is None else low


def test_no_seed_of_a_score_can_be_drawn_for_training() -> None:
    for seeds in (GRADER_SEEDS, HELD_OUT_SEEDS, SELECTION_SEEDS):
        assert max(seeds) < RESERVED_SEEDS
    assert drawn_seed(Lowest(np.random.PCG64(0))) == RESERVED_SEEDS


def test_an_environment_that_is_given_no_seed_draws_none_of_a_score() -> None:
    environment = ProstheticsEnv(EnvironmentConfig(), FakePhysics())
    environment.np_random = Lowest(np.random.PCG64(0))
    assert environment.reset()[1]["seed"] == RESERVED_SEEDS
    episodes = Episodes(task("prosthetics-round2"), 4, 1)
    episodes.begin(0, 5)
    assert episodes.seeds[0] == 5
    episodes._seeding[0] = Lowest(np.random.PCG64(0))
    episodes.begin(0, None)
    assert episodes.seeds[0] == RESERVED_SEEDS
