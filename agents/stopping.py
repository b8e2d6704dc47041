"""Stopping well: signals become a flag that the loops ask, and a supervised process does not outlive its supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from types import FrameType

SUPERVISED = "PROSTHETICS_SUPERVISED"
"""Set (to the supervisor's pid) in the environment of processes that must end with their supervisor."""
_PR_SET_PDEATHSIG = 1


class StopFlag:
    """True once the process was asked to stop. Calling it asks."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signals: list[int] = []
        """Those that asked, in their order."""

    def __call__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Asks the loops to stop."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Sleeps until asked to stop, at most `seconds`; returns whether it was."""
        return self._event.wait(seconds)


def stop_on_signals() -> StopFlag:
    """A flag that SIGTERM and SIGINT set. The second SIGINT interrupts at once."""
    flag = StopFlag()

    def ask(number: int, frame: FrameType | None) -> None:
        flag.signals.append(number)
        if flag() and number == signal.SIGINT:
            raise KeyboardInterrupt
        flag.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    _end_with_supervisor(flag)
    return flag


def _end_with_supervisor(flag: StopFlag) -> None:
    supervisor = os.environ.get(SUPERVISED)
    if supervisor is None:
        return
    end_with_parent()
    # It may have died before this line.
    if os.getppid() != int(supervisor):
        flag.set()


def end_with_parent() -> None:
    """From now on this process gets SIGTERM when the one that started it dies, even by SIGKILL; on Linux."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
