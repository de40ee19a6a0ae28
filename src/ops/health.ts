import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { service } from "grpc-health-check";

/** What probes see of this process. */
export interface Health {
  /** Whether calls are taken; once false, it stays so. */
  readonly ready: boolean;
  /** Adds grpc.health.v1.Health to a server. */
  addTo(server: Server): void;
  /** Answers NOT_SERVING from now on, tells this to every watch and ends it: an open one would delay the exit. */
  drain(): void;
}

/**
 * Whether the invalidation log answers. No other name depends on it: a cache without
 * its log misses, and nothing must be restarted for that.
 */
const LOG_NAME = "splitcache.log";
/** The empty name stands for the whole server. */
const SERVICE_NAMES: ReadonlySet<string> = new Set(["", "splitcache.v1.EventCacheService", LOG_NAME]);

interface HealthRequest {
  readonly service: string;
}

type ServingStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

interface HealthReply {
  readonly status: ServingStatus;
}

type Watch = ServerWritableStream<HealthRequest, HealthReply>;

/** The health of this process, ready from the start. */
export function createHealth(isLogUp: () => boolean): Health {
  const watches = new Set<Watch>();
  let ready = true;
  let wasLogUp = true;
  const logTimer = setInterval(tellOfLog, LOG_CHECK_INTERVAL_MS).unref();

  function check(
    { request }: ServerUnaryCall<HealthRequest, HealthReply>,
    callback: sendUnaryData<HealthReply>,
  ): void {
    if (SERVICE_NAMES.has(request.service)) callback(null, replyFor(request.service));
    else callback({ code: status.NOT_FOUND, details: "there is no such service here" });
  }

  function watch(call: Watch): void {
    call.write(replyFor(call.request.service));
    watches.add(call);
    for (const event of ["cancelled", "close", "error"]) call.once(event, () => watches.delete(call));
    if (!ready) end(call);
  }

  function list(_call: unknown, callback: sendUnaryData<{ statuses: Record<string, HealthReply> }>): void {
    callback(null, {
      statuses: Object.fromEntries([...SERVICE_NAMES].map((name) => [name, replyFor(name)])),
    });
  }

  function replyFor(name: string): HealthReply {
    if (!SERVICE_NAMES.has(name)) return { status: "SERVICE_UNKNOWN" };
    const serves = ready && (name !== LOG_NAME || isLogUp());
    return { status: serves ? "SERVING" : "NOT_SERVING" };
  }

  function tellOfLog(): void {
    if (isLogUp() === wasLogUp) return;
    wasLogUp = !wasLogUp;
    for (const call of watches) {
      if (call.request.service === LOG_NAME) call.write(replyFor(LOG_NAME));
    }
  }

  return {
    get ready() {
      return ready;
    },
    addTo: (server) => server.addService(service, { check, watch, list }),
    drain: () => {
      ready = false;
      clearInterval(logTimer);
      for (const call of watches) {
        call.write(replyFor(call.request.service));
        end(call);
      }
    },
  };
}

const LOG_CHECK_INTERVAL_MS = 1000;

function end(watch: Watch): void {
  watch.emit("error", { code: status.UNAVAILABLE, details: "the server is shutting down" });
}
