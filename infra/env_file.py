"""Writing `.env`: only the variables asked for change, and the file is replaced as a whole."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_HEADING = "# Written by `python -m infra up` for the services that it runs on this machine."
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")
_PLAIN = re.compile(r"[\w.,:/?=&@%+-]*", re.ASCII)


class SettingsError(ValueError):
    """A setting is missing or wrong. The message is one sentence for the user, without secrets."""


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Sets variables in a `.env` file. Every other line stays. The file becomes readable by its owner only.

    Raises: SettingsError when a value needs quoting or the file can not be written.
    """
    for name, value in values.items():
        if not _PLAIN.fullmatch(value):
            raise SettingsError(f"the value of {name} has characters that {path.name} would need to quote")
    try:
        target = path.resolve()
        lines = target.read_text().splitlines() if target.exists() else []
        _replace_file(target, "\n".join(_merged(lines, values)) + "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can not be rewritten: {error}; is it text, and its folder writable?") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time. The lock is on the folder itself and leaves no file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _merged(lines: list[str], values: Mapping[str, str]) -> list[str]:
    merged = list(lines)
    left = dict(values)
    for number, line in enumerate(lines):
        found = _LINE.match(line)
        if found and found[1] in values:
            merged[number] = f"{found[1]}={values[found[1]]}"
            left.pop(found[1], None)
    if left:
        merged += ([""] if merged else []) + [_HEADING] + [f"{name}={value}" for name, value in left.items()]
    return merged


def _replace_file(path: Path, text: str) -> None:
    # mkstemp makes the file readable by its owner only.
    descriptor, temporary = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
