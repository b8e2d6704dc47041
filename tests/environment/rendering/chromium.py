"""A real browser without a screen, by its debugging protocol: opens a page, waits, takes a picture."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from websockets.sync.client import connect
from websockets.sync.connection import Connection

NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--remote-debugging-port=0",
    "--window-size=1440,900",
)
_START_S = 60.0


def browser() -> str:
    """Its path. Raises: FileNotFoundError saying how to get one."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError(f"this test needs a browser, one of {', '.join(NAMES)}: apt-get install chromium")
    return found


class Page:
    """A page that is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._number = 0
        self.errors: list[str] = []
        """What its scripts have thrown."""

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=_START_S))
            if message.get("method") == "Runtime.exceptionThrown":
                self.errors.append(json.dumps(message["params"]["exceptionDetails"])[:500])
            if message.get("id") == self._number:
                assert "error" not in message, message
                answer: dict[str, Any] = message["result"]
                return answer

    def text(self) -> str:
        """All that is written on it."""
        return str(self.ask("Runtime.evaluate", expression="document.body.innerText")["result"].get("value", ""))

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Until that is written on it."""
        end_s = time.monotonic() + seconds
        while text not in self.text():
            assert time.monotonic() < end_s, f"no {text!r} after {seconds:g} s, but {self.text()!r}; {self.errors}"
            time.sleep(0.2)

    def picture_when(
        self, path: Path, seen: Callable[[NDArray[np.uint8]], bool], seconds: float = 60.0
    ) -> NDArray[np.uint8]:
        """(height, width, 3) the page once it looks as `seen` wants it; the last look lies in `path`, as PNG."""
        end_s = time.monotonic() + seconds
        while True:
            path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))
            picture = np.asarray(Image.open(path).convert("RGB"))
            if seen(picture):
                return picture
            assert time.monotonic() < end_s, f"after {seconds:g} s the page still looks as in {path}; {self.errors}"
            time.sleep(0.5)


@contextmanager
def opened(url: str, profile: Path) -> Iterator[Page]:
    """The page at `url` in a browser of its own, with its files in the folder `profile`."""
    command = [browser(), *_OPTIONS, f"--user-data-dir={profile}", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_socket_of(profile, process), max_size=None) as connection:
            page = Page(connection)
            page.ask("Runtime.enable")
            yield page
    finally:
        process.terminate()
        process.wait(timeout=20)


def _socket_of(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the first page listens."""
    end_s, missing = time.monotonic() + _START_S, "it lists none"
    while time.monotonic() < end_s:
        assert process.poll() is None, f"the browser ended with status {process.returncode}"
        try:
            port = (profile / "DevToolsActivePort").read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        except (OSError, IndexError) as error:  # it is starting
            missing = repr(error)
        time.sleep(0.2)
    raise TimeoutError(f"the browser opened no page in {_START_S:g} s: {missing}")
