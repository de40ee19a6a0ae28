"""A PostgreSQL server of our own."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .processes import Process

USER = "synapse"


def postgres(folder: Path, port: int, *, settings: Sequence[str] = ()) -> Process:
    """One that keeps its data in the folder, and nothing in safety. Needs no password."""
    programs = next(Path("/usr/lib/postgresql").glob("*/bin"))
    data = folder / "postgres"
    data.mkdir()
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        account = pwd.getpwnam(user)
        os.chown(data, account.pw_uid, account.pw_gid)
    initdb = ["-U", USER, "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync"]
    subprocess.run(
        [programs / "initdb", "-D", data, *initdb],
        check=True,
        user=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
    )
    return _server("postgres", programs, data, port, user, settings)


def standby(folder: Path, primary_port: int, port: int) -> Process:
    """A copy of the server at `primary_port`, which follows it until it is promoted."""
    programs = next(Path("/usr/lib/postgresql").glob("*/bin"))
    data = folder / "standby"
    data.mkdir(mode=0o700)
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        account = pwd.getpwnam(user)
        os.chown(data, account.pw_uid, account.pw_gid)
    source = ["-h", "127.0.0.1", "-p", str(primary_port), "-U", USER]
    copy = [programs / "pg_basebackup", *source, "-D", data, "-R", "-c", "fast", "--no-sync"]
    subprocess.run(copy, check=True, user=user, cwd="/")
    return _server("standby", programs, data, port, user)


def _server(
    name: str,
    programs: Path,
    data: Path,
    port: int,
    user: str | None,
    settings: Sequence[str] = (),
) -> Process:
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for setting in (
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={data}",
        "fsync=off",
        *settings,
    ):
        command += ["-c", setting]
    log = data.parent / f"{name}.log"
    log.touch()

    def ready() -> bool:
        # It accepts connections before it answers on them.
        asks = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        return subprocess.run(asks).returncode == 0

    return Process(name, command, log, ready=ready, user=user)
