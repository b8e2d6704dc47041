"""The wire between clients and a server, which can be cut, go silent, or lose inserts or the replies to them."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field

_READ_BYTES = 1 << 20
_INSERT = b"insert\0\x0a\0\0\0timesteps"
_RESET = struct.pack("ii", 1, 0)
"""No lingering: what closes the connection is a reset, not an ordinary end."""


@dataclass(eq=False)
class _Connection:
    """A client's end, and the server's; none while the line was silent when the client came."""

    near: socket.socket
    far: socket.socket | None = None
    deaf: bool = False
    """It has lost bytes: nothing more can be understood on it, although neither end knows."""
    losing: threading.Event = field(default_factory=threading.Event)
    """The reply that comes next gets lost, and the connection with it."""

    def reset(self) -> None:
        """Both ends see it die. The threads that read from it close it."""
        for end in filter(None, (self.near, self.far)):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RD)


class Line:
    """A TCP proxy on a port of its own, `port`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.is_cut = False
        self.is_silent = False
        self.inserts_to_lose = 0
        """Of timesteps; the connection breaks with each."""
        self.replies_to_lose = 0
        """To such inserts."""
        self.swallowed_bytes = 0
        self.resets = 0
        """Connections that were reset, those of clients that came during a cut included."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Resets every connection, and those that come."""
        self.is_cut = True
        self._reset(deaf_only=False)

    def silence(self) -> None:
        """Connections stay open, and whatever is sent on them gets lost."""
        self.is_silent = True

    def mend(self, *, reset: bool = False) -> None:
        """New connections work again. Those that have lost bytes stay open and dead, or are `reset`, as by a router
        that has forgotten them."""
        self.is_cut = self.is_silent = False
        if reset:
            self._reset(deaf_only=True)

    def close(self) -> None:
        """Ends the proxy."""
        self.cut()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _reset(self, *, deaf_only: bool) -> None:
        with self._lock:
            dying = {one for one in self._connections if one.deaf or not deaf_only}
            self._connections -= dying
            self.resets += len(dying)
        for connection in dying:
            connection.reset()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            connection = _Connection(near, deaf=self.is_silent)
            if self.is_cut or not (connection.deaf or self._reach(connection)):
                self.resets += 1
                connection.reset()
                near.close()
                continue
            with self._lock:
                self._connections.add(connection)
            ends = (
                [(near, connection.far)] if connection.far is None else [(near, connection.far), (connection.far, near)]
            )
            for source, sink in ends:
                threading.Thread(target=self._carry, args=(connection, source, sink), daemon=True).start()

    def _reach(self, connection: _Connection) -> bool:
        try:
            connection.far = socket.create_connection(self._target)
        except OSError:
            return False  # the server is down, and the client must hear of that
        return True

    def _carry(self, connection: _Connection, source: socket.socket, sink: socket.socket | None) -> None:
        to_server = source is connection.near
        with contextlib.suppress(OSError):
            while data := source.recv(_READ_BYTES):
                if self.is_silent or connection.deaf or sink is None:
                    connection.deaf = True
                    self.swallowed_bytes += len(data)
                    continue
                if to_server and _INSERT in data and self.inserts_to_lose > 0:
                    self.inserts_to_lose -= 1
                    break
                if to_server and _INSERT in data and self.replies_to_lose > 0:
                    self.replies_to_lose -= 1
                    connection.losing.set()
                elif not to_server and connection.losing.is_set():
                    break
                sink.sendall(data)
        with self._lock:
            self._connections.discard(connection)
        for end in filter(None, (source, sink)):
            with contextlib.suppress(OSError):
                # Not if it dies by a reset: this would be an ordinary end.
                if not end.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                    end.shutdown(socket.SHUT_RDWR)
            end.close()
