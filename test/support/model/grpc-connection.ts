import { credentials, ServerCredentials } from "@grpc/grpc-js";
import type { EventStore } from "../../../src/core/store.js";
import { EventCacheServiceClient } from "../../../src/gen/splitcache/v1/event_cache_service.js";
import { createGrpcServer } from "../../../src/rpc/server.js";
import { grpcSidecar } from "./grpc-sidecar.js";
import type { Connection } from "./memory-host.js";

/** Serves a store on a free port and connects to it. */
export async function connectOverSocket(store: EventStore): Promise<Connection> {
  const { server } = createGrpcServer({
    store,
    observer: { started: () => {}, handled: () => {} },
    log: { error: () => {}, debug: () => {} },
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
    sidecar: grpcSidecar(client, () => hasEnded),
    async close() {
      hasEnded = true;
      server.forceShutdown();
      client.close();
    },
  };
}
