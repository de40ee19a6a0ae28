import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { chown, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { PostgresTarget } from "../../../src/log/postgres/connection/session.js";
import { freePort } from "../program/free-port.js";
import { ACCOUNT, PROGRAMS, readLines, runAs } from "./programs.js";
import { SmallDisk } from "./small-disk.js";

export const SUPERUSER = "postgres";

/** One PostgreSQL server of our own, with its data in a folder that goes with it. */
export class PostgresServer {
  readonly port: number;
  readonly folder: string;
  /** Its data lie on it; undefined unless asked for and possible. */
  readonly disk: SmallDisk | undefined;
  #child: ChildProcess | undefined;
  #settings: Readonly<Record<string, string>>;

  private constructor(
    port: number,
    folder: string,
    settings: Readonly<Record<string, string>>,
    disk: SmallDisk | undefined,
  ) {
    this.port = port;
    this.folder = folder;
    this.#settings = settings;
    this.disk = disk;
  }

  /** With `diskMb` its data lie on a small disk of their own, if this process may mount one. */
  static async start(
    settings: Readonly<Record<string, string>> = {},
    { diskMb }: { readonly diskMb?: number } = {},
  ): Promise<PostgresServer> {
    const server = await PostgresServer.#create(settings, diskMb);
    await runAs(join(PROGRAMS, "initdb"), [
      "-D",
      server.data,
      "-U",
      SUPERUSER,
      "-E",
      "UTF8",
      "--locale=C",
      "--auth=trust",
      "--no-sync",
    ]);
    await server.launch();
    return server;
  }

  /** A streaming standby of this server. */
  async standby(): Promise<PostgresServer> {
    const standby = await PostgresServer.#create(this.#settings);
    await runAs(join(PROGRAMS, "pg_basebackup"), [
      "-h",
      this.folder,
      "-p",
      String(this.port),
      "-U",
      SUPERUSER,
      "-D",
      standby.data,
      "-R",
      "-c",
      "fast",
      "--no-sync",
    ]);
    await standby.launch();
    return standby;
  }

  static async #create(settings: Readonly<Record<string, string>>, diskMb?: number): Promise<PostgresServer> {
    const folder = await mkdtemp(join(tmpdir(), "sc-pg-"));
    const disk = diskMb === undefined ? undefined : await SmallDisk.mount(folder, diskMb);
    if (ACCOUNT !== undefined) await chown(folder, ACCOUNT.uid, ACCOUNT.gid);
    return new PostgresServer(await freePort(), folder, settings, disk);
  }

  get data(): string {
    return join(this.folder, "data");
  }

  /** Starts the server on the data that is there. */
  async launch(settings = this.#settings): Promise<void> {
    this.#settings = settings;
    const all = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: this.folder,
      shared_buffers: "16MB",
      max_connections: "200",
      ...settings,
    };
    const args = ["-D", this.data, "-p", String(this.port)];
    for (const [name, value] of Object.entries(all)) args.push("-c", `${name}=${value}`);
    const log = await open(join(this.folder, "log"), "a");
    this.#child = spawn(join(PROGRAMS, "postgres"), args, { stdio: ["ignore", log.fd, log.fd], ...ACCOUNT });
    await log.close();
    for (let tries = 0; ; tries++) {
      try {
        await this.query("select 1");
        return;
      } catch (error) {
        if (tries > 400 || this.#child.exitCode !== null) {
          throw new Error(`${error}; ${await readFile(join(this.folder, "log"), "utf8")}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
    }
  }

  /** Ends the server: SIGINT as an operator does it, SIGQUIT as a crash of the whole machine would. */
  async halt(signal: "SIGINT" | "SIGQUIT" = "SIGINT"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    child.kill("SIGCONT");
    await ended;
  }

  /** Whether it ended by itself. */
  get hasEnded(): boolean {
    return this.#child !== undefined && (this.#child.exitCode !== null || this.#child.signalCode !== null);
  }

  async restart(settings = this.#settings): Promise<void> {
    await this.halt();
    await this.launch(settings);
  }

  async promote(): Promise<void> {
    await this.query("select pg_promote(true, 30)");
  }

  /** Copies the data of the halted server, as a snapshot of its disk. */
  async saveSnapshot(): Promise<void> {
    await runAs("cp", ["-a", this.data, join(this.folder, "snapshot")]);
  }

  async restoreSnapshot(): Promise<void> {
    await rm(this.data, { recursive: true });
    await runAs("cp", ["-a", join(this.folder, "snapshot"), this.data]);
  }

  /** Kills a backend, which makes the server restart by itself without a new postmaster. */
  async crash(): Promise<void> {
    const client = await this.connect();
    client.on("error", () => {});
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    process.kill(rows[0]!.pid, "SIGKILL");
  }

  /** Processor time of the postmaster and its children, including ended children, in clock ticks. */
  cpuTicks(): number {
    const postmaster = this.#child?.pid;
    let ticks = 0;
    for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
      const [line = ""] = readLines(`/proc/${name}/stat`);
      const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
      const isOwn = Number(name) === postmaster;
      if (!isOwn && Number(fields[1]) !== postmaster) continue;
      ticks += Number(fields[11]) + Number(fields[12]);
      if (isOwn) ticks += Number(fields[13]) + Number(fields[14]);
    }
    return ticks;
  }

  async stop(): Promise<void> {
    await this.halt("SIGQUIT");
    await this.disk?.unmount();
    await rm(this.folder, { recursive: true, force: true });
  }

  target(changes: Partial<PostgresTarget> = {}): PostgresTarget {
    return {
      host: "127.0.0.1",
      port: this.port,
      socketDirectory: this.folder,
      database: "postgres",
      user: SUPERUSER,
      password: undefined,
      tls: undefined,
      ...changes,
    };
  }

  async connect(): Promise<Client> {
    const client = new Client({ host: this.folder, port: this.port, user: SUPERUSER, database: "postgres" });
    client.on("error", () => {});
    await client.connect();
    return client;
  }

  async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = await this.connect();
    try {
      return (await client.query<Row>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  async writeFile(name: string, text: string, mode = 0o600): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, text, { mode });
    if (ACCOUNT !== undefined) await chown(path, ACCOUNT.uid, ACCOUNT.gid);
    return path;
  }
}
