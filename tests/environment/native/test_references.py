"""Machine code reads and writes named tuples of arrays in place."""

# Machine code: Numba infers the types.
# mypy: disallow-untyped-defs=False, check-untyped-defs=False
# mypy: disallow-untyped-decorators=False, disallow-untyped-calls=False

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import njit

from environment.physics.native.references import Directory, referrer
from environment.physics.native.tables import Floats, Integers


class Inside(NamedTuple):
    """A part of another one."""

    counts: Integers
    grid: Floats


class Outside(NamedTuple):
    """All kinds of fields."""

    row: Floats
    inside: Inside
    numbers: Integers
    out: Floats
    whole: Integers


_constant, _open = referrer(Outside, constant=True), referrer(Outside, constant=False)


@njit
def _copy(entries):
    source, target = _constant(entries), _open(entries)
    row, inside = source.row, source.inside
    target.out[0, 0] = row[2]
    target.out[0, 1] = inside.grid[1, 2]
    target.out[1, 0] = inside.grid[inside.counts[1], source.numbers[0, 1]]
    target.out[1, 1] = len(row) + 10 * len(inside.grid) + 100 * len(inside.counts) + 1000 * len(source.numbers)
    target.whole[0] = inside.counts[0] + source.numbers[1, 0]
    target.whole[1] = 7


def arrays() -> Outside:
    return Outside(
        row=np.array([1.5, 2.5, 3.5]),
        inside=Inside(np.array([40, 3], np.int64), np.arange(20.0).reshape(5, 4)),
        numbers=np.array([[5, 1], [2, 9]], np.int64),
        out=np.zeros((2, 2)),
        whole=np.zeros(2, np.int64),
    )


def test_rows_grids_whole_numbers_and_nested_tuples_are_read_and_written_in_place() -> None:
    directory = Directory(arrays())
    _copy(directory.entries)
    assert directory.arrays.out.tolist() == [[3.5, 6.0], [13.0, 3 + 50 + 200 + 2000]]
    assert directory.arrays.whole.tolist() == [42, 7]


def test_machine_code_sees_what_is_written_between_two_calls() -> None:
    directory = Directory(arrays())
    _copy(directory.entries)
    directory.arrays.row[2] = -1.0
    directory.arrays.inside.counts[1] = 0
    _copy(directory.entries)
    assert directory.arrays.out[:, 0].tolist() == [-1.0, 1.0]


def test_a_directory_keeps_its_arrays_alive() -> None:
    directory = Directory(arrays())
    addresses = directory.entries[::3].tolist()
    found = [a.ctypes.data for a in (directory.arrays.row, *directory.arrays.inside, *directory.arrays[2:])]
    assert addresses == found


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros(3, np.float32),
        np.zeros(3, np.int32),
        np.zeros(3, bool),
        np.zeros(6)[::2],
        np.zeros((3, 4)).T,
    ],
    ids=["float32", "int32", "bool", "every second", "transposed"],
)
def test_an_array_of_another_kind_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="to be a contiguous array of"):
        Directory(arrays()._replace(row=bad))
    with pytest.raises(TypeError, match="to be a contiguous array of"):
        Directory(arrays()._replace(inside=Inside(np.zeros(2, np.int64), bad)))
