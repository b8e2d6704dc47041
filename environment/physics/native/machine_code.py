"""Gets the machine code: compiled at the first start on a machine, read from a file at every later one.

Numba's own cache would go on using old code when a file that it is made of changes, and many workers that start at
once would all compile. So the code lies in a folder named after the checksum of all sources, and one process at a time
compiles. Numba itself keeps code for other processors and other versions of Numba apart.

Numba reads no folder that it can not write. Code that lies in such a one, as in a container's image, is copied.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from filelock import FileLock

log = logging.getLogger(__name__)

_SOURCES = Path(__file__).parent
_OWN = _SOURCES / "__pycache__"


@cache
def machine_code(name: str) -> ModuleType:
    """A module of `entry/`, compiled. The first call in a new installation takes half a minute.

    Raises: RuntimeError when Numba is told not to compile; OSError when there is no place for machine code.
    """
    import numba

    if numba.config.DISABLE_JIT:
        raise RuntimeError(
            "the native engine is machine code, but NUMBA_DISABLE_JIT forbids to compile it (found "
            f"{numba.config.DISABLE_JIT}, needed 0); unset it, or simulate with physics='opensim'"
        )
    with _folder() as folder:
        _remove_outdated(folder)
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            return _compiled(name, folder)
        finally:
            numba.config.CACHE_DIR = before


def _compiled(name: str, folder: Path) -> ModuleType:
    module = f"environment.physics.native.entry.{name}"
    try:
        return importlib.import_module(module)
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError):
        # A file that a power cut or a full disk has damaged would else stop every later start.
        log.warning("the machine code in %s is damaged; it is compiled again", folder)
        shutil.rmtree(folder)
        folder.mkdir()
        return importlib.import_module(module)


@contextmanager
def _folder() -> Iterator[Path]:
    """Where the machine code of these sources is kept, in the first place that can be written; nobody else's meanwhile.

    A new folder begins with the code of one that can only be read. Where nothing can be written it is a passing one.
    """
    name = f"machine-code-{_checksum()}"
    asked = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(asked)] if asked else [_OWN, Path.home() / ".cache" / "prosthetics-replay"]
    ready: Path | None = None
    for folder in (place / name for place in places):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            with FileLock(folder.parent / "compiling.lock"):
                if ready and not any(folder.iterdir()):
                    _copy_files(ready, folder)
                yield folder
            return
        ready = ready or folder
    if ready is None:
        cure = "NUMBA_CACHE_DIR must name a folder that can" if asked else "set NUMBA_CACHE_DIR to a folder that can"
        raise OSError(f"no place to keep machine code: {' and '.join(map(str, places))} can not be written; {cure}")
    with tempfile.TemporaryDirectory(prefix="machine-code-") as passing:
        _copy_files(ready, Path(passing))
        yield Path(passing)


def _checksum() -> str:
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _copy_files(source: Path, target: Path) -> None:
    """Without their permissions: the copies can be written."""
    for file in source.rglob("*"):
        if file.is_file() and os.access(file, os.R_OK):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)


def _remove_outdated(folder: Path) -> None:
    """Code of earlier sources; a process that runs it has it in memory. Other places may serve other checkouts."""
    if folder.parent != _OWN:
        return
    for other in _OWN.glob("machine-code-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
