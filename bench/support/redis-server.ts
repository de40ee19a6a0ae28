import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@redis/client";

export interface RedisServer {
  readonly port: number;
  readonly pid: number;
  /** Ends it, and what it held. */
  stop(): Promise<void>;
}

/** A redis-server of our own, on a free port, without persistence; a Sentinel if it has a master to watch. */
export async function startRedisServer(
  options: {
    readonly args?: readonly string[];
    readonly watches?: string;
    /** A command such as taskset in front. */
    readonly prefix?: readonly string[];
  } = {},
): Promise<RedisServer> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  const folder = mkdtempSync(join(tmpdir(), "splitcache-bench-"));
  const common = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder];
  const file = join(folder, "sentinel.conf");
  if (options.watches !== undefined) writeFileSync(file, options.watches);
  const flags = options.watches === undefined ? [...common, "--save", ""] : [file, "--sentinel", ...common];
  flags.push(...(options.args ?? []));
  const command = [...(options.prefix ?? []), "redis-server", ...flags];
  const child = spawn(command[0]!, command.slice(1), { stdio: "ignore" });
  const client = createClient({ socket: { port, reconnectStrategy: 50 } });
  client.on("error", () => {});
  await client.connect();
  client.destroy();
  return {
    port,
    pid: child.pid!,
    stop: async () => {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
