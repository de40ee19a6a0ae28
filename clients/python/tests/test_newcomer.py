"""The program that a newcomer writes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from client_support.sidecar_process import SidecarProcess

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "examples" / "newcomer.py"


def run(address: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), address, str(folder / "homeserver.db")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_reads_through_writes_follows_and_survives_a_restart(
    tmp_path: Path, start_sidecar: Callable[[str], SidecarProcess]
) -> None:
    sidecar = start_sidecar(f"unix:{tmp_path}/s.sock")
    first = run(sidecar.address, tmp_path)
    assert first == sorted(
        [
            "database: $greeting",
            'read: {"n":0}',
            'read: {"n":0}',
            "changed: EventChanged(event_id='$greeting')",
            "database: $greeting",
            'read: {"n":1}',
        ]
    )
    # What the first run has put is still there.
    assert run(sidecar.address, tmp_path) == sorted(
        [
            'read: {"n":1}',
            'read: {"n":1}',
            "changed: EventChanged(event_id='$greeting')",
            "database: $greeting",
            'read: {"n":2}',
        ]
    )


def test_has_sixty_lines_at_most() -> None:
    assert len(PROGRAM.read_text().splitlines()) <= 60
