import { afterEach } from "vitest";
import type { ConnectOptions } from "../../../src/client/options.js";
import { SplitCache } from "../../../src/client/split-cache.js";
import { startTestServer, type TestServer } from "../server/start-server.js";

export const HOMESERVER = "example.org";

/** An event as a database has it. */
export const event = (eventId: string, text = "hello", roomId = "!room") => ({
  eventId,
  roomId,
  roomVersion: "10",
  body: JSON.stringify({ type: "m.room.message", content: { body: text } }),
});

/** What a test starts, ended after it in reverse order. */
export function useClients() {
  const ends: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  return {
    ends,
    async start(): Promise<TestServer> {
      const server = await startTestServer();
      ends.push(() => server.stop());
      return server;
    },
    async connect(address: string, options: Partial<ConnectOptions> = {}): Promise<SplitCache> {
      const cache = await SplitCache.connect({ address, homeserver: HOMESERVER, ...options });
      ends.push(() => cache.close());
      return cache;
    },
  };
}
