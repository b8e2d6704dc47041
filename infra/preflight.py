"""Can this machine do it? Each check returns None, or one sentence that says what is missing.

Standard library and old syntax only: this must run on a Python that is too old, to say that it is.
"""

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from typing import Callable, Optional, Tuple

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
"""OpenSim's packages exist for these and those between."""
INSTALL_GB = 6.0
"""A GPU build of torch with its libraries takes most of it; the CPU build needs 2.5."""
DATA_GB = 1.0
_GB = 1e9


class Unfit(RuntimeError):
    """This machine can not do it. One sentence."""


def check_machine(folder: str = ".data") -> None:
    """Before the services start: is there room for their data?

    Args:
        folder: of the data; DATA_DIR in the environment wins.

    Raises: Unfit.
    """
    refuse(check_writable(os.environ.get("DATA_DIR") or folder, "DATA_DIR"))
    refuse(check_disk(os.environ.get("DATA_DIR") or folder, DATA_GB, "the data", "DATA_DIR"))


def refuse(problem: Optional[str]) -> None:
    """Raises: Unfit when there is a problem."""
    if problem is not None:
        raise Unfit(problem)


def check_platform(system: str = sys.platform, machine: str = platform.machine()) -> Optional[str]:
    """OpenSim, mongod and rclone come as programs for one kind of machine."""
    if system.startswith("linux") and machine in ("x86_64", "AMD64"):
        return None
    return (
        "this needs Linux on x86_64, as OpenSim's package does, and this machine is {} on {}; use a virtual machine or "
        "a container".format(system, machine)
    )


def check_python(version: Tuple[int, ...] = sys.version_info[:3]) -> Optional[str]:
    """Whether this interpreter will do."""
    if OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON:
        return None
    return (
        "Python {} to {} is needed and this is {}; install one of them, for example with `apt install python3.12 "
        "python3.12-venv`, and name it: make run PYTHON=python3.12".format(
            _dotted(OLDEST_PYTHON), _dotted(NEWEST_PYTHON), _dotted(version)
        )
    )


def check_venv(has_module: Optional[Callable[[str], bool]] = None) -> Optional[str]:
    """Debian and Ubuntu ship Python without the modules that make virtual environments."""
    found = has_module or _has_module
    missing = [name for name in ("venv", "ensurepip") if not found(name)]
    if not missing:
        return None
    return (
        "this Python has no module {}, which makes virtual environments; install it with `apt install "
        "python{}-venv`".format(missing[0], _dotted(sys.version_info[:2]))
    )


def check_disk(
    folder: str, needed_gb: float, what: str, setting: str, free_bytes: Optional[int] = None
) -> Optional[str]:
    """Room on the disk that holds the folder, which need not exist yet."""
    free = free_bytes if free_bytes is not None else shutil.disk_usage(_existing(folder)).free
    if free >= needed_gb * _GB:
        return None
    return (
        "{:.1f} GB are free for {} in {} and {:g} GB are needed; free some space, or change {} to a folder on another "
        "disk".format(free / _GB, what, os.path.abspath(folder), needed_gb, setting)
    )


def check_writable(folder: str, setting: str) -> Optional[str]:
    """Whether files can be made there."""
    existing = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            return None
    except OSError as error:
        return "nothing can be written in {} ({}); change its owner, or change {} to a folder of yours".format(
            existing, error.strerror, setting
        )


def _existing(folder: str) -> str:
    """The folder itself, or the nearest one above it that exists."""
    path = os.path.abspath(folder)
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _dotted(version: Tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
