import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";
import { Registry } from "prom-client";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { formatRedisUrl, type RedisAddress } from "./config/redis-url.js";
import { HEAP_SHARE, PROGRESS_INTERVAL_MS } from "./core/limits.js";
import type { EventStore } from "./core/store.js";
import type { MetricsSource } from "./ops/admin-http.js";
import { observeCalls } from "./ops/call-metrics.js";
import { observeFloods } from "./ops/floods.js";
import { sendGrpcLogTo } from "./ops/grpc-log.js";
import { createHealth } from "./ops/health.js";
import { type Log, redisLogTo, storeLogTo } from "./ops/log.js";
import type { MetricFamilies } from "./ops/metric-families.js";
import { createMetrics } from "./ops/metrics.js";
import { createScrape } from "./ops/scrape.js";
import { reportStart } from "./ops/start-report.js";
import { openPorts } from "./ports.js";
import { addReflection } from "./rpc/reflection.js";
import { createGrpcServer, type GrpcServer } from "./rpc/server.js";
import { createMemoryStore } from "./store/memory.js";
import { connectToRedis } from "./store/redis/connect.js";
import { CountedLog } from "./store/redis/counted-log.js";
import { REPLICAS_MIN_DEFAULT } from "./store/redis/redis-limits.js";
import { createRedisStore, type RedisStoreOptions } from "./store/redis/redis-store.js";
import { NO_CREDENTIALS, type RedisCredentials } from "./store/redis/target.js";

export interface ServerDeps {
  readonly log: Log;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** What the JavaScript heap may grow to. */
  readonly heapLimitBytes: number;
  /** How many file descriptors the process may have; without a limit unless given. */
  readonly openFilesMax?: number;
  /** What to show Redis, and whom to trust about it. */
  readonly redisCredentials?: RedisCredentials;
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

/** The store of many sidecars. */
function openRedisStore(
  options: Omit<RedisStoreOptions, "link" | "redisLog" | "keyPrefix"> &
    Pick<Config, "redisKeyPrefix" | "redisReplicasMin">,
  address: RedisAddress,
  { log, redisCredentials }: ServerDeps,
): EventStore {
  const redisLog = new CountedLog(redisLogTo(log));
  return createRedisStore({
    ...options,
    link: connectToRedis({ ...address, ...NO_CREDENTIALS, ...redisCredentials }, options.clock, redisLog),
    redisLog,
    keyPrefix: options.redisKeyPrefix,
    replicasMin: options.redisReplicasMin ?? REPLICAS_MIN_DEFAULT[address.topology],
  });
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
  const onFlood = observeFloods(registry, log);
  sendGrpcLogTo(log);
  const heapBytesMax = Math.floor(HEAP_SHARE * deps.heapLimitBytes);
  const storeLog = storeLogTo(log, config.homeserversMax);
  const common = { ...config, heapBytesMax, clock, log: storeLog };
  const store =
    config.redisUrl === undefined
      ? createMemoryStore({ ...common, randomBytes })
      : openRedisStore(common, config.redisUrl, deps);
  const rpc = createGrpcServer({
    store,
    log,
    clock,
    observer: observeCalls(registry),
    onFlood,
    allowedHomeservers: config.homeservers.length === 0 ? undefined : new Set(config.homeservers),
    limits: config,
    leaseDurationMs: config.leaseDurationMs,
    progressIntervalMs: PROGRESS_INTERVAL_MS,
  });
  // A store in this process is asked for nothing.
  const health = createHealth(() => !store.isRemote || store.stats().remote?.isWell !== false);
  health.addTo(rpc.server);
  addReflection(rpc.server);
  const { families, scrape } = metricsOf(registry, store, rpc, config, deps);

  async function closeAll(): Promise<void> {
    rpc.server.forceShutdown();
    await store.close();
  }
  const ports = await openPorts(config, {
    ...deps,
    families,
    scrape,
    health,
    grpc: rpc.server,
    onFlood,
  }).catch(async (failure: unknown) => {
    await closeAll();
    throw failure;
  });
  const redis = config.redisUrl && formatRedisUrl(config.redisUrl);
  reportStart(log, { ...deps, ...ports, redis, memoryBytes: config.memoryBytes, heapBytesMax });

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
