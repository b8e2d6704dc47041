"""What the supervisor needs to know of a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

HOST = "127.0.0.1"
"""All local services listen here and nowhere else."""


class ServiceFailed(RuntimeError):
    """A service can not be started or used. The message is one sentence for the user, with the likely cause."""


class Service(Protocol):
    """One server program with its data."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int:
        """TCP port on the loopback interface."""

    @property
    def log(self) -> Path:
        """File that the program writes to."""

    def prepare(self) -> None:
        """Makes folders and files, and waits a little for a former life of the service to end.

        Raises: ServiceFailed.
        """

    def command(self) -> Sequence[str]:
        """Arguments of the program. They hold no secret: every user of the machine can read them."""

    def environment(self) -> Mapping[str, str]:
        """The program's whole environment."""

    def make_ready(self, alive: Callable[[], bool]) -> None:
        """Returns when the service serves authenticated clients. Safe to repeat, and after a death at any point.

        `alive`: whether the process still runs.
        Raises: ServiceFailed.
        """

    def last_words(self) -> str:
        """Why the program ended, as far as its log tells: one sentence."""
