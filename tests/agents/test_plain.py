"""Plain data to frozen dataclasses and back: what fits, what is refused and with which words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from agents.plain import ConfigError, from_plain, to_plain, with_settings


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 0.5
    levels: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError(f"rate={self.rate} must not be negative")


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str = "a"
    count: int = 3
    on: bool = False
    skip: int | tuple[int, int] = 4
    bins: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["slow", "fast"] = "slow"
    inner: Inner = field(default_factory=Inner)


CHANGED = Outer(
    name="b",
    count=-1,
    on=True,
    skip=(1, 5),
    bins=2,
    weights={"lean": 0.25, "height": 2.0},
    anything={"deep": {"list": [1, {"x": None}]}},
    mode="fast",
    inner=Inner(rate=0.0, levels=(7,)),
)


@pytest.mark.parametrize("value", [Outer(), CHANGED])
def test_a_dataclass_survives_the_way_to_plain_data_and_back(value: Outer) -> None:
    assert from_plain(Outer, to_plain(value)) == value


def test_plain_data_holds_only_what_json_holds() -> None:
    assert to_plain(CHANGED) == {
        "name": "b",
        "count": -1,
        "on": True,
        "skip": [1, 5],
        "bins": 2,
        "weights": {"lean": 0.25, "height": 2.0},
        "anything": {"deep": {"list": [1, {"x": None}]}},
        "mode": "fast",
        "inner": {"rate": 0.0, "levels": [7]},
    }


def test_settings_left_out_keep_their_defaults() -> None:
    assert from_plain(Outer, {"inner": {"rate": 0.25}}) == Outer(inner=Inner(rate=0.25))


def test_whole_numbers_become_floats_where_floats_are_meant_zero_too() -> None:
    for number in (0, 2):
        rate = from_plain(Outer, {"inner": {"rate": number}}).inner.rate
        assert (rate, type(rate)) == (float(number), float)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"nmae": "x"}, "no setting 'nmae'; did you mean 'name'"),
        ({"inner": {"rat": 1}}, "no setting 'inner.rat'; did you mean 'rate'"),
        ({"zzz": 1}, "no setting 'zzz'; there are anything, bins, count"),
        ({"count": 1.5}, "count is 1.5, it must be int"),
        ({"count": True}, "count is True, it must be int"),
        ({"count": "3"}, "count is '3', it must be int"),
        ({"on": 1}, "on is 1, it must be bool"),
        ({"name": 4}, "name is 4, it must be str"),
        ({"inner": {"rate": "fast"}}, "inner.rate is 'fast', it must be float"),
        ({"inner": {"rate": False}}, "inner.rate is False, it must be float"),
        ({"inner": 3}, "inner is 3, it must be a table of settings"),
        ({"inner": {"rate": -1.0}}, r"inner: rate=-1.0 must not be negative"),
        ({"inner": {"levels": [1, "x"]}}, "inner.levels is .* it must be"),
        ({"inner": {"levels": 1}}, "inner.levels is 1, it must be"),
        ({"skip": [1, 2, 3]}, r"skip is \[1, 2, 3\], it must be int or tuple\[int, int\]"),
        ({"skip": None}, "skip is None"),
        ({"bins": "none"}, "bins is 'none', it must be int or none"),
        ({"weights": {"lean": "much"}}, "weights is .* it must be"),
        ({"weights": [1]}, "weights is .* it must be"),
        ({"mode": "medium"}, "mode is 'medium', it must be .*slow.*fast"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_plain(Outer, data)


def test_dotted_settings_lie_on_top_and_change_neither_argument() -> None:
    data = {"inner": {"rate": 1.0}, "name": "x"}
    settings = {"inner.levels": [3], "count": 8, "anything.a.b": None}
    assert with_settings(data, settings) == {
        "inner": {"rate": 1.0, "levels": [3]},
        "name": "x",
        "count": 8,
        "anything": {"a": {"b": None}},
    }
    assert data == {"inner": {"rate": 1.0}, "name": "x"}
    assert settings == {"inner.levels": [3], "count": 8, "anything.a.b": None}


def test_a_path_through_a_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"inner.rate is 1.0 and no table, so there is no setting 'inner.rate.x'"):
        with_settings({"inner": {"rate": 1.0}}, {"inner.rate.x": 1})


def test_not_a_number_stays_not_a_number() -> None:
    assert math.isnan(from_plain(Inner, {"rate": math.nan}).rate)
