"""Blue at rest, red in full action."""

from __future__ import annotations

import numpy as np

from environment.rendering.colours import activation_colours, linear


def test_the_more_active_the_redder_and_the_less_blue() -> None:
    colours = activation_colours(np.linspace(0, 1, 50)).astype(int)
    assert colours.shape == (50, 3)
    assert (np.diff(colours[:, 0]) > 0).all()
    assert (np.diff(colours[:, 2]) < 0).all()
    assert colours[0, 2] > 2 * colours[0, 0]
    assert colours[-1, 0] > 4 * colours[-1, 2]


def test_what_is_outside_the_range_counts_as_its_end() -> None:
    np.testing.assert_array_equal(activation_colours(np.array([-0.1, 1.3])), activation_colours(np.array([0.0, 1.0])))


def test_light_is_less_than_its_colour_but_for_black_and_white() -> None:
    assert linear(np.array([0, 255, 128], np.uint8)).tolist() == [0, 255, 56]
