import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@redis/client";

/** A redis-server of our own, on a free port, without persistence. */
export async function startRedisServer(): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  const folder = mkdtempSync(join(tmpdir(), "splitcache-bench-"));
  const flags = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
  const child = spawn("redis-server", flags, { stdio: "ignore" });
  const client = createClient({ socket: { port, reconnectStrategy: 50 } });
  client.on("error", () => {});
  await client.connect();
  client.destroy();
  return {
    port,
    stop: async () => {
      const ended = once(child, "exit");
      child.kill();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
