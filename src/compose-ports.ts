import type { Server as HttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import type { Server as GrpcServer } from "@grpc/grpc-js";
import type { AdminServer } from "./admin/server.js";
import type { Security } from "./compose-security.js";
import type { ListenAddress } from "./config/address.js";
import type { Config } from "./config/options.js";
import { connectionBounds, openFilesMin, PROBE_CONNECTIONS_MAX } from "./net/connection-bounds.js";
import { ConnectionTable } from "./net/connection-table.js";
import { DescriptorReserve } from "./net/descriptor-reserve.js";
import { GrpcConnections } from "./net/grpc-connections.js";
import { sessionsOf } from "./net/grpc-sessions.js";
import { ListenerGroups, type Purpose } from "./net/listener-groups.js";
import { ListenError } from "./net/listeners.js";
import type { Secure } from "./net/tls-front.js";
import type { Health } from "./probes/health.js";
import { createAdminHttp, type MetricsSource } from "./probes/http.js";
import { createProbeServers } from "./probes/probe-server.js";
import type { FloodObserver } from "./rpc/admission/connection.js";
import { Gate } from "./rpc/admission/gate.js";
import type { StatusPages } from "./status/pages.js";
import { registerConnectionMetrics } from "./telemetry/connection-metrics.js";
import { reportListeners } from "./telemetry/connection-reports.js";
import type { Logger } from "./telemetry/logger.js";
import type { MetricFamilies } from "./telemetry/metric-families.js";

/** The connections of each kind of listener. */
export type ConnectionTables = Readonly<Record<Purpose, ConnectionTable>>;

/** The servers behind the ports, and their observers. */
export interface PortSources {
  readonly grpc: GrpcServer;
  /** Creates the server for operators. */
  makeAdmin(connections: ConnectionTables): AdminServer;
  readonly security: Security;
  readonly health: Health;
  /** The metrics of connections are added to it. */
  readonly families: MetricFamilies;
  /** The source of /metrics. */
  readonly scrape: MetricsSource;
  /** The status page and its resources. */
  readonly pages: StatusPages;
  readonly logger: Logger;
  /** Called when a connection is closed because of a flood. */
  readonly onFlood: FloodObserver;
  /** The limit of file descriptors of the process. No limit if absent. */
  readonly openFilesMax?: number | undefined;
}

/** The open ports of a sidecar. */
export interface Ports {
  readonly addresses: readonly ListenAddress[];
  readonly httpAddress: ListenAddress | undefined;
  readonly healthAddresses: readonly ListenAddress[];
  readonly adminAddresses: readonly ListenAddress[];
  /** Limit of gRPC connections. */
  readonly connectionsMax: number;
  /**
   * Accepts no more gRPC connections and closes each as soon as it carries no call.
   * Returns the number of calls that had not ended at the deadline.
   */
  drainGrpc(timeoutMs: number): Promise<number>;
  /** Closes all ports and their connections. */
  destroy(): void;
}

/** Opens all configured ports. Rejects with a ListenError if a port cannot be opened. */
export async function openPorts(config: Config, sources: PortSources): Promise<Ports> {
  const { grpc, health, families, scrape, logger, onFlood, security } = sources;
  const listenerLog = reportListeners(logger);
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
    ...transportOf(security, security.secureGrpc),
    idleTimeoutMs: config.connectionIdleTimeoutMs,
  });
  const probes = createProbeServers(health, tables.health, new Gate(() => performance.now(), onFlood));
  const http = createAdminHttp({
    isReady: () => health.ready,
    metrics: scrape,
    pages: sources.pages,
    access: security.httpAccess,
    // Over TLS a page of another name has no certificate, so the check has nothing to do.
    ...(config.http === "off" || security.secureHttp !== undefined
      ? {}
      : { configuredHost: config.http.host }),
  });
  const admin = sources.makeAdmin(tables);
  const listeners = new ListenerGroups({
    socketMode: config.socketMode,
    onError: (error) => listenerLog.acceptFailed(error),
  });
  const grpcServer = (address: ListenAddress) =>
    createServer({ noDelay: true }, (socket) => connections.take(socket, address));
  const destroy = () => {
    listeners.destroy();
    probes.stop();
    admin.stop();
    descriptors.close();
  };
  try {
    await listeners.open("grpc", config.listen, grpcServer);
    await listeners.open("health", config.healthListen, probes.make);
    await listeners.open("http", config.http === "off" ? [] : [config.http], () =>
      httpListener(http, tables.http, security),
    );
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

/** What TLS and authentication have to do with gRPC connections. */
export function transportOf({ opened }: Security, secure: Secure | undefined) {
  return {
    secure,
    onOpen: opened,
  };
}

/** The server that listens for HTTP: itself, or a server in front that ends TLS. */
function httpListener(http: HttpServer, table: ConnectionTable, { secureHttp }: Security): Server {
  if (secureHttp === undefined) {
    http.on("connection", (socket) => void table.accept(socket));
    return http;
  }
  return createServer({ noDelay: true }, (socket) => {
    if (table.accept(socket) === undefined) return;
    secureHttp(socket, (secured) => http.emit("connection", secured));
  });
}

/**
 * The limits of connections. Throws if the limit of open files is too small for gRPC,
 * and warns if it allows fewer connections than the limits of calls need.
 */
function boundsOf(config: Config, { logger, openFilesMax = Number.POSITIVE_INFINITY }: PortSources) {
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
    logger.warn(
      "the limit of open files allows fewer connections than the limits of calls need; raise it with ulimit -n",
      { openFilesMax, connectionsMax: bounds.grpc, connectionsWanted: bounds.grpcWanted },
    );
  }
  return bounds;
}
