"""Runs a command that ends with its parent: `python tether.py PARENT_PID COMMAND …`.

The kernel sends the command SIGTERM when the parent dies, however it dies. A program of its own, not a function that
runs between fork and exec: such a function may hang when the parent has threads. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"the kernel refuses to tie a process to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the parent ended before its child began")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} can not be run: {error.strerror}")


if __name__ == "__main__":
    main()
