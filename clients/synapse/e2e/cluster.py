"""A homeserver as operators run it: PostgreSQL, Redis, Synapse's main process with workers, and
a splitcache sidecar. All on random ports of this machine, all in one temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from .processes import Process, accepts, answers_http, free_port

REPOSITORY = Path(__file__).resolve().parents[3]
SERVER_NAME = "alpha.example"
SECRET = "shared by the test alone"
WORKERS = ("persister1", "generic1", "generic2")


class Cluster:
    """`bridge` switches the module on; the sidecar runs in either case."""

    def __init__(self, *, bridge: bool) -> None:
        self.bridge = bridge
        self.folder = Path(tempfile.mkdtemp(prefix="splitcache-e2e-"))
        self.folder.chmod(0o755)
        self.ports = {name: free_port() for name in ("main", *WORKERS)}
        self.metrics_ports = {name: free_port() for name in ("main", *WORKERS)}
        self._replication_ports = {name: free_port() for name in ("main", *WORKERS)}
        self._postgres_port, self._redis_port = free_port(), free_port()
        self.sidecar_http_port = free_port()
        self.socket = self.folder / "splitcache.sock"
        self.processes: dict[str, Process] = {}

    def start(self) -> None:
        self._start_postgres()
        self._add(
            "redis",
            [
                "redis-server",
                "--port",
                str(self._redis_port),
                "--save",
                "",
                "--bind",
                "127.0.0.1",
                "--appendonly",
                "no",
            ],
            accepts(("127.0.0.1", self._redis_port)),
        )
        self._add(
            "sidecar", self._sidecar_command(), answers_http(self.sidecar_http_port, "/readyz")
        )
        self.processes["redis"].start()
        self.processes["sidecar"].start()
        self._write_configs()
        self._start_synapse()

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self, *names: str) -> None:
        for name in names:
            self.processes[name].stop()
        for name in names:
            self.processes[name].launch()
        for name in names:
            self.processes[name].wait_ready()

    def database(self) -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self._postgres_port, user="synapse", dbname="synapse"
        )

    def _add(self, name: str, command: list[str], ready: Any, **more: Any) -> None:
        log = self.folder / f"{name}.log"
        self.processes[name] = Process(name, command, log, ready=ready, **more)

    def _sidecar_command(self) -> list[str]:
        main = os.environ.get("SPLITCACHE_MAIN", str(REPOSITORY / "dist" / "main.js"))
        return [
            "node",
            main,
            "serve",
            "--listen",
            f"unix:{self.socket}",
            "--http",
            f"127.0.0.1:{self.sidecar_http_port}",
        ]

    def _start_postgres(self) -> None:
        programs = next(Path("/usr/lib/postgresql").glob("*/bin"))
        folder = self.folder / "postgres"
        folder.mkdir()
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            account = pwd.getpwnam(user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        subprocess.run(
            [
                programs / "initdb",
                "-D",
                folder,
                "-U",
                "synapse",
                "-E",
                "UTF8",
                "--locale=C",
                "--auth=trust",
            ],
            check=True,
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
        )
        command = [
            str(programs / "postgres"),
            "-D",
            str(folder),
            "-p",
            str(self._postgres_port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={folder}",
            "-c",
            "fsync=off",
        ]
        self._add("postgres", command, accepts(("127.0.0.1", self._postgres_port)), user=user)
        (self.folder / "postgres.log").touch()
        self.processes["postgres"].start()
        subprocess.run(
            [
                "createdb",
                "-h",
                "127.0.0.1",
                "-p",
                str(self._postgres_port),
                "-U",
                "synapse",
                "synapse",
            ],
            check=True,
        )

    def _start_synapse(self) -> None:
        source = str(Path(__file__).resolve().parents[1] / "src")
        env = {"PYTHONPATH": source, "PYTHONUNBUFFERED": "1"}
        for name in ("main", *WORKERS):
            app = "homeserver" if name == "main" else "generic_worker"
            command = [
                sys.executable,
                "-m",
                f"synapse.app.{app}",
                "-c",
                str(self.folder / "homeserver.yaml"),
            ]
            if name != "main":
                command += ["-c", str(self.folder / f"{name}.yaml")]
            self._add(name, command, answers_http(self.ports[name], "/health"), env=env)
        # The main process makes the tables first.
        self.processes["main"].start()
        for name in WORKERS:
            self.processes[name].launch()
        for name in WORKERS:
            self.processes[name].wait_ready()

    def _write_configs(self) -> None:
        self._write("homeserver.yaml", self._homeserver_config())
        (self.folder / "log.yaml").write_text(
            "version: 1\n"
            "formatters: {f: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}\n"
            "handlers: {h: {class: logging.StreamHandler, formatter: f}}\n"
            "root: {level: INFO, handlers: [h]}\n"
            "loggers: {synapse: {level: WARNING}}\ndisable_existing_loggers: false\n"
        )
        for name in WORKERS:
            self._write(
                f"{name}.yaml",
                {
                    "worker_app": "synapse.app.generic_worker",
                    "worker_name": name,
                    "worker_listeners": self._listeners(name),
                    "worker_log_config": str(self.folder / "log.yaml"),
                },
            )

    def _listeners(self, name: str) -> list[dict[str, Any]]:
        def http(port: int, *resources: str) -> dict[str, Any]:
            return {
                "port": port,
                "type": "http",
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": list(resources)}],
            }

        metrics = {
            "port": self.metrics_ports[name],
            "type": "metrics",
            "bind_addresses": ["127.0.0.1"],
        }
        return [
            http(self.ports[name], "client", "federation"),
            http(self._replication_ports[name], "replication"),
            metrics,
        ]

    def _write(self, name: str, config: dict[str, Any]) -> None:
        (self.folder / name).write_text(yaml.safe_dump(config))

    def _homeserver_config(self) -> dict[str, Any]:
        unlimited = {"per_second": 10_000, "burst_count": 10_000}
        modules = [
            {
                "module": "splitcache_synapse.SplitcacheModule",
                "config": {
                    "address": f"unix:{self.socket}",
                    "read_deadline": "200",
                    "writer_start_delay": "1s",
                },
            }
        ]
        return {
            "server_name": SERVER_NAME,
            "report_stats": False,
            "signing_key_path": str(self.folder / "signing.key"),
            "media_store_path": str(self.folder / "media"),
            "pid_file": str(self.folder / "main.pid"),
            "log_config": str(self.folder / "log.yaml"),
            "registration_shared_secret": SECRET,
            "macaroon_secret_key": SECRET,
            "form_secret": SECRET,
            "suppress_key_server_warning": True,
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "enable_metrics": True,
            "listeners": self._listeners("main"),
            "database": {
                "name": "psycopg2",
                "args": {
                    "host": "127.0.0.1",
                    "port": self._postgres_port,
                    "user": "synapse",
                    "dbname": "synapse",
                    "cp_min": 1,
                    "cp_max": 5,
                },
            },
            "redis": {"enabled": True, "host": "127.0.0.1", "port": self._redis_port},
            "instance_map": {
                name: {"host": "127.0.0.1", "port": port}
                for name, port in self._replication_ports.items()
            },
            "stream_writers": {"events": ["persister1"]},
            "caches": {"event_cache_size": 200, "global_factor": 1.0},
            "experimental_features": {"msc4293_enabled": True},
            "redaction_retention_period": "7d",
            "retention": {"enabled": True},
            "modules": modules if self.bridge else [],
            **dict.fromkeys(("rc_message", "rc_registration", "rc_admin_redaction"), unlimited),
            "rc_login": {"address": unlimited, "account": unlimited, "failed_attempts": unlimited},
            "rc_joins": {"local": unlimited, "remote": unlimited},
            "rc_invites": {"per_room": unlimited, "per_user": unlimited, "per_issuer": unlimited},
            "rc_room_creation": unlimited,
        }
