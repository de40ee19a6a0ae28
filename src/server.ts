import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { Registry } from "prom-client";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { EPOCH_BYTES, HEAP_SHARE, PROGRESS_INTERVAL_MS, SILENCE_LIMIT_MS } from "./core/limits.js";
import type { EventStore } from "./core/store.js";
import type { Epoch } from "./core/types.js";
import { createMemoryLog } from "./log/memory/memory-log.js";
import type { MetricsSource } from "./ops/admin-http.js";
import { observeCalls } from "./ops/call-metrics.js";
import { createHealth } from "./ops/health.js";
import { type Log, storeLogTo } from "./ops/log.js";
import type { MetricFamilies } from "./ops/metric-families.js";
import { createMetrics } from "./ops/metrics.js";
import { createScrape } from "./ops/scrape.js";
import { reportStart } from "./ops/start-report.js";
import { openPorts } from "./ports.js";
import { addReflection } from "./rpc/reflection.js";
import { createGrpcServer, type GrpcServer } from "./rpc/server.js";
import { createEventStore } from "./store/event-store.js";

export interface ServerDeps {
  readonly log: Log;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** What the JavaScript heap may grow to. */
  readonly heapLimitBytes: number;
  /** How many file descriptors the process may have; without a limit unless given. */
  readonly openFilesMax?: number;
  /** How many log lines could not be written; none unless given. */
  readonly droppedLogLines?: () => number;
  /** Where metrics of the process are registered; a new one unless given. */
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

/** What is counted, and what /metrics answers. */
function metricsOf(
  registry: Registry,
  store: EventStore,
  rpc: GrpcServer,
  limits: Config,
  { droppedLogLines = () => 0, version, nodeVersion }: ServerDeps,
): { readonly families: MetricFamilies; readonly scrape: MetricsSource } {
  const { families, prepare } = createMetrics({
    stats: () => store.stats(),
    usage: () => rpc.usage(),
    limits,
    configuredHomeservers: limits.homeservers,
    droppedLogLines,
    version,
    nodeVersion,
  });
  return { families, scrape: createScrape({ registry, families: families.all, prepare }) };
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
  const { families, scrape } = metricsOf(registry, store, rpc, config, deps);

  async function closeAll(): Promise<void> {
    rpc.server.forceShutdown();
    await store.close();
  }
  const ports = await openPorts(config, { ...deps, families, scrape, health, grpc: rpc.server }).catch(
    async (failure: unknown) => {
      await closeAll();
      throw failure;
    },
  );
  reportStart(log, { ...deps, ...ports, memoryBytes: config.memoryBytes, heapBytesMax });

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    health.drain();
    rpc.drain();
    // Asks clients to begin no more calls.
    rpc.server.tryShutdown(() => {});
    const calls = await ports.drainGrpc(config.shutdownTimeoutMs);
    if (calls > 0) log.warn("calls were cut: the shutdown timeout passed", { calls });
    ports.destroy();
    await closeAll();
    log.info("stopped");
  }
  return {
    addresses: ports.addresses,
    httpAddress: ports.httpAddress,
    healthAddresses: ports.healthAddresses,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
