import { performance } from "node:perf_hooks";
import { Registry } from "prom-client";
import { ADMIN_SERVICE } from "./admin/definition.js";
import { type AdminServer, createAdminServer } from "./admin/server.js";
import { ServiceState } from "./admin/service-state.js";
import { type Backends, openBackends } from "./compose-backends.js";
import { type ConnectionTables, openPorts, transportOf } from "./compose-ports.js";
import { openSecurity, type Security } from "./compose-security.js";
import { shutDown } from "./compose-shutdown.js";
import { openStatus } from "./compose-status.js";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { HEAP_SHARE, PROGRESS_INTERVAL_MS, SILENCE_LIMIT_MS } from "./core/model/limits.js";
import { Quotas } from "./core/model/quotas.js";
import type { EventStore, StoreObserver } from "./core/model/store.js";
import { createHealth, type Health } from "./probes/health.js";
import type { MetricsSource } from "./probes/http.js";
import { addReflection } from "./probes/reflection.js";
import type { FloodObserver } from "./rpc/admission/connection.js";
import { Drain } from "./rpc/admission/drain.js";
import { Gate } from "./rpc/admission/gate.js";
import { createGrpcServer, type GrpcServer, type GrpcServerOptions } from "./rpc/grpc-server.js";
import { LastChanges } from "./status/last-changes.js";
import { createEventStore } from "./store/event-store.js";
import { observeCalls } from "./telemetry/call-metrics.js";
import { registerTlsMetrics } from "./telemetry/connection-metrics.js";
import { observeFloods } from "./telemetry/floods.js";
import { reportFullCapacities } from "./telemetry/full-capacities.js";
import { reportGrpcLibrary } from "./telemetry/grpc-reports.js";
import { type LeveledLogger, type Logger, reportStore } from "./telemetry/logger.js";
import type { MetricFamilies } from "./telemetry/metric-families.js";
import { createMetrics } from "./telemetry/metrics.js";
import { createScrape } from "./telemetry/scrape.js";
import { reportStart, type SecurityReport } from "./telemetry/start-report.js";
import { openTraces, type Traces } from "./telemetry/traces/open-traces.js";

export interface ServerDeps {
  readonly logger: LeveledLogger;
  /** The PG… variables of PostgreSQL clients are the defaults of the log's URL; OTEL_… variables switch traces on. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  /** The size limit of the JavaScript heap. */
  readonly heapLimitBytes: number;
  /** The limit of file descriptors of the process. No limit if absent. */
  readonly openFilesMax?: number;
  /** How often the files of TLS and authentication are checked; 5 s unless given. */
  readonly fileCheckIntervalMs?: number;
  /** The time between two samples of the status page. 5 s if absent. */
  readonly statusIntervalMs?: number;
  /** Returns the number of log lines that could not be written. 0 if absent. */
  readonly droppedLogLines?: () => number;
  /** The registry of the metrics of the process. A new one if absent. */
  readonly registry?: Registry;
}

export interface RunningServer {
  /** The addresses of gRPC, with the actual ports. */
  readonly addresses: readonly ListenAddress[];
  readonly httpAddress: ListenAddress | undefined;
  readonly healthAddresses: readonly ListenAddress[];
  readonly adminAddresses: readonly ListenAddress[];
  /** Reads certificates and clients again, as a change of their files does. */
  reload(): void;
  /**
   * Stops gracefully: reports NOT_SERVING, ends streams, and waits for calls in flight
   * until the shutdown timeout. Then it cuts the calls that have not ended.
   */
  stop(): Promise<void>;
}

/** The metric families, and the source of /metrics. */
function metricsOf(
  registry: Registry,
  {
    store,
    rpc,
    backends,
    security,
  }: { store: EventStore; rpc: GrpcServer; backends: Backends; security: Security },
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
  registerTlsMetrics(families, { expiresMs: () => security.expiresMs() });
  return { families, scrape: createScrape({ registry, families: families.all, prepare }) };
}

interface AdminParts {
  readonly store: EventStore;
  readonly rpc: GrpcServer;
  readonly backends: Backends;
  readonly health: Health;
  readonly service: ServiceState;
  readonly tables: ConnectionTables;
  readonly security: Security;
  readonly logger: LeveledLogger;
}

function createAdmin(parts: AdminParts, clock: () => number, onFlood: FloodObserver): AdminServer {
  const { store, rpc, backends, health, service, tables, security, logger } = parts;
  const sources = {
    store,
    members: backends.invalidationLog.members,
    subscriptions: rpc.subscriptions,
    connections: tables,
    logger,
    service,
  };
  return createAdminServer({
    sources,
    transport: transportOf(security, security.secureAdmin),
    health,
    logger,
    clock,
    connections: tables.admin,
    gate: new Gate(clock, onFlood, security.access),
  });
}

type RpcParts = Pick<GrpcServerOptions, "store" | "clock" | "observer" | "onFlood"> & {
  readonly logger: Logger;
  readonly security: Security;
  readonly traces: Traces | undefined;
  readonly quotas: Quotas;
};

function createRpc(config: Config, { security, traces, quotas, ...parts }: RpcParts): GrpcServer {
  return createGrpcServer({
    ...parts,
    access: security.access,
    tracer: traces?.tracer,
    onFull: reportFullCapacities(parts.logger),
    allowedHomeservers: config.homeservers.length === 0 ? undefined : new Set(config.homeservers),
    limits: config,
    quotas,
    silenceLimitMs: SILENCE_LIMIT_MS,
    progressIntervalMs: PROGRESS_INTERVAL_MS,
  });
}

/** Builds all parts and opens the listeners. Rejects with a ListenError or a ConfigError if that fails. */
export async function startServer(config: Config, deps: ServerDeps): Promise<RunningServer> {
  const { logger } = deps;
  const clock = () => performance.now();
  const registry = deps.registry ?? new Registry();
  const onFlood = observeFloods(registry, logger);
  reportGrpcLibrary(logger);
  const heapBytesMax = Math.floor(HEAP_SHARE * deps.heapLimitBytes);
  const lastChanges = new LastChanges(Date.now);
  const observer: StoreObserver = {
    ...reportStore(logger, config.homeserversMax),
    changed: (homeserver, kind) => lastChanges.add(homeserver, kind),
  };
  const clocks = { clock, wallClock: Date.now };
  const security = await openSecurity(config, { ...deps, ...clocks });
  const backends = await openBackends(config, { ...deps, ...clocks }).catch((failure: unknown) => {
    security.stop();
    throw failure;
  });
  const quotas = new Quotas(config.quotas);
  const store = createEventStore({ ...config, ...backends, ...clocks, quotas, heapBytesMax, observer });
  const traces = await openTraces({ ...deps, ...clocks, showsIds: config.traceIds });
  const callParts = { clock, observer: observeCalls(registry), onFlood, security, traces, quotas };
  const rpc = createRpc(config, { store, logger, ...callParts });
  const health = createHealth(backends);
  health.addTo(rpc.server);
  const stopping = new Drain();
  addReflection(rpc.server, { drain: stopping, absentServices: [ADMIN_SERVICE] });
  const service = new ServiceState({ health, rpc, logger });
  const { families, scrape } = metricsOf(registry, { store, rpc, backends, security }, config, deps);
  const status = openStatus(config, { ...deps, registry, store, rpc, backends, health, clock, lastChanges });

  async function closeAll(): Promise<void> {
    status.stop();
    security.stop();
    rpc.server.forceShutdown();
    await store.close();
  }
  const ports = await openPorts(config, {
    ...deps,
    families,
    scrape,
    pages: status.pages,
    security,
    health,
    grpc: rpc.server,
    makeAdmin: (tables) => {
      const parts = { store, rpc, backends, health, service, tables, security, logger };
      return createAdmin(parts, clock, onFlood);
    },
    onFlood,
  }).catch(async (failure: unknown) => {
    await closeAll();
    throw failure;
  });
  reportStart(logger, {
    ...deps,
    ...ports,
    ...backends,
    security: protectionOf(config),
    memoryBytes: config.memoryBytes,
    heapBytesMax,
  });

  let stopped: Promise<void> | undefined;
  const parts = { service, stopping, rpc, ports, closeAll, traces, logger, clock };
  return {
    addresses: ports.addresses,
    httpAddress: ports.httpAddress,
    healthAddresses: ports.healthAddresses,
    adminAddresses: ports.adminAddresses,
    reload: () => security.reload(),
    stop: () => {
      stopped ??= shutDown(parts, config.shutdownTimeoutMs);
      return stopped;
    },
  };
}

function protectionOf({ tlsCertFile, tlsClientCaFile, authFile }: Config): SecurityReport {
  return {
    usesTls: tlsCertFile !== undefined,
    isAuthenticated: authFile !== undefined || tlsClientCaFile !== undefined,
  };
}
