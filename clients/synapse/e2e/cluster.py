"""A homeserver as operators run it: PostgreSQL, Redis, Synapse's main process with workers, and
a splitcache sidecar. Beside it a second homeserver, of one process, that uses the same sidecar.
All on random ports of this machine, all in one temporary folder."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from .configs import (
    Homeserver,
    federation_listener,
    homeserver_config,
    listeners,
    modules,
    write,
    write_common_files,
)
from .postgres import postgres
from .processes import Process, accepts, answers_http, free_port
from .proxy import Proxy

REPOSITORY = Path(__file__).resolve().parents[3]
WORKERS = ("persister1", "generic1", "generic2")
SYNAPSE = ("main", *WORKERS)
# The process of the second homeserver.
NEIGHBOUR = "neighbour"


class Cluster:
    """`bridge` switches the module on; the sidecar runs in either case. `audit` is the share of
    hits that the module reads from the database as well. With `durable` the sidecar has its log in
    PostgreSQL, and a tier in Redis. Then lookups have time: it is counted what the sidecar holds,
    and not how fast it is just after its start on a machine that starts everything. With `counts`
    PostgreSQL counts statements."""

    def __init__(
        self, *, bridge: bool, audit: str = "100%", durable: bool = False, counts: bool = False
    ) -> None:
        self.bridge = bridge
        self._counts = counts
        self._durable = durable
        # Where database reads are counted, none may be the audit's.
        self.audit = "0%" if durable else audit
        self.folder = Path(tempfile.mkdtemp(prefix="splitcache-e2e-"))
        self.folder.chmod(0o755)
        self.ports = {name: free_port() for name in (*SYNAPSE, NEIGHBOUR)}
        self.metrics_ports = {name: free_port() for name in (*SYNAPSE, NEIGHBOUR)}
        self._replication_ports = {name: free_port() for name in SYNAPSE}
        self.postgres_port, self._redis_port = free_port(), free_port()
        self.sidecar_http_port = free_port()
        self.socket = self.folder / "sidecar.sock"
        # By which two of the workers reach their sidecar.
        self.proxies = {
            "persister1": Proxy(self.folder / "persister1.sock", self.socket),
            "generic1": Proxy(self.folder / "generic1.sock", self.socket),
        }
        self.processes: dict[str, Process] = {}
        # Options of each sidecar.
        self._kept: list[str] = []
        # What else ends with the cluster.
        self.ends: list[Callable[[], None]] = []
        self.own = self._homeserver("synapse")
        self.neighbour = self._homeserver(NEIGHBOUR)

    def start(self) -> None:
        self._start_postgres()
        self._start_redis()
        self._kept = self._durable_parts() if self._durable else []
        self._add_sidecar("sidecar", self.socket, self.sidecar_http_port)
        self.processes["sidecar"].start()
        write_common_files(self.folder)
        self._write_configs()
        self._start_synapse()

    def start_neighbour(self) -> None:
        """Not with the others: few scenarios need it."""
        if NEIGHBOUR in self.processes:
            return
        self._create_database(NEIGHBOUR)
        own_listeners = [
            *listeners(self.ports[NEIGHBOUR], self.metrics_ports[NEIGHBOUR]),
            federation_listener(self.neighbour.federation_port),
        ]
        write(self.folder, "neighbour.yaml", homeserver_config(self.neighbour, own_listeners))
        self._add_synapse(NEIGHBOUR, "homeserver", ["neighbour.yaml"])
        self.processes[NEIGHBOUR].start()

    def launch_reader(self, name: str, config: dict[str, Any]) -> None:
        """A further worker, that no other process calls. `config` replaces what is shared."""
        self.ports[name], self.metrics_ports[name] = free_port(), free_port()
        own_listeners = listeners(self.ports[name], self.metrics_ports[name])
        write(self.folder, f"{name}.yaml", {**self._worker(name, own_listeners), **config})
        self._add_synapse(name, "generic_worker", ["homeserver.yaml", f"{name}.yaml"])
        self.processes[name].launch()

    def start_second_sidecar(self) -> Path:
        """Its socket. It has a log in common with the first only if that is durable."""
        socket = self.folder / "sidecar2.sock"
        self._add_sidecar("sidecar2", socket, free_port())
        self.processes["sidecar2"].start()
        return socket

    def switch(self, name: str, *, enabled: bool) -> None:
        """Restarts a worker with the module's `enabled` as given."""
        path = self.folder / f"{name}.yaml"
        worker = yaml.safe_load(path.read_text())
        way = self.folder / f"{name}.sock" if name in self.proxies else self.socket
        worker["modules"] = modules(way, {**self.own.module, "enabled": enabled})
        write(self.folder, path.name, worker)
        self.restart(name)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.stop()
        for proxy in self.proxies.values():
            proxy.close()
        for end in self.ends:
            end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self, *names: str) -> None:
        for name in names:
            self.processes[name].stop()
        for name in names:
            self.processes[name].launch()
        for name in names:
            self.processes[name].wait_ready()

    def database(self) -> Any:
        return self.database_at(self.postgres_port)

    def database_at(self, port: int) -> Any:
        return psycopg2.connect(host="127.0.0.1", port=port, user="synapse", dbname="synapse")

    def _homeserver(self, database: str) -> Homeserver:
        sidecar = self.socket if self.bridge else None
        more = {"audit": self.audit, **({"read_deadline": "5s"} if self._durable else {})}
        return Homeserver(self.folder, free_port(), self.postgres_port, database, sidecar, more)

    def _add(self, name: str, command: list[str], ready: Any, **more: Any) -> None:
        log = self.folder / f"{name}.log"
        self.processes[name] = Process(name, command, log, ready=ready, **more)

    def _durable_parts(self) -> list[str]:
        """The options of a sidecar that keeps what it knows."""
        self._create_database("splitcache")
        key = self.folder / "tier.key"
        key.write_text(secrets.token_hex(32))
        log = f"postgres://synapse@127.0.0.1:{self.postgres_port}/splitcache"
        # Beside what Synapse's processes tell each other, which is not stored.
        tier = f"redis://127.0.0.1:{self._redis_port}/1"
        return ["--log", log, "--tier", tier, "--tier-key-file", str(key)]

    def _add_sidecar(self, name: str, socket: Path, http_port: int) -> None:
        main = os.environ.get("SPLITCACHE_MAIN", str(REPOSITORY / "dist" / "main.js"))
        serve = ["node", main, "serve", "--listen", f"unix:{socket}"]
        serve += ["--http", f"127.0.0.1:{http_port}", *self._kept]
        self._add(name, serve, answers_http(http_port, "/readyz"))

    def _start_redis(self) -> None:
        """By which Synapse's processes talk to each other."""
        port = self._redis_port
        command = f"redis-server --port {port} --bind 127.0.0.1 --appendonly no --save".split()
        self._add("redis", [*command, ""], accepts(("127.0.0.1", port)))
        self.processes["redis"].start()

    def _start_postgres(self) -> None:
        settings = ["shared_preload_libraries=pg_stat_statements"] if self._counts else []
        self.processes["postgres"] = postgres(self.folder, self.postgres_port, settings=settings)
        self.processes["postgres"].start()
        self._create_database("synapse")

    def _create_database(self, name: str) -> None:
        server = f"-h 127.0.0.1 -p {self.postgres_port} -U synapse".split()
        subprocess.run(["createdb", *server, name], check=True)

    def _start_synapse(self) -> None:
        self._add_synapse("main", "homeserver", ["homeserver.yaml"])
        for name in WORKERS:
            self._add_synapse(name, "generic_worker", ["homeserver.yaml", f"{name}.yaml"])
        # The main process makes the tables first.
        self.processes["main"].start()
        for name in WORKERS:
            self.processes[name].launch()
        for name in WORKERS:
            self.processes[name].wait_ready()

    def _add_synapse(self, name: str, app: str, configs: list[str]) -> None:
        here = Path(__file__).resolve().parents[1]
        env = {
            "PYTHONPATH": os.pathsep.join(
                [str(here / "src"), str(here.parent / "python" / "src"), str(here)]
            ),
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", f"synapse.app.{app}"]
        for config in configs:
            command += ["-c", str(self.folder / config)]
        self._add(name, command, answers_http(self.ports[name], "/health"), env=env)

    def _write_configs(self) -> None:
        shared = homeserver_config(
            self.own, [*self._listeners("main"), federation_listener(self.own.federation_port)]
        )
        shared["redis"] = {"enabled": True, "host": "127.0.0.1", "port": self._redis_port}
        shared["instance_map"] = {
            name: {"host": "127.0.0.1", "port": port}
            for name, port in self._replication_ports.items()
        }
        shared["stream_writers"] = {"events": ["persister1"]}
        shared["federation_domain_whitelist"] = [self.own.name, self.neighbour.name]
        write(self.folder, "homeserver.yaml", shared)
        for name in WORKERS:
            worker = self._worker(name, self._listeners(name))
            if name in self.proxies and self.bridge:
                worker["modules"] = modules(self.folder / f"{name}.sock", self.own.module)
            write(self.folder, f"{name}.yaml", worker)

    def _worker(self, name: str, own_listeners: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "worker_app": "synapse.app.generic_worker",
            "worker_name": name,
            "worker_listeners": own_listeners,
            "worker_log_config": str(self.folder / "log.yaml"),
        }

    def _listeners(self, name: str) -> list[dict[str, Any]]:
        return listeners(
            self.ports[name], self.metrics_ports[name], replication=self._replication_ports[name]
        )
