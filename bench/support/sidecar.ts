import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { credentials } from "@grpc/grpc-js";
import { EventCacheServiceClient } from "../../src/gen/splitcache/v1/event_cache_service.js";

/** A sidecar in a process of its own, on ports of its own. */
export interface Sidecar {
  readonly pid: number;
  readonly address: string;
  client(): EventCacheServiceClient;
  /** Resident memory now and at its highest, in bytes. */
  residentBytes(): { now: number; peak: number };
  stop(): Promise<void>;
}

/** Starts one with the node that runs this, or with `node`; `prefix` is a command such as taskset in front, `main` the program of another build. */
export async function startSidecar(
  flags: readonly string[],
  {
    node = process.execPath,
    prefix = [] as readonly string[],
    main = new URL("../../../dist/main.js", import.meta.url).pathname,
    nodeFlags = process.env["BENCH_NODE_FLAGS"] ?? "--max-semi-space-size=2",
  } = {},
): Promise<Sidecar> {
  const command = [
    ...prefix,
    node,
    ...nodeFlags.split(" "),
    main,
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--http",
    "off",
    ...flags,
  ];
  // As npm start and the image run it.
  const env = { MALLOC_MMAP_THRESHOLD_: "131072", ...process.env };
  const child = spawn(command[0]!, command.slice(1), { env, stdio: ["ignore", "ignore", "pipe"] });
  const address = await listeningAddress(child);
  const clients: EventCacheServiceClient[] = [];
  return {
    pid: child.pid!,
    address,
    client: () => {
      // A channel of its own each: connections are not shared.
      const options = { "grpc.use_local_subchannel_pool": 1, "grpc.enable_http_proxy": 0 };
      const client = new EventCacheServiceClient(address, credentials.createInsecure(), options);
      clients.push(client);
      return client;
    },
    residentBytes: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      const kib = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
      return { now: kib("VmRSS") * 1024, peak: kib("VmHWM") * 1024 };
    },
    stop: async () => {
      for (const client of clients) client.close();
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** Reads the log until the line that names the address. */
function listeningAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const seen: string[] = [];
    child.once("exit", () => reject(new Error(`the sidecar ended:\n${seen.join("\n")}`)));
    createInterface({ input: child.stderr! }).on("line", (line) => {
      seen.push(line);
      const port = /"127\.0\.0\.1:(\d+)"/.exec(line)?.[1];
      if (port !== undefined) resolve(`127.0.0.1:${port}`);
    });
  });
}
