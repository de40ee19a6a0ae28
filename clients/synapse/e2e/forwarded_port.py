"""A TCP port before PostgreSQL's, perhaps some time away from it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class ForwardedPort:
    """Forwards to a port of this machine. What is sent there arrives `delay_s` later; the answer
    comes at once, so a round trip takes that much longer."""

    def __init__(self, target: int, delay_s: float = 0.0, *, port: int = 0) -> None:
        self._target = target
        self._delay_s = delay_s
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with self._lock:
            ended, self._open = self._open | {self._listener}, set()
        for one in ended:
            _end(one)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open |= {client, server}
                self._start(client, server, self._delay_s)
                self._start(server, client, 0)

    def _start(self, source: socket.socket, sink: socket.socket, delay_s: float) -> None:
        threading.Thread(target=_forward, args=(source, sink, delay_s), daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if delay_s:
                time.sleep(delay_s)
            sink.sendall(data)
    _end(source)
    _end(sink)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
