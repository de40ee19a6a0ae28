import { createServer, type Server, type Socket } from "node:net";
import { Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import type { ConnectionTable } from "../net/connection-table.js";
import { switchProtocol } from "../net/protocol-switch.js";
import type { Gate } from "../rpc/admission/gate.js";
import { catchMalformedRequests } from "../rpc/calls/auxiliary-request.js";
import { refuseBadCalls } from "../rpc/calls/refusing-call.js";
import type { Health } from "./health.js";
import { createAdminHttp } from "./http.js";

/**
 * Any client that reaches this port may send to it, so the bounds are small: probes
 * are few and short, and name one service.
 */
const PROBE_TIMEOUT_MS = 5000;
const GRPC_OPTIONS = {
  "grpc.max_concurrent_streams": 8,
  "grpc.max_receive_message_length": 4096,
  "grpc.max_connection_idle_ms": 30_000,
  // A watch whose client does not read keeps its connection from being idle.
  "grpc.max_connection_age_ms": 5 * 60_000,
  "grpc.max_connection_age_grace_ms": PROBE_TIMEOUT_MS,
};

/** Servers for probes from outside. */
export interface ProbeServers {
  /** Creates a server that answers only grpc.health.v1, /livez and /readyz, on one port. */
  make(): Server;
  /** Ends the gRPC server. The caller closes the listeners. */
  stop(): void;
}

/** Creates the servers. The gate must be theirs alone: it closes connections that flood. */
export function createProbeServers(health: Health, connections: ConnectionTable, gate: Gate): ProbeServers {
  const grpc = new GrpcServer({ ...GRPC_OPTIONS, interceptors: [refuseBadCalls(gate)] });
  gate.guard(grpc);
  catchMalformedRequests(grpc);
  health.addTo(grpc);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const http = createAdminHttp({ isReady: () => health.ready });
  const takers = {
    http1: (socket: Socket) => http.emit("connection", socket),
    http2: (socket: Socket) => injector.injectConnection(socket),
  };
  const onConnection = switchProtocol(takers, PROBE_TIMEOUT_MS);
  return {
    make: () =>
      createServer({ noDelay: true }, (socket) => {
        if (connections.accept(socket) !== undefined) onConnection(socket);
      }),
    stop: () => grpc.forceShutdown(),
  };
}
