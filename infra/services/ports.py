"""TCP ports on the loopback interface."""

from __future__ import annotations

import errno
import random
import socket
import time

from infra.services.contract import HOST, ServiceFailed

FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below the ports that Linux hands to outgoing connections, which could take ours between two starts."""


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def pick_free_port(taken: tuple[int, ...] = ()) -> int:
    """A port that no one listens on, by chance: two copies of the project on one machine rarely meet."""
    for _ in range(200):
        port = random.randint(FIRST_PORT, LAST_PORT)
        if port not in taken and is_free(port):
            return port
    raise ServiceFailed(f"no free TCP port was found on {HOST} between {FIRST_PORT} and {LAST_PORT}")


def wait_until_free(port: int, service: str, setting: str, patience_s: float) -> None:
    """Returns when the port is free; a service that is just ending may hold it for a moment.

    Raises: ServiceFailed.
    """
    deadline_s = time.monotonic() + patience_s
    while not is_free(port):
        if time.monotonic() > deadline_s:
            raise ServiceFailed(
                f"{service} can not listen on {HOST}:{port}: another program has that port; stop that program, or "
                f"choose another port in {setting}"
            )
        time.sleep(0.1)
