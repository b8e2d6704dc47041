"""One running service: started tied to this process, stopped in order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from infra.services.contract import Service, ServiceFailed
from infra.services.folders import prepare_log

_TETHER = Path(__file__).with_name("tether.py")


class ServiceProcess:
    """A life of a service. Start it from the main thread: the kernel ties a child to the thread that made it."""

    def __init__(self, service: Service) -> None:
        """Starts the program; does not wait until it serves.

        Raises: ServiceFailed.
        """
        self.service = service
        prepare_log(service.log)
        service.prepare()
        # -I -S: neither the environment nor site-packages can change what the launcher does, and it starts in 20 ms.
        launcher = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid())]
        with service.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*launcher, *service.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(service.environment()),
                # Ctrl-C in the terminal must not reach the servers before their clients are done.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def make_ready(self, give_up: Callable[[], bool] = lambda: False) -> None:
        """Waits until the service serves; stops it when it does not get there.

        Raises: ServiceFailed, also when `give_up` becomes true.
        """

        def alive() -> bool:
            if give_up():
                raise ServiceFailed(f"{self.service.name} was asked to stop while it was starting")
            return self.alive()

        try:
            self.service.make_ready(alive)
        except BaseException:
            self.stop()
            raise

    def stop(self, grace_s: float = 30.0) -> bool:
        """Asks the program to end and waits; kills it after `grace_s` seconds. Returns whether it ended by itself."""
        if self.alive():
            self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True


def start(service: Service, give_up: Callable[[], bool] = lambda: False) -> ServiceProcess:
    """A service that serves.

    Raises: ServiceFailed, also when `give_up` becomes true.
    """
    process = ServiceProcess(service)
    process.make_ready(give_up)
    return process
