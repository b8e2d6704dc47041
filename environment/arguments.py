"""What kind of number an argument is. Settings are also made by hand, where no type checker sees them."""

from __future__ import annotations

from typing import Any


def is_whole(value: Any) -> bool:
    """Whether it is an int, as files and databases keep it. True is none, and 2.0 is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is an int or a float; infinities and NaN are."""
    return isinstance(value, float) or is_whole(value)
