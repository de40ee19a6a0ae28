"""A Unix socket before the sidecar's, which can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path


class Proxy:
    """Forwards bytes. While it is cut, connections are closed and new ones end at once."""

    def __init__(self, path: Path, target: Path) -> None:
        self._target = str(target)
        self._cut = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            ended, self._open = self._open, set()
        for one in ended:
            _end(one)

    def mend(self) -> None:
        with self._lock:
            self._cut = False

    def lead_to(self, target: Path) -> None:
        """From now on; what is connected is closed."""
        self._target = str(target)
        self.cut()
        self.mend()

    def close(self) -> None:
        _end(self._listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._join(self._listener.accept()[0])

    def _join(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        with self._lock:
            joined = False
            if not self._cut:
                with contextlib.suppress(OSError):
                    server.connect(self._target)
                    joined = True
                    self._open |= {client, server}
        if not joined:
            _end(client)
            _end(server)
            return
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with self._lock:
            self._open -= {source, sink}
        _end(source)
        _end(sink)


def _end(one: socket.socket) -> None:
    # A close alone does not wake the thread that reads.
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
