"""`python -m agents learn`, stopped in the middle of a publication.

`python -m tests.learner_process NUMBER OBJECT RUN`
The process suspends itself, as SIGSTOP from outside would, when its publication number NUMBER (from 1) is about to
write OBJECT: with every look behind it.
"""

from __future__ import annotations

import os
import signal
import sys
from mmap import mmap

from agents.__main__ import main
from agents.checkpoints.s3 import S3Objects


def suspend_before(number: int, name: str) -> None:
    """From now on; once."""
    put, left = S3Objects.put, number

    def suspending(objects: S3Objects, key: str, data: bytes | mmap) -> None:
        nonlocal left
        # A term's own pointer: the one that is polled follows it.
        if key.endswith(f"/{name}") and ("/terms/" in key or name != "latest.json"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
        put(objects, key, data)

    S3Objects.put = suspending  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    suspend_before(int(sys.argv[1]), sys.argv[2])
    sys.exit(main(["learn", "--run", sys.argv[3]]))
