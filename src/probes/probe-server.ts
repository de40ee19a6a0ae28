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
 * Whoever can reach this port may send to it, so all that it can be made to hold
 * is small: probes are few and short, and ask for one service by its name.
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
  /** Makes one that answers grpc.health.v1, /livez and /readyz on one port, and nothing else. */
  make(): Server;
  /** Ends what gRPC holds. The listeners are the caller's to close. */
  stop(): void;
}

/** The gate is for these servers alone: it ends their connections that flood. */
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
