import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { Registry } from "prom-client";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { EPOCH_BYTES, HEAP_SHARE, PROGRESS_INTERVAL_MS, SILENCE_LIMIT_MS } from "./core/limits.js";
import type { Epoch } from "./core/types.js";
import { createMemoryLog } from "./log/memory/memory-log.js";
import { createAdminHttp } from "./ops/admin-http.js";
import { observeCalls } from "./ops/call-metrics.js";
import { grpcListenersOf, shutDownGrpc } from "./ops/grpc-connections.js";
import { createHealth } from "./ops/health.js";
import { ListenerGroups } from "./ops/listener-groups.js";
import { type Log, storeLogTo } from "./ops/log.js";
import { registerMetrics } from "./ops/metrics.js";
import { createProbeServers } from "./ops/probe-server.js";
import { addReflection } from "./ops/reflection.js";
import { reportStart } from "./ops/start-report.js";
import { createGrpcServer } from "./rpc/server.js";
import { createEventStore } from "./store/event-store.js";

export interface ServerDeps {
  readonly log: Log;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** What the JavaScript heap may grow to. */
  readonly heapLimitBytes: number;
  /** Where metrics are registered; a new one unless given. */
  readonly registry?: Registry;
}

export interface RunningServer {
  /** Where gRPC is served, with the ports that were really taken. */
  readonly addresses: readonly ListenAddress[];
  readonly httpAddress: ListenAddress | undefined;
  readonly healthAddresses: readonly ListenAddress[];
  /**
   * Stops in good order: reports NOT_SERVING, ends streams, lets calls in flight
   * finish until the deadline of the configuration, then cuts what is left.
   */
  stop(): Promise<void>;
}

/** Puts the parts together and opens the listeners; rejects with a ListenError if one cannot be opened. */
export async function startServer(config: Config, deps: ServerDeps): Promise<RunningServer> {
  const { log } = deps;
  const clock = () => performance.now();
  const registry = deps.registry ?? new Registry();
  const heapBytesMax = Math.floor(HEAP_SHARE * deps.heapLimitBytes);
  const storeLog = storeLogTo(log, config.homeserversMax);
  const invalidationLog = createMemoryLog(() => randomBytes(EPOCH_BYTES).toString("hex") as Epoch);
  const store = createEventStore({
    ...config,
    invalidationLog,
    heapBytesMax,
    clock,
    wallClock: Date.now,
    log: storeLog,
  });
  const rpc = createGrpcServer({
    store,
    log,
    clock,
    observer: observeCalls(registry),
    allowedHomeservers: config.homeservers.length === 0 ? undefined : new Set(config.homeservers),
    limits: config,
    silenceLimitMs: SILENCE_LIMIT_MS,
    progressIntervalMs: PROGRESS_INTERVAL_MS,
  });
  const health = createHealth(() => invalidationLog.status().isUp);
  health.addTo(rpc.server);
  addReflection(rpc.server);
  registerMetrics(registry, {
    ...deps,
    stats: () => store.stats(),
    usage: () => rpc.usage(),
    limits: config,
  });

  const probes = createProbeServers(health);
  const http = createAdminHttp({ isReady: () => health.ready, metrics: registry });
  const listeners = new ListenerGroups({
    socketMode: config.socketMode,
    onError: (err) => log.error("a connection could not be accepted", { err }),
  });
  async function destroy(): Promise<void> {
    listeners.destroy();
    rpc.server.forceShutdown();
    probes.stop();
    await store.close();
  }

  try {
    await listeners.open("grpc", config.listen, grpcListenersOf(rpc.server, config));
    await listeners.open("health", config.healthListen, probes.make);
    await listeners.open("http", config.http === "off" ? [] : [config.http], () => http);
  } catch (failure) {
    await destroy();
    throw failure;
  }
  const addresses = {
    addresses: listeners.addresses("grpc"),
    httpAddress: listeners.addresses("http")[0],
    healthAddresses: listeners.addresses("health"),
  };
  reportStart(log, { ...deps, ...addresses, memoryBytes: config.memoryBytes, heapBytesMax });

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    health.drain();
    const connectionsEnded = listeners.stopAccepting("grpc");
    rpc.drain();
    const inTime = await shutDownGrpc(rpc.server, connectionsEnded, config.shutdownTimeoutMs);
    if (!inTime) log.warn("calls were cut: the shutdown timeout passed");
    await destroy();
    log.info("stopped");
  }
  return {
    ...addresses,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
