"""Gets the machine code: compiled at the first start on a machine, read from a file at every later one.

Numba's own cache would go on using old code when a file that it is made of changes, and many workers that start at
once would all compile. So the code lies in a folder named after the checksum of all sources, and one process at a time
compiles. Numba itself keeps code for other processors and other versions of Numba apart.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import pickle
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType

from filelock import FileLock

log = logging.getLogger(__name__)

_SOURCES = Path(__file__).parent
_OWN = _SOURCES / "__pycache__"


@cache
def machine_code(name: str) -> ModuleType:
    """A module of `entry/`, compiled. The first call in a new installation takes half a minute."""
    folder = _folder()
    with FileLock(folder.parent / "compiling.lock"):
        _remove_outdated(folder)
        import numba

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


def _folder() -> Path:
    """Where the machine code of these sources is kept, in the first place that can be written."""
    digest = hashlib.sha256()
    for source in sorted(_SOURCES.rglob("*.py")):
        digest.update(source.read_bytes())
    asked = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(asked)] if asked else [_OWN, Path.home() / ".cache" / "prosthetics-replay"]
    for place in places:
        folder = place / f"machine-code-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    cure = "NUMBA_CACHE_DIR must name a folder that can" if asked else "set NUMBA_CACHE_DIR to a folder that can"
    raise OSError(f"no place to keep machine code: {' and '.join(map(str, places))} can not be written; {cure}")


def _remove_outdated(folder: Path) -> None:
    """Code of earlier sources; a process that runs it has it in memory. Other places may serve other checkouts."""
    if folder.parent != _OWN:
        return
    for other in _OWN.glob("machine-code-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
