"""Frozen dataclasses to and from plain data: what a TOML file, a MongoDB document and a command-line flag can hold."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class ConfigError(ValueError):
    """A setting that does not exist or does not fit. Names it by its path."""


def to_plain(value: Any) -> Any:
    """Dataclasses become dicts, tuples lists; numbers, strings, booleans and None stay."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], data: Mapping[str, Any], path: str = "") -> T:
    """Builds the dataclass `kind`; settings that `data` leaves out keep their defaults.

    Raises: ConfigError for an unknown setting (with the closest one that exists), a wrong type or a refused value.
    """
    hints = get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in data.items():
        where = f"{path}.{key}" if path else key
        if key not in known:
            near = get_close_matches(key, known, 1)
            raise ConfigError(
                f"no setting {where!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}")
            )
        values[key] = _convert(hints[key], value, where)
    try:
        return kind(**values)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{path or kind.__name__}: {error.args[0]}") from error


def with_settings(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with dotted paths set, e.g. `{"learner.batch_size": 128}`; neither argument is changed.

    Raises: ConfigError for a path that leads through a value.
    """
    result = to_plain(data)
    for path, value in settings.items():
        *branches, leaf = path.split(".")
        node = result
        for depth, branch in enumerate(branches, 1):
            node = node.setdefault(branch, {})
            if not isinstance(node, dict):
                found = ".".join(branches[:depth])
                raise ConfigError(f"{found} is {node!r} and no table, so there is no setting {path!r}")
        node[leaf] = value
    return dict(result)


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} is {value!r}, it must be a table of settings")
        return from_plain(hint, value, where)
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        matched, converted = _match(option, value)
        if matched:
            return converted
    raise ConfigError(f"{where} is {value!r}, it must be {' or '.join(_spell(option) for option in options)}")


def _match(option: Any, value: Any) -> tuple[bool, Any]:
    """Whether a plain value fits one type, and the value as that type has it."""
    origin, arguments = get_origin(option), get_args(option)
    if option is Any:
        return True, value
    if option is type(None):
        return value is None, None
    if option is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number, float(value) if number else None
    if option is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if option in (bool, str):
        return isinstance(value, option), value
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [arguments[0]] * len(value) if arguments[-1:] == (Ellipsis,) else list(arguments)
        if len(kinds) != len(value):
            return False, None
        matches = [_match(kind, item) for kind, item in zip(kinds, value, strict=True)]
        return all(matched for matched, _ in matches), tuple(item for _, item in matches)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        matches = [_match(arguments[1], item) for item in value.values()]
        return all(matched for matched, _ in matches), dict(zip(value, (item for _, item in matches), strict=True))
    if origin is not None and str(origin) == "typing.Literal":
        return value in arguments, value
    return False, None


def _spell(option: Any) -> str:
    return (
        "none"
        if option is type(None)
        else getattr(option, "__name__", str(option))
        if not get_args(option)
        else str(option).replace("typing.", "")
    )
