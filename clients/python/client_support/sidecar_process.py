"""A real sidecar for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

MAIN = Path(
    os.environ.get("SPLITCACHE_MAIN", Path(__file__).resolve().parents[3] / "dist" / "main.js")
)


class SidecarProcess:
    """A sidecar at an address of its own."""

    def __init__(self, listen: str, *options: str) -> None:
        assert MAIN.exists(), f"build the sidecar first: {MAIN} is not there"
        command = ["node", str(MAIN), "serve", "--listen", listen, "--http", "off", *options]
        # It refuses to start beside a variable of its prefix that it does not know.
        env = {name: value for name, value in os.environ.items() if name != "SPLITCACHE_MAIN"}
        self._child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        self.address = self._listening_at()

    def reload(self) -> None:
        """Has it read its files again, soon."""
        self._child.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """May be called again."""
        self._child.terminate()
        self._child.wait(20)
        assert self._child.stderr is not None
        self._child.stderr.close()

    def _listening_at(self) -> str:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            said = json.loads(line)
            if said["msg"] == "splitcache serves":
                address: str = said["listen"][0]
                return address
        raise AssertionError("the sidecar ended at its start")
