"""Starts and stops the processes of the cluster, by their own ids."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

START_TIMEOUT_S = 60.0
# A crash, a logging context that was left, and a read that the audit found to be wrong.
_DEFECTS = (" CRITICAL ", "logging context", "is not what the database says")
# What Twisted says of a connection to a database that has died.
_EXCUSED = "twisted Rollback failed"


def free_port() -> int:
    """One that nobody listens at, of those that no outgoing connection takes meanwhile."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A child process whose output goes to a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        ready: Callable[[], bool],
        env: dict[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.name = name
        self._command = command
        self.log = log
        self._ready = ready
        # The sidecar refuses to start beside a variable of its prefix that it does not know.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SPLITCACHE_")}
        self._env = {**inherited, **(env or {})}
        self._user = user
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=self._env,
                user=self._user,
                cwd=self.log.parent,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if self._child is None or self._child.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start: {self.tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not ready: {self.tail()}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        assert self._child is not None, f"{self.name} does not run"
        return self._child.pid

    def send(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.send_signal(number)
        # A frozen process takes no other signal.
        child.send_signal(signal.SIGCONT)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def defects(self) -> list[str]:
        """Lines of the log that nothing that goes wrong outside excuses."""
        lines = self.log.read_text(errors="replace").splitlines()
        found = (line for line in lines if any(one in line for one in _DEFECTS))
        return [line for line in found if _EXCUSED not in line][:5]

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self._ready()
        return False


def answers_http(port: int, path: str) -> Callable[[], bool]:
    def ready() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as reply:
            return bool(reply.status == 200)

    return ready


def accepts(address: tuple[str, int]) -> Callable[[], bool]:
    def ready() -> bool:
        with socket.create_connection(address, timeout=2):
            return True

    return ready
