"""Names, units and positions of the state's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from environment.state import Entry, StateLayout
from tests.environment.hand_made import LAYOUT

SMALL = StateLayout(
    (
        Entry("joint_pos/knee_r/knee_angle_r", "rad"),
        Entry("body_pos/pelvis/x", "m"),
        Entry("body_pos/pelvis/y", "m"),
        Entry("body_pos/pelvis_twin/x", "m"),
        Entry("muscles/abd_r/activation", "1"),
        Entry("muscles/abd_r/fiber_force", "N"),
        Entry("muscles/add_r/activation", "1"),
        Entry("muscles/add_r/fiber_force", "N"),
    ),
    ("joint_pos/weld", "markers"),
)


def test_a_name_may_occur_only_once() -> None:
    with pytest.raises(ValueError, match=r"more than once: \['a/b'\]"):
        StateLayout((Entry("a/b", "m"), Entry("a/c", "m"), Entry("a/b", "s")))


def test_index_names_and_units_are_in_one_order() -> None:
    assert SMALL.size == 8
    assert [SMALL.index[name] for name in SMALL.names] == list(range(8))
    assert SMALL.units == ("rad", "m", "m", "m", "1", "N", "1", "N")


@pytest.mark.parametrize(
    ("prefixes", "positions"),
    [
        (("body_pos/pelvis/y",), [2]),
        (("body_pos/pelvis",), [1, 2]),
        (("body_pos",), [1, 2, 3]),
        (("muscles/add_r", "joint_pos"), [6, 7, 0]),
    ],
)
def test_where_finds_entries_below_a_branch_and_not_its_namesakes(
    prefixes: tuple[str, ...], positions: list[int]
) -> None:
    assert SMALL.where(*prefixes).tolist() == positions


def test_where_keeps_the_order_of_the_prefixes() -> None:
    assert SMALL.where("body_pos/pelvis/y", "body_pos/pelvis/x").tolist() == [2, 1]


def test_ending_finds_one_leaf_per_child() -> None:
    assert SMALL.ending("muscles", "fiber_force").tolist() == [5, 7]


def test_children_are_listed_once_and_in_order() -> None:
    assert SMALL.children("body_pos") == ("pelvis", "pelvis_twin")
    assert SMALL.children("muscles") == ("abd_r", "add_r")
    assert SMALL.children("muscles/abd_r") == ("activation", "fiber_force")
    assert SMALL.children("nothing") == ()
    assert SMALL.children_of_root() == ("joint_pos", "body_pos", "muscles")


@pytest.mark.parametrize(
    ("wrong", "closest"),
    [
        ("muscles/abd_r/force", "below muscles/abd_r there are activation, fiber_force"),
        ("muscles/vasti_r/activation", "below muscles there are abd_r, add_r"),
        ("head/x", "below the root there are joint_pos, body_pos, muscles"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest_branch(wrong: str, closest: str) -> None:
    with pytest.raises(KeyError, match=f"has no '{wrong}'; {closest}"):
        SMALL.where(wrong)


def test_an_unknown_leaf_is_answered_with_what_its_branch_holds() -> None:
    with pytest.raises(KeyError, match="no muscles/…/force; below muscles there are abd_r, add_r"):
        SMALL.ending("muscles", "force")
    with pytest.raises(KeyError, match="no tendons/…/force; below the root there are joint_pos"):
        SMALL.ending("tendons", "force")


def test_dictionary_has_lists_named_muscle_values_and_hollow_branches() -> None:
    assert SMALL.as_dict(np.arange(8.0)) == {
        "joint_pos": {"knee_r": [0.0], "weld": []},
        "body_pos": {"pelvis": [1.0, 2.0], "pelvis_twin": [3.0]},
        "muscles": {
            "abd_r": {"activation": 4.0, "fiber_force": 5.0},
            "add_r": {"activation": 6.0, "fiber_force": 7.0},
        },
        "markers": {},
    }


def test_dictionary_carries_every_number_of_the_vector() -> None:
    def leaves(tree: object) -> list[float]:
        if isinstance(tree, dict):
            return [leaf for branch in tree.values() for leaf in leaves(branch)]
        return list(tree) if isinstance(tree, list) else [float(str(tree))]

    vector = np.random.default_rng(0).normal(size=LAYOUT.size)
    assert sorted(leaves(LAYOUT.as_dict(vector))) == sorted(vector.tolist())


def test_a_vector_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(9,\), this layout describes \(8,\)"):
        SMALL.as_dict(np.zeros(9))


def test_checksum_changes_with_a_unit_and_with_the_order() -> None:
    metres = StateLayout((Entry("a", "m"), Entry("b", "m")))
    same = StateLayout((Entry("a", "m"), Entry("b", "m")))
    other_unit = StateLayout((Entry("a", "m"), Entry("b", "mm")))
    other_order = StateLayout((Entry("b", "m"), Entry("a", "m")))
    assert metres.sha256 == same.sha256
    assert len({layout.sha256 for layout in (metres, other_unit, other_order)}) == 3


def test_target_velocity_is_appended_and_nothing_else_moves() -> None:
    with_target = SMALL.with_target()
    assert with_target.names[: SMALL.size] == SMALL.names
    assert with_target.names[SMALL.size :] == ("target_vel/x", "target_vel/y", "target_vel/z")
    assert with_target.units[SMALL.size :] == ("m/s",) * 3
    assert with_target.hollow == SMALL.hollow
    assert with_target.as_dict(np.arange(11.0))["target_vel"] == [8.0, 9.0, 10.0]
