import { credentials, ServerCredentials } from "@grpc/grpc-js";
import type { EventStore } from "../../../../src/core/model/store.js";
import { EventCacheServiceClient } from "../../../../src/gen/splitcache/v1/event_cache_service.js";
import { createGrpcServer, type TransportUsage } from "../../../../src/rpc/grpc-server.js";
import { grpcSidecar, type Patience } from "./grpc-sidecar.js";
import type { Connection } from "./memory-system.js";

/**
 * Serves a store on a free port and connects to it. When it is closed, nothing may be
 * counted as in flight any more, whatever became of the calls.
 */
export async function connectOverSocket(store: EventStore, patience?: Patience): Promise<Connection> {
  const { server, usage } = createGrpcServer({
    store,
    observer: { started: () => {}, handled: () => {} },
    logger: { error: () => {}, debug: () => {} },
    clock: () => performance.now(),
    allowedHomeservers: undefined,
    silenceLimitMs: 5000,
    progressIntervalMs: 1000,
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new EventCacheServiceClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  let hasEnded = false;
  return {
    sidecar: grpcSidecar(client, () => hasEnded, patience),
    async close() {
      hasEnded = true;
      server.forceShutdown();
      client.close();
      await expectIdle(usage);
    },
  };
}

/** Waits until nothing is held for any call; fails after ten seconds, or when less than nothing is. */
export async function expectIdle(usage: () => TransportUsage): Promise<void> {
  const until = performance.now() + 10_000;
  for (;;) {
    const held = Object.entries(usage()).filter(([, amount]) => amount !== 0);
    if (held.length === 0) return;
    const isNegative = held.some(([, amount]) => amount < 0);
    if (isNegative || performance.now() > until) {
      throw new Error(`when no call is in flight: ${JSON.stringify(Object.fromEntries(held))}`);
    }
    // Timers may be fake.
    await new Promise((resolve) => setImmediate(resolve));
  }
}
