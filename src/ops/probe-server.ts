import { createServer, type Server, type Socket } from "node:net";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import { createAdminHttp } from "./admin-http.js";
import type { Health } from "./health.js";
import { switchProtocol } from "./protocol-switch.js";

/** Probes are few and short; whoever opens more connections is no probe. */
const CONNECTIONS_MAX = 256;
const CONNECTION_IDLE_MS = 30_000;
const PROBE_TIMEOUT_MS = 5000;

/** Servers for probes from outside. */
export interface ProbeServers {
  /** Makes one that answers grpc.health.v1, /livez and /readyz on one port, and nothing else. */
  make(): Server;
  /** Ends what gRPC holds. The listeners are the caller's to close. */
  stop(): void;
}

export function createProbeServers(health: Health): ProbeServers {
  const grpc = new GrpcServer({ "grpc.max_connection_idle_ms": CONNECTION_IDLE_MS });
  health.addTo(grpc);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const http = createAdminHttp({ isReady: () => health.ready });
  http.maxRequestsPerSocket = 1;
  const takers = {
    http1: (socket: Socket) => http.emit("connection", socket),
    http2: (socket: Socket) => injector.injectConnection(socket),
  };
  const onConnection = switchProtocol(takers, PROBE_TIMEOUT_MS);
  return {
    make: () => {
      const server = createServer({ noDelay: true }, onConnection);
      server.maxConnections = CONNECTIONS_MAX;
      return server;
    },
    stop: () => grpc.forceShutdown(),
  };
}
