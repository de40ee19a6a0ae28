import { performance } from "node:perf_hooks";
import { Registry } from "prom-client";
import { ADMIN_SERVICE } from "./admin/definition.js";
import { type AdminServer, createAdminServer } from "./admin/server.js";
import { ServiceState } from "./admin/service-state.js";
import { type Backends, openBackends } from "./compose-backends.js";
import { type ConnectionTables, openPorts } from "./compose-ports.js";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { HEAP_SHARE, PROGRESS_INTERVAL_MS, SILENCE_LIMIT_MS } from "./core/model/limits.js";
import type { EventStore } from "./core/model/store.js";
import { createHealth, type Health } from "./probes/health.js";
import type { MetricsSource } from "./probes/http.js";
import { addReflection } from "./probes/reflection.js";
import type { FloodObserver } from "./rpc/admission/connection.js";
import { Drain } from "./rpc/admission/drain.js";
import { Gate } from "./rpc/admission/gate.js";
import { createGrpcServer, type GrpcServer } from "./rpc/grpc-server.js";
import { createEventStore } from "./store/event-store.js";
import { observeCalls } from "./telemetry/call-metrics.js";
import { observeFloods } from "./telemetry/floods.js";
import { reportFullCapacities } from "./telemetry/full-capacities.js";
import { sendGrpcLogTo } from "./telemetry/grpc-log.js";
import { type LeveledLog, storeLogTo } from "./telemetry/log.js";
import type { MetricFamilies } from "./telemetry/metric-families.js";
import { createMetrics } from "./telemetry/metrics.js";
import { createScrape } from "./telemetry/scrape.js";
import { reportStart } from "./telemetry/start-report.js";

export interface ServerDeps {
  readonly log: LeveledLog;
  /** Variables of PostgreSQL clients stand for what the URL of the log leaves out. */
  readonly env: Readonly<Record<string, string | undefined>>;
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
  readonly adminAddresses: readonly ListenAddress[];
  /**
   * Stops in good order: reports NOT_SERVING, ends streams, lets calls in flight
   * finish until the deadline of the configuration, then cuts what is left.
   */
  stop(): Promise<void>;
}

/** What is counted, and what /metrics answers. */
function metricsOf(
  registry: Registry,
  { store, rpc, backends }: { store: EventStore; rpc: GrpcServer; backends: Backends },
  limits: Config,
  { droppedLogLines = () => 0, version, nodeVersion }: ServerDeps,
): { readonly families: MetricFamilies; readonly scrape: MetricsSource } {
  const { families, prepare } = createMetrics({
    stats: () => store.stats(),
    usage: () => rpc.usage(),
    backends,
    limits,
    configuredHomeservers: limits.homeservers,
    droppedLogLines,
    version,
    nodeVersion,
  });
  return { families, scrape: createScrape({ registry, families: families.all, prepare }) };
}

interface AdminParts {
  readonly store: EventStore;
  readonly rpc: GrpcServer;
  readonly backends: Backends;
  readonly health: Health;
  readonly service: ServiceState;
  readonly tables: ConnectionTables;
  readonly log: LeveledLog;
}

function createAdmin(parts: AdminParts, clock: () => number, onFlood: FloodObserver): AdminServer {
  const { store, rpc, backends, health, service, tables, log } = parts;
  const sources = {
    store,
    members: backends.invalidationLog.members,
    subscriptions: rpc.subscriptions,
    connections: tables,
    log,
    service,
  };
  return createAdminServer({
    sources,
    // Its listeners are local and take no credentials: every client that reaches them is an operator.
    authorize: () => undefined,
    health,
    log,
    clock,
    connections: tables.admin,
    gate: new Gate(clock, onFlood),
  });
}

/** Puts the parts together and opens the listeners; rejects with a ListenError or a ConfigError if one cannot be opened. */
export async function startServer(config: Config, deps: ServerDeps): Promise<RunningServer> {
  const { log } = deps;
  const clock = () => performance.now();
  const registry = deps.registry ?? new Registry();
  const onFlood = observeFloods(registry, log);
  sendGrpcLogTo(log);
  const heapBytesMax = Math.floor(HEAP_SHARE * deps.heapLimitBytes);
  const storeLog = storeLogTo(log, config.homeserversMax);
  const clocks = { clock, wallClock: Date.now };
  const backends = await openBackends(config, { ...deps, ...clocks });
  const store = createEventStore({ ...config, ...backends, ...clocks, heapBytesMax, log: storeLog });
  const rpc = createGrpcServer({
    store,
    log,
    clock,
    observer: observeCalls(registry),
    onFlood,
    onFull: reportFullCapacities(log),
    allowedHomeservers: config.homeservers.length === 0 ? undefined : new Set(config.homeservers),
    limits: config,
    silenceLimitMs: SILENCE_LIMIT_MS,
    progressIntervalMs: PROGRESS_INTERVAL_MS,
  });
  const health = createHealth(backends);
  health.addTo(rpc.server);
  const stopping = new Drain();
  addReflection(rpc.server, { drain: stopping, absentServices: [ADMIN_SERVICE] });
  const service = new ServiceState({ health, rpc, log });
  const { families, scrape } = metricsOf(registry, { store, rpc, backends }, config, deps);

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
    makeAdmin: (tables) => {
      const parts = { store, rpc, backends, health, service, tables, log };
      return createAdmin(parts, clock, onFlood);
    },
    onFlood,
  }).catch(async (failure: unknown) => {
    await closeAll();
    throw failure;
  });
  reportStart(log, { ...deps, ...ports, ...backends, memoryBytes: config.memoryBytes, heapBytesMax });

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    service.stop();
    stopping.start();
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
    adminAddresses: ports.adminAddresses,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
