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
  /** Whether calls are accepted. */
  readonly ready: boolean;
  /** Adds grpc.health.v1.Health to a server. `alsoServed`: services of this server that a drain does not affect. */
  addTo(server: Server, alsoServed?: readonly string[]): void;
  /** Reports NOT_SERVING while the sidecar is drained, also to every watch. */
  setDrained(isDrained: boolean): void;
  /** Reports NOT_SERVING from now on, also to every watch, and ends the watches: an open watch would delay the exit. */
  stop(): void;
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
    [EVENT_CACHE_SERVICE, () => true],
    ["splitcache.log", () => invalidationLog.status().isUp],
    ...(tier === undefined ? [] : [["splitcache.tier", () => tier.status().isUp] as const]),
  ]);
}

const EVENT_CACHE_SERVICE = "splitcache.v1.EventCacheService";

interface HealthRequest {
  readonly service: string;
}

type ServingStatus = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

interface HealthReply {
  readonly status: ServingStatus;
}

type WatchCall = ServerWritableStream<HealthRequest, HealthReply>;

/** Creates the health of this process. It is ready immediately. */
export function createHealth(backends: BackendState): Health {
  const services = servicesOf(backends);
  const watches = new Set<OpenWatch>();
  let state: "serving" | "drained" | "stopped" = "serving";
  const timer = setInterval(() => updateWatches(), CHECK_INTERVAL_MS).unref();

  /** The status of a service as one server reports it. */
  function statusOf(name: string, alsoServed: readonly string[]): ServingStatus {
    if (alsoServed.includes(name)) return state === "stopped" ? "NOT_SERVING" : "SERVING";
    const isUp = services.get(name);
    if (isUp === undefined) return "SERVICE_UNKNOWN";
    return state === "serving" && isUp() ? "SERVING" : "NOT_SERVING";
  }

  function updateWatches(): void {
    for (const watch of watches) watch.update();
  }

  function handlers(alsoServed: readonly string[]) {
    const replyFor = (name: string): HealthReply => ({ status: statusOf(name, alsoServed) });
    return {
      check: (
        { request }: ServerUnaryCall<HealthRequest, HealthReply>,
        callback: sendUnaryData<HealthReply>,
      ) => {
        const reply = replyFor(request.service);
        if (reply.status !== "SERVICE_UNKNOWN") callback(null, reply);
        else callback({ code: status.NOT_FOUND, details: "unknown service" });
      },
      watch: (call: WatchCall) => {
        const watch = new OpenWatch(call, () => replyFor(call.request.service));
        watches.add(watch);
        for (const event of ["cancelled", "close", "error"]) call.once(event, () => watches.delete(watch));
        if (state === "stopped") watch.end();
      },
      list: (_call: unknown, callback: sendUnaryData<{ statuses: Record<string, HealthReply> }>) => {
        const names = [...services.keys(), ...alsoServed];
        callback(null, { statuses: Object.fromEntries(names.map((name) => [name, replyFor(name)])) });
      },
    };
  }

  return {
    get ready() {
      return state === "serving";
    },
    addTo: (server, alsoServed = []) => server.addService(service, handlers(alsoServed)),
    setDrained: (isDrained) => {
      if (state === "stopped") return;
      state = isDrained ? "drained" : "serving";
      updateWatches();
    },
    stop: () => {
      state = "stopped";
      clearInterval(timer);
      updateWatches();
      for (const watch of [...watches]) watch.end();
    },
  };
}

const CHECK_INTERVAL_MS = 1000;

/** An open watch. Its first status is sent at once. */
class OpenWatch {
  readonly #call: WatchCall;
  readonly #reply: () => HealthReply;
  #sent: ServingStatus | undefined;

  constructor(call: WatchCall, reply: () => HealthReply) {
    this.#call = call;
    this.#reply = reply;
    this.update();
  }

  /** Sends the status if it has changed. */
  update(): void {
    const reply = this.#reply();
    if (reply.status === this.#sent) return;
    this.#sent = reply.status;
    this.#call.write(reply);
  }

  end(): void {
    this.#call.emit("error", { code: status.UNAVAILABLE, details: "the server is shutting down" });
  }
}
