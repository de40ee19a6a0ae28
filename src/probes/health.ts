import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { service } from "grpc-health-check";

/** The health of this process, for probes. */
export interface Health {
  /** Whether calls are accepted. It never changes from false to true. */
  readonly ready: boolean;
  /** Adds grpc.health.v1.Health to a server. */
  addTo(server: Server): void;
  /** Reports NOT_SERVING from now on, also to every watch, and ends the watches: an open one would delay the exit. */
  drain(): void;
}

/** The state of the log and the tier. */
export interface BackendState {
  readonly invalidationLog: { status(): { readonly isUp: boolean } };
  readonly tier: { status(): { readonly isUp: boolean } } | undefined;
}

/**
 * The health of each service name. The empty name is the whole server. It does not
 * depend on log or tier: without them the cache misses, and a restart would not help.
 */
function servicesOf({ invalidationLog, tier }: BackendState): ReadonlyMap<string, () => boolean> {
  return new Map([
    ["", () => true],
    ["splitcache.v1.EventCacheService", () => true],
    ["splitcache.log", () => invalidationLog.status().isUp],
    ...(tier === undefined ? [] : [["splitcache.tier", () => tier.status().isUp] as const]),
  ]);
}

interface HealthRequest {
  readonly service: string;
}

type ServingStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

interface HealthReply {
  readonly status: ServingStatus;
}

type Watch = ServerWritableStream<HealthRequest, HealthReply>;

/** The health of this process, ready from the start. */
export function createHealth(backends: BackendState): Health {
  const services = servicesOf(backends);
  /** What each watch was last sent. */
  const watches = new Map<Watch, ServingStatus>();
  let ready = true;
  const timer = setInterval(updateWatches, CHECK_INTERVAL_MS).unref();

  function check(
    { request }: ServerUnaryCall<HealthRequest, HealthReply>,
    callback: sendUnaryData<HealthReply>,
  ): void {
    if (services.has(request.service)) callback(null, replyFor(request.service));
    else callback({ code: status.NOT_FOUND, details: "the service is not known" });
  }

  function watch(call: Watch): void {
    send(call);
    for (const event of ["cancelled", "close", "error"]) call.once(event, () => watches.delete(call));
    if (!ready) end(call);
  }

  function list(_call: unknown, callback: sendUnaryData<{ statuses: Record<string, HealthReply> }>): void {
    callback(null, {
      statuses: Object.fromEntries([...services.keys()].map((name) => [name, replyFor(name)])),
    });
  }

  function replyFor(name: string): HealthReply {
    const works = services.get(name);
    if (works === undefined) return { status: "SERVICE_UNKNOWN" };
    return { status: ready && works() ? "SERVING" : "NOT_SERVING" };
  }

  function send(watch: Watch): void {
    const reply = replyFor(watch.request.service);
    watches.set(watch, reply.status);
    watch.write(reply);
  }

  function updateWatches(): void {
    for (const [watch, sent] of [...watches]) {
      if (replyFor(watch.request.service).status !== sent) send(watch);
    }
  }

  return {
    get ready() {
      return ready;
    },
    addTo: (server) => server.addService(service, { check, watch, list }),
    drain: () => {
      ready = false;
      clearInterval(timer);
      for (const watch of [...watches.keys()]) {
        send(watch);
        end(watch);
      }
    },
  };
}

const CHECK_INTERVAL_MS = 1000;

function end(watch: Watch): void {
  watch.emit("error", { code: status.UNAVAILABLE, details: "the server is shutting down" });
}
