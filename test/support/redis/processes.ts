import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, ErrorReply } from "@redis/client";

/** Whether this machine has a redis-server; without one, its tests are skipped (in CI they fail). */
export async function hasRedisServer(): Promise<boolean> {
  if (process.env["CI"] === "true") return true;
  const probe = spawn(PROGRAM, ["--version"], { stdio: "ignore" });
  return new Promise((resolve) => {
    probe.once("error", () => resolve(false));
    probe.once("exit", (code) => resolve(code === 0));
  });
}

/** One redis-server of our own, on a free port, with its data in a folder that goes with it. */
export class RedisProcess {
  readonly port: number;
  readonly #folder: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #client: Client | undefined;

  private constructor(port: number, folder: string, args: readonly string[]) {
    this.port = port;
    this.#folder = folder;
    this.#args = args;
  }

  /** Starts it with these arguments, `--name value` each; `config` makes the text of a file of configuration. */
  static async start(
    args: readonly string[] = [],
    { sentinel, config }: { sentinel?: boolean; config?: (port: number) => string } = {},
  ): Promise<RedisProcess> {
    const port = await freePort();
    const folder = await mkdtemp(join(tmpdir(), "splitcache-redis-"));
    const file = join(folder, "redis.conf");
    await writeFile(file, config?.(port) ?? "");
    const common = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder];
    const own = sentinel
      ? [file, "--sentinel", ...common]
      : [file, ...common, "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"];
    const redis = new RedisProcess(port, folder, [...own, ...args]);
    await redis.launch();
    return redis;
  }

  /** Starts it again, empty. */
  async launch(): Promise<void> {
    await this.#untilPortsAreFree();
    const log = await open(this.#logPath, "a");
    this.#child = spawn(PROGRAM, this.#args, { stdio: ["ignore", log.fd, log.fd] });
    await log.close();
    await this.#untilReady();
  }

  /** Stops it and starts it again with what `SAVE` wrote last; when it starts next, it is empty again. */
  async restoreSaved(): Promise<void> {
    await this.kill();
    await this.launch();
    await rm(join(this.#folder, "dump.rdb"), { force: true });
  }

  get #logPath(): string {
    return join(this.#folder, "redis.log");
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.#client?.isOpen === true) this.#client.destroy();
    this.#client = undefined;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Sends one command, over a connection that is kept. */
  async command<T = unknown>(...args: string[]): Promise<T> {
    try {
      return await this.#send<T>(args);
    } catch (cause) {
      // What the server itself says needs no explanation.
      if (cause instanceof ErrorReply) throw cause;
      const text = `${args.slice(0, 3).join(" ")} at ${this.port}: ${cause}`;
      throw new Error(`${text}; ${await this.#describe()}`, { cause });
    }
  }

  /** Whether it runs, and what it logged last. */
  async #describe(): Promise<string> {
    const { pid, exitCode, signalCode } = this.#child ?? {};
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    const state = /State:\s*(.*)/.exec(status)?.[1];
    const log = await readFile(this.#logPath, "utf8").catch(() => "");
    const last = log.split("\n").slice(-LOG_LINES_SHOWN).join("\n");
    return `it is ${state ?? `gone (${exitCode ?? signalCode})`}; its log ends:\n${last}`;
  }

  async #send<T>(args: string[]): Promise<T> {
    if (this.#client?.isReady !== true) {
      const client = createClient({
        socket: { host: "127.0.0.1", port: this.port, reconnectStrategy: false, connectTimeout: 1000 },
      });
      client.on("error", () => {});
      await client.connect();
      this.#client = client as Client;
    }
    const client = this.#client;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`no answer within ${ANSWER_MS} ms`));
        client.destroy();
      }, ANSWER_MS);
    });
    return (await Promise.race([client.sendCommand(args), late]).finally(() => clearTimeout(timer))) as T;
  }

  /**
   * A child that the server had forked before it was killed has inherited the sockets that
   * it listened at, and closes them only when it gets to run: on a busy machine that takes
   * longer than to start the server again.
   */
  async #untilPortsAreFree(): Promise<void> {
    const ports = this.#args.includes("--cluster-enabled") ? [this.port, this.port + BUS] : [this.port];
    for (const port of ports) {
      // Who holds it for longer is for the server itself to complain of.
      for (let tries = 0; tries < 200 && !(await isFree(port)); tries++) await pause(25);
    }
  }

  async #untilReady(): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await this.command("PING");
        return;
      } catch (error) {
        if (tries > 200 || this.#child?.exitCode !== null) throw error;
        await pause(25);
      }
    }
  }
}

/** Workers that run beside each other take theirs from different thousands: a server that is killed needs its own again. */
const FIRST_PORT = 12_000 + (Number(process.env["VITEST_POOL_ID"] ?? 0) % 10) * 1000;

/** A port without a listener, from a range that no outgoing connection takes while a server is down. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, FIRST_PORT + 1000);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await once(probe.listen(port, "127.0.0.1"), "listening");
  } catch {
    return false;
  }
  await once(probe.close(), "close");
  return true;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** By how much the port of a Cluster's bus is above the server's own. */
const BUS = 10_000;

/** Longer than any test lets a server stand still that it asks. */
const ANSWER_MS = 8000;
const LOG_LINES_SHOWN = 15;

type Client = ReturnType<typeof createClient>;

/** Another version, or a Valkey: the path of its server. */
const PROGRAM = process.env["REDIS_SERVER"] ?? "redis-server";
