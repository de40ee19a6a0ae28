import { createServer, type Server } from "node:net";
import { Server as GrpcServer } from "@grpc/grpc-js";
import type { ConnectionTable } from "../net/connection-table.js";
import { GrpcConnections } from "../net/grpc-connections.js";
import { sessionsOf } from "../net/grpc-sessions.js";
import type { Health } from "../probes/health.js";
import { addReflection } from "../probes/reflection.js";
import { Drain } from "../rpc/admission/drain.js";
import type { Gate } from "../rpc/admission/gate.js";
import { catchMalformedRequests } from "../rpc/calls/auxiliary-request.js";
import type { RpcLog } from "../rpc/status.js";
import { type Authorize, admitOperators } from "./admission.js";
import { ADMIN_SERVICE, adminDefinition } from "./definition.js";
import { ADMIN_CALL_TIME_LIMIT_MS, ADMIN_REQUEST_BYTES_MAX } from "./limits.js";
import { createAdminService } from "./service.js";
import type { AdminSources } from "./sources.js";

const GRPC_OPTIONS = {
  "grpc.max_concurrent_streams": 16,
  "grpc.max_receive_message_length": ADMIN_REQUEST_BYTES_MAX,
  // A stream of health or reflection whose client does not read keeps its connection from being idle.
  "grpc.max_connection_age_ms": 5 * 60_000,
  "grpc.max_connection_age_grace_ms": ADMIN_CALL_TIME_LIMIT_MS,
};
const CONNECTION_IDLE_MS = 60_000;

export interface AdminServerOptions {
  readonly sources: AdminSources;
  readonly authorize: Authorize;
  readonly health: Health;
  readonly log: RpcLog;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  readonly connections: ConnectionTable;
  /** For this server alone: it ends connections that flood. */
  readonly gate: Gate;
}

/** The server of operators. */
export interface AdminServer {
  /** Makes a server for one listener. */
  make(): Server;
  /** Ends what gRPC holds. The listeners are the caller's to close. */
  stop(): void;
}

/** Makes the server that answers AdminService, health and reflection, and nothing of the cache. */
export function createAdminServer(options: AdminServerOptions): AdminServer {
  const { sources, authorize, health, log, clock, gate } = options;
  const grpc = new GrpcServer({ ...GRPC_OPTIONS, interceptors: [admitOperators({ gate, authorize })] });
  gate.guard(grpc);
  grpc.addService(adminDefinition, createAdminService(sources, log, clock));
  catchMalformedRequests(grpc);
  health.addTo(grpc, [ADMIN_SERVICE]);
  const drain = new Drain();
  addReflection(grpc, { drain, absentServices: [CACHE_SERVICE] });
  const connections = new GrpcConnections(options.connections, sessionsOf(grpc), {
    idleTimeoutMs: CONNECTION_IDLE_MS,
  });
  return {
    make: () => createServer({ noDelay: true }, (socket) => connections.take(socket)),
    stop: () => {
      drain.start();
      grpc.forceShutdown();
    },
  };
}

const CACHE_SERVICE = "splitcache.v1.EventCacheService";
