import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { hasRedisServer, RedisProcess } from "../../support/redis/processes.js";

describe.skipIf(!(await hasRedisServer()))("a server of the tests", () => {
  it("starts again at its own port though what it had forked still listens there", async () => {
    const server = await RedisProcess.start();
    try {
      await server.kill();
      const forked = createServer().listen(server.port, "127.0.0.1");
      await once(forked, "listening");
      setTimeout(() => forked.close(), 300);
      await server.launch();
      expect(await server.command("PING")).toBe("PONG");
    } finally {
      await server.stop();
    }
  });
});
