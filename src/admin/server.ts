import { createServer, type Server } from "node:net";
import { Server as GrpcServer } from "@grpc/grpc-js";
import type { ListenAddress } from "../config/address.js";
import type { ConnectionTable } from "../net/connection-table.js";
import { type GrpcConnectionOptions, GrpcConnections } from "../net/grpc-connections.js";
import { sessionsOf } from "../net/grpc-sessions.js";
import type { Health } from "../probes/health.js";
import { addReflection } from "../probes/reflection.js";
import { Drain } from "../rpc/admission/drain.js";
import type { Gate } from "../rpc/admission/gate.js";
import { catchMalformedRequests } from "../rpc/calls/auxiliary-request.js";
import type { RpcLogger } from "../rpc/status.js";
import { admitOperators } from "./admission.js";
import { ADMIN_SERVICE, adminDefinition } from "./definition.js";
import { ADMIN_CALL_TIME_LIMIT_MS, ADMIN_REQUEST_BYTES_MAX } from "./limits.js";
import { createAdminService } from "./service.js";
import type { AdminSources } from "./sources.js";

const GRPC_OPTIONS = {
  "grpc.max_concurrent_streams": 16,
  "grpc.max_receive_message_length": ADMIN_REQUEST_BYTES_MAX,
  // A connection with an open health or reflection stream is not idle, even if its client does not read.
  "grpc.max_connection_age_ms": 5 * 60_000,
  "grpc.max_connection_age_grace_ms": ADMIN_CALL_TIME_LIMIT_MS,
};
const CONNECTION_IDLE_MS = 60_000;

export interface AdminServerOptions {
  readonly sources: AdminSources;
  readonly health: Health;
  readonly logger: RpcLogger;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  readonly connections: ConnectionTable;
  readonly transport: Pick<GrpcConnectionOptions, "secure" | "onOpen">;
  /** For this server alone. It closes connections that flood, and checks that the caller is an operator. */
  readonly gate: Gate;
}

/** The server for operators. */
export interface AdminServer {
  /** Creates a server for one listener. */
  make(address: ListenAddress): Server;
  /** Ends the gRPC server. The caller closes the listeners. */
  stop(): void;
}

/** Creates the server of AdminService, health and reflection. It does not serve the cache. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { sources, health, logger, clock, gate } = options;
  const grpc = new GrpcServer({ ...GRPC_OPTIONS, interceptors: [admitOperators({ gate })] });
  gate.guard(grpc);
  grpc.addService(adminDefinition, createAdminService(sources, logger, clock));
  catchMalformedRequests(grpc);
  health.addTo(grpc, [ADMIN_SERVICE]);
  const drain = new Drain();
  addReflection(grpc, { drain, absentServices: [CACHE_SERVICE] });
  const connections = new GrpcConnections(options.connections, sessionsOf(grpc), {
    ...options.transport,
    idleTimeoutMs: CONNECTION_IDLE_MS,
  });
  return {
    make: (address) => createServer({ noDelay: true }, (socket) => connections.take(socket, address)),
    stop: () => {
      drain.start();
      grpc.forceShutdown();
    },
  };
}

const CACHE_SERVICE = "splitcache.v1.EventCacheService";
