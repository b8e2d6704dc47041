"""`python3 -m infra.bootstrap`: makes .venv and installs what the Pipfile names, once. `make` calls it every time.

Runs on the system's Python before anything is installed: standard library and old syntax only.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from typing import Dict, List, Optional

from infra import preflight

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
TOOLS = os.path.join(VENV, "tools")
"""pipenv lives in an environment of its own, so that its dependencies can not change ours."""
STAMP = os.path.join(VENV, ".installed")
UNFINISHED = os.path.join(VENV, ".unfinished")
LOG = os.path.join(VENV, "setup.log")
PIPENV = "pipenv==2026.10.3"
_OTHER_PYTHONS = ("python3.12", "python3.13", "python3.11")
_TAIL_LINES = 15


class SetupFailed(RuntimeError):
    """The packages could not be installed. One sentence, and the end of the log."""


def main() -> int:
    """Exit status 1, with one sentence on stderr, when this machine or the installation fails."""
    try:
        _use_a_fitting_python()
        preflight.refuse(preflight.check_platform())
        with open(ROOT + "/Pipfile", "rb") as lock:
            # Two `make` at once: the second waits here and then finds everything installed.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_installed():
                install()
    except (preflight.Unfit, SetupFailed) as problem:
        print("set-up: {}".format(problem), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the next make starts it again", file=sys.stderr)
        return 130
    return 0


def wanted_stamp() -> str:
    """What a finished installation of the present Pipfile leaves behind."""
    digest = hashlib.sha256(PIPENV.encode())
    with open(os.path.join(ROOT, "Pipfile"), "rb") as file:
        digest.update(file.read())
    return digest.hexdigest()


def is_installed() -> bool:
    """Whether .venv holds what the Pipfile names, and its Python still runs."""
    try:
        with open(STAMP) as file:
            if file.read().strip() != wanted_stamp():
                return False
    except OSError:
        return False
    return _runs(os.path.join(VENV, "bin", "python"))


def install() -> None:
    """Raises: Unfit, SetupFailed."""
    preflight.refuse(preflight.check_venv())
    preflight.refuse(preflight.check_writable(ROOT, "the repository's place"))
    broken = os.path.exists(UNFINISHED) or not _runs(os.path.join(VENV, "bin", "python"))
    needed_gb = preflight.INSTALL_GB if broken else preflight.DATA_GB
    preflight.refuse(preflight.check_disk(ROOT, needed_gb, "the packages", "the repository's place"))
    if broken and os.path.isdir(VENV):
        shutil.rmtree(VENV)
    started = time.time()
    print("set-up: installing the packages of the Pipfile into .venv; a few minutes, once", flush=True)
    if not os.path.isdir(VENV):
        os.mkdir(VENV)
        open(UNFINISHED, "w").close()
    if os.path.exists(STAMP):
        os.remove(STAMP)
    with open(LOG, "w"):
        pass
    _make_venv(VENV)
    _make_venv(TOOLS)
    _run([os.path.join(TOOLS, "bin", "python"), "-m", "pip", "install", "--quiet", PIPENV])
    _run(
        [os.path.join(TOOLS, "bin", "python"), "-m", "pipenv", "install", "--dev", "--skip-lock"], _pipenv_environment()
    )
    link = os.path.join(VENV, "bin", "pipenv")
    if not os.path.lexists(link):
        os.symlink(os.path.join("..", "tools", "bin", "pipenv"), link)
    with open(STAMP, "w") as file:
        file.write(wanted_stamp() + "\n")
    if os.path.exists(UNFINISHED):
        os.remove(UNFINISHED)
    print("set-up: done in {:.0f} s".format(time.time() - started), flush=True)


def _use_a_fitting_python() -> None:
    """Goes on in another installed Python when this one does not fit. Raises: Unfit when there is none."""
    problem = preflight.check_python()
    if problem is None:
        return
    for name in _OTHER_PYTHONS:
        other = shutil.which(name)
        if other is not None:
            os.chdir(ROOT)
            os.execv(other, [other, "-m", "infra.bootstrap"])
    raise preflight.Unfit(problem)


def _make_venv(path: str) -> None:
    if not _runs(os.path.join(path, "bin", "python")):
        _run([sys.executable, "-m", "venv", path])


def _pipenv_environment() -> Dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    kept.update(
        {
            "PIPENV_PIPFILE": os.path.join(ROOT, "Pipfile"),
            "PIPENV_VENV_IN_PROJECT": "1",
            "PIPENV_IGNORE_VIRTUALENVS": "1",
            "PIPENV_DONT_LOAD_ENV": "1",
            "PIPENV_YES": "1",
            "PIPENV_NOSPIN": "1",
            "NO_COLOR": "1",
        }
    )
    return kept


def _run(command: List[str], environment: Optional[Dict[str, str]] = None) -> None:
    """Raises: SetupFailed."""
    with open(LOG, "a") as log:
        log.write("$ {}\n".format(" ".join(command)))
        log.flush()
        status = subprocess.call(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
        )
    if status != 0:
        with open(LOG, errors="replace") as log:
            tail = [line.rstrip() for line in log.readlines() if line.strip()][-_TAIL_LINES:]
        raise SetupFailed(
            "the installation failed with status {}; is the network up, and is there room on the disk? The log is {} "
            "and ends so:\n  {}".format(status, LOG, "\n  ".join(tail))
        )


def _runs(python: str) -> bool:
    try:
        return subprocess.call([python, "-c", ""], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
