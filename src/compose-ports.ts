import { createServer } from "node:net";
import type { Server as GrpcServer } from "@grpc/grpc-js";
import type { AdminServer } from "./admin/server.js";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { connectionBounds, openFilesMin, PROBE_CONNECTIONS_MAX } from "./net/connection-bounds.js";
import { ConnectionTable } from "./net/connection-table.js";
import { DescriptorReserve } from "./net/descriptor-reserve.js";
import { GrpcConnections } from "./net/grpc-connections.js";
import { sessionsOf } from "./net/grpc-sessions.js";
import { ListenerGroups, type Purpose } from "./net/listener-groups.js";
import { ListenError } from "./net/listeners.js";
import type { Health } from "./probes/health.js";
import { createAdminHttp, type MetricsSource } from "./probes/http.js";
import { createProbeServers } from "./probes/probe-server.js";
import type { FloodObserver } from "./rpc/admission/connection.js";
import { Gate } from "./rpc/admission/gate.js";
import { listenerLogTo } from "./telemetry/connection-log.js";
import { registerConnectionMetrics } from "./telemetry/connection-metrics.js";
import type { Log } from "./telemetry/log.js";
import type { MetricFamilies } from "./telemetry/metric-families.js";

/** The connections of each kind of listener. */
export type ConnectionTables = Readonly<Record<Purpose, ConnectionTable>>;

/** What the ports serve. */
export interface PortSources {
  readonly grpc: GrpcServer;
  /** Makes the server of operators. */
  makeAdmin(connections: ConnectionTables): AdminServer;
  readonly health: Health;
  /** Takes the metrics of connections. */
  readonly families: MetricFamilies;
  /** What /metrics answers. */
  readonly scrape: MetricsSource;
  readonly log: Log;
  /** Is told of connections that are ended because of a flood. */
  readonly onFlood: FloodObserver;
  /** How many file descriptors the process may have; without a limit unless given. */
  readonly openFilesMax?: number | undefined;
}

/** The open ports of a sidecar. */
export interface Ports {
  readonly addresses: readonly ListenAddress[];
  readonly httpAddress: ListenAddress | undefined;
  readonly healthAddresses: readonly ListenAddress[];
  readonly adminAddresses: readonly ListenAddress[];
  /** Bound of gRPC connections. */
  readonly connectionsMax: number;
  /**
   * Accepts no more gRPC connections and ends each as soon as it carries no call.
   * Returns how many calls had not ended at the deadline.
   */
  drainGrpc(timeoutMs: number): Promise<number>;
  /** Closes all ports and cuts their connections. */
  destroy(): void;
}

/** Opens all ports of the configuration; rejects with a ListenError if one cannot be opened. */
export async function openPorts(config: Config, sources: PortSources): Promise<Ports> {
  const { grpc, health, families, scrape, log, onFlood } = sources;
  const listenerLog = listenerLogTo(log);
  const bounds = boundsOf(config, sources);
  const descriptors = new DescriptorReserve();
  const table = (listener: Purpose, max: number) => {
    const log = listenerLog.connections(listener);
    return new ConnectionTable({ max, log, descriptors, usesReserve: listener !== "grpc" });
  };
  const tables = {
    grpc: table("grpc", bounds.grpc),
    health: table("health", PROBE_CONNECTIONS_MAX),
    http: table("http", PROBE_CONNECTIONS_MAX),
    admin: table("admin", PROBE_CONNECTIONS_MAX),
  };
  registerConnectionMetrics(families, tables);
  const connections = new GrpcConnections(tables.grpc, sessionsOf(grpc), {
    idleTimeoutMs: config.connectionIdleTimeoutMs,
  });
  const probes = createProbeServers(health, tables.health, new Gate(() => performance.now(), onFlood));
  const http = createAdminHttp({
    isReady: () => health.ready,
    metrics: scrape,
    ...(config.http === "off" ? {} : { configuredHost: config.http.host }),
  });
  const admin = sources.makeAdmin(tables);
  http.on("connection", (socket) => void tables.http.accept(socket));
  const listeners = new ListenerGroups({
    socketMode: config.socketMode,
    onError: (error) => listenerLog.acceptFailed(error),
  });
  const grpcServer = () => createServer({ noDelay: true }, (socket) => connections.take(socket));
  const destroy = () => {
    listeners.destroy();
    probes.stop();
    admin.stop();
    descriptors.close();
  };
  try {
    await listeners.open("grpc", config.listen, grpcServer);
    await listeners.open("health", config.healthListen, probes.make);
    await listeners.open("http", config.http === "off" ? [] : [config.http], () => http);
    await listeners.open("admin", config.adminListen, admin.make);
  } catch (failure) {
    destroy();
    throw failure;
  }
  return {
    addresses: listeners.addresses("grpc"),
    httpAddress: listeners.addresses("http")[0],
    healthAddresses: listeners.addresses("health"),
    adminAddresses: listeners.addresses("admin"),
    connectionsMax: tables.grpc.usage().max,
    drainGrpc: (timeoutMs) => {
      void listeners.stopAccepting("grpc");
      return connections.drain(timeoutMs);
    },
    destroy,
  };
}

/**
 * The bounds of connections. Refuses a limit of open files that leaves too few for
 * gRPC, and warns of one that leaves fewer than the bounds of calls need.
 */
function boundsOf(config: Config, { log, openFilesMax = Number.POSITIVE_INFINITY }: PortSources) {
  const { http, healthListen, adminListen } = config;
  const probePorts = [http !== "off", healthListen.length > 0, adminListen.length > 0].filter(Boolean).length;
  const bounds = connectionBounds(config, openFilesMax, probePorts);
  if (bounds === undefined) {
    throw new ListenError(
      config.listen,
      `the limit of open files is ${openFilesMax} and must be at least ${openFilesMin(probePorts)}; raise it with ulimit -n`,
    );
  }
  if (bounds.grpc < bounds.grpcWanted) {
    log.warn(
      "the limit of open files allows fewer connections than the bounds of calls need; raise it with ulimit -n",
      { openFilesMax, connectionsMax: bounds.grpc, connectionsWanted: bounds.grpcWanted },
    );
  }
  return bounds;
}
