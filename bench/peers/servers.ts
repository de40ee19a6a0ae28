import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startRedisServer } from "../support/redis-server.js";
import { startSidecar } from "../support/sidecar.js";

/** A server under load. */
export interface Peer {
  readonly pid: number;
  readonly address: string;
  /** Where it also serves a Unix socket. */
  readonly unixAddress?: string;
  stop(): Promise<void>;
}

export const SERVER_CORE = Number(process.env["BENCH_SERVER_CORE"] ?? 0);
export const ON_SERVER_CORE = ["taskset", "-c", String(SERVER_CORE)];
export const ON_LOAD_CORE = ["taskset", "-c", process.env["BENCH_LOAD_CORE"] ?? "1"];

export interface SidecarOptions {
  readonly memory: string;
  readonly node?: string;
  /** The program of another build. */
  readonly main?: string;
  readonly flags?: readonly string[];
  readonly prefix?: readonly string[];
}

export async function startSidecarPeer(options: SidecarOptions): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), "splitcache-bench-"));
  const unixAddress = `unix:${join(folder, "sidecar.sock")}`;
  const flags = ["--listen", unixAddress, "--memory", options.memory, ...(options.flags ?? [])];
  const sidecar = await startSidecar(flags, {
    prefix: options.prefix ?? ON_SERVER_CORE,
    // A large budget needs a larger heap.
    nodeFlags: "--max-semi-space-size=2 --max-old-space-size=12288",
    ...(options.node === undefined ? {} : { node: options.node }),
    ...(options.main === undefined ? {} : { main: options.main }),
  });
  return {
    pid: sidecar.pid,
    address: sidecar.address,
    unixAddress,
    stop: async () => {
      await sidecar.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function startRedisPeer(): Promise<Peer> {
  const folder = mkdtempSync(join(tmpdir(), "splitcache-bench-"));
  const socket = join(folder, "redis.sock");
  const redis = await startRedisServer({
    prefix: ON_SERVER_CORE,
    args: ["--unixsocket", socket, "--client-output-buffer-limit", "pubsub 0 0 0"],
  });
  return {
    pid: redis.pid,
    address: `127.0.0.1:${redis.port}`,
    unixAddress: `unix:${socket}`,
    stop: async () => {
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A server with replies of fixed bytes. */
export async function startFixedPeer(
  kind: "grpc-js" | "http2",
  bytesEach: number,
  node = process.execPath,
): Promise<Peer> {
  const program = new URL("./fixed-server.js", import.meta.url).pathname;
  const command = [...ON_SERVER_CORE, node, "--max-semi-space-size=2", program, kind, String(bytesEach)];
  const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
  const port = await firstLine(child);
  return {
    pid: child.pid!,
    address: `127.0.0.1:${port}`,
    stop: async () => {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`a server ended with ${code}`)));
    createInterface({ input: child.stdout! }).once("line", resolve);
  });
}
