"""A TCP connection that can be cut without either end being told, as a firewall does it."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Swallower:
    """Passes bytes on, at an address of its own; what is connected when told so, no longer."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = []
        # One for each swallow: what is connected afterwards has another one.
        self._hole = threading.Event()

    def __enter__(self) -> Swallower:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in (self._listener, *self._sockets):
            # Wakes the thread that waits for it, which closing alone does not.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def swallow(self) -> None:
        """From here on nothing passes on the connections that there are."""
        self._hole.set()
        self._hole = threading.Event()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=_pass_on, args=(source, sink, self._hole), daemon=True
                ).start()


def _pass_on(source: socket.socket, sink: socket.socket, hole: threading.Event) -> None:
    try:
        while data := source.recv(65_536):
            if not hole.is_set():
                sink.sendall(data)
        if not hole.is_set():
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
