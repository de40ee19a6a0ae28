import { Server } from "@grpc/grpc-js";
import {
  BYTES_IN_FLIGHT_MAX,
  CALL_TIME_LIMIT_MS,
  CALLS_IN_FLIGHT_MAX,
  READ_STREAMS_MAX,
  REQUEST_BYTES_MAX,
  SUBSCRIBERS_MAX,
} from "../core/model/limits.js";
import type { Quota, Quotas, Refusal } from "../core/model/quotas.js";
import type { EventStore } from "../core/model/store.js";
import type { Homeserver } from "../core/model/types.js";
import { ActiveParties } from "./admission/active-parties.js";
import { BatchCapacity } from "./admission/batch-capacity.js";
import { Capacity, type FullObserver } from "./admission/capacity.js";
import type { FloodObserver } from "./admission/connection.js";
import { Drain } from "./admission/drain.js";
import { type Access, Gate } from "./admission/gate.js";
import { type HomeserverQuota, InFlight } from "./admission/in-flight.js";
import { catchMalformedRequests } from "./calls/auxiliary-request.js";
import type { CallObserver } from "./calls/call-observer.js";
import type { CallTracer } from "./calls/call-trace.js";
import { createInterceptor } from "./calls/interceptor.js";
import type { AllowedHomeservers } from "./convert/request-check.js";
import { createService } from "./handlers/service.js";
import { serviceDefinition } from "./handlers/service-definition.js";
import { SubscriptionTable, type SubscriptionView } from "./handlers/subscription-table.js";
import {
  AUXILIARY_CALLS_MAX,
  AUXILIARY_STREAMS_MAX,
  CONCURRENT_STREAMS_MAX,
  KEEPALIVE_INTERVAL_MS,
  KEEPALIVE_TIMEOUT_MS,
  REQUEST_TIME_LIMIT_MS,
  SUBSCRIPTION_BYTES_MAX,
} from "./limits.js";
import type { RpcLogger } from "./status.js";
import { FrameEncoder } from "./wire/subscription-frames.js";

/** The capacities of a server. Their defaults are in core/model/limits.ts. */
export interface ServerLimits {
  readonly callsInFlightMax?: number;
  readonly bytesInFlightMax?: number;
  readonly readStreamsMax?: number;
  /** The same limit as the store's: a subscriber that waits for a batch is not in the store and must be able to return. */
  readonly subscribersMax?: number;
  /** The time limit of a call, or of one reply of a read stream, until it was sent. */
  readonly callTimeLimitMs?: number;
  /** The time limit for a request to arrive. */
  readonly requestTimeLimitMs?: number;
  /** Limit of the bytes of batches being sent to all subscribers. */
  readonly subscriptionBytesMax?: number;
}

export interface GrpcServerOptions {
  readonly store: EventStore;
  readonly observer: CallObserver;
  /** Records calls as spans. Undefined: traces are off. */
  readonly tracer?: CallTracer | undefined;
  readonly logger: RpcLogger;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
  /** Decides who may make a call. Undefined: every caller may do everything. */
  readonly access?: Access | undefined;
  /** The homeservers that requests may name. Undefined: any. */
  readonly allowedHomeservers: AllowedHomeservers;
  readonly limits?: ServerLimits;
  /** The limits of homeservers. */
  readonly quotas?: Quotas;
  /** Called for each connection that is closed because of a flood. */
  readonly onFlood?: FloodObserver;
  /** Called whenever a call finds a capacity full. */
  readonly onFull?: FullObserver;
  /** The store's interval, which is sent to subscribers. */
  readonly silenceLimitMs: number;
  readonly progressIntervalMs: number;
}

/** The resources that calls use now. */
export interface TransportUsage {
  /** Unary calls, from their headers until their reply was sent. */
  readonly callsInFlight: number;
  /** Bytes of requests and unsent replies. */
  readonly bytesInFlight: number;
  readonly readStreams: number;
  /** Bytes of batches being sent to subscribers. */
  readonly subscriptionBytes: number;
  /** Calls of other services: health, reflection. */
  readonly auxiliaryCalls: number;
}

export interface GrpcServer {
  /** The server with the cache's service. It has no port yet, so that other services can be added. */
  readonly server: Server;
  /**
   * Ends the cache's streams as the contract says and refuses new cache calls. Calls
   * in flight and other services continue. To stop, call `server.tryShutdown` next.
   */
  drain(): void;
  /** Accepts cache calls again. */
  endDrain(): void;
  /** The subscriptions, the oldest first. */
  readonly subscriptions: Iterable<SubscriptionView> & { readonly size: number };
  usage(): TransportUsage;
}

/**
 * The capacities of health and reflection. They note active peers apart from the other capacities: health
 * needs no credentials, and must not change the shares of clients that have them.
 */
function auxiliaryCapacities(clock: () => number, onFull: FullObserver) {
  const shared = { activePeers: new ActiveParties(clock), onFull };
  const capacity = (name: string, max: number) => new Capacity(max, { ...shared, name });
  return {
    auxiliaryCalls: capacity("unary calls of health", AUXILIARY_CALLS_MAX),
    auxiliaryStreams: capacity("streams of health and reflection", AUXILIARY_STREAMS_MAX),
  };
}

/** Creates the gRPC server of a store. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { store, observer, logger, clock, allowedHomeservers, limits = {}, access } = options;
  const { onFlood = () => {}, onFull = () => {} } = options;
  const { readStreamsMax = READ_STREAMS_MAX, subscribersMax = SUBSCRIBERS_MAX } = limits;
  const gate = new Gate(clock, onFlood, access);
  const shared = { active: new ActiveParties(clock), activePeers: new ActiveParties(clock), onFull };
  const quotaOf = homeserverQuotas(options);
  const { callsInFlightMax = CALLS_IN_FLIGHT_MAX, bytesInFlightMax = BYTES_IN_FLIGHT_MAX } = limits;
  const inFlight = new InFlight({ callsInFlightMax, bytesInFlightMax }, clock, shared, {
    calls: quotaOf("callsInFlightMax", "calls"),
    bytes: quotaOf("bytesInFlightMax", "bytes"),
  });
  const drain = new Drain();
  const capacity = (name: string, max: number, quota: HomeserverQuota = {}) =>
    new Capacity(max, { ...shared, ...quota, name });
  const readStreams = capacity("read streams", readStreamsMax, quotaOf("readStreamsMax", "readStreams"));
  const subscriptions = capacity("subscribers", subscribersMax, quotaOf("subscribersMax", "subscribers"));
  const { auxiliaryCalls, auxiliaryStreams } = auxiliaryCapacities(clock, onFull);
  const { subscriptionBytesMax = SUBSCRIPTION_BYTES_MAX } = limits;
  const batches = new BatchCapacity(subscriptionBytesMax, clock, shared.activePeers);
  const parts = { access, inFlight, drain, allowedHomeservers, observer, clock };
  const server = new Server({
    interceptors: [
      createInterceptor({
        gate,
        ...parts,
        readStreams,
        subscriptions,
        auxiliaryCalls,
        auxiliaryStreams,
        tracer: options.tracer,
        callTimeLimitMs: limits.callTimeLimitMs ?? CALL_TIME_LIMIT_MS,
        requestTimeLimitMs: limits.requestTimeLimitMs ?? REQUEST_TIME_LIMIT_MS,
      }),
    ],
    "grpc.max_receive_message_length": REQUEST_BYTES_MAX,
    // The code that builds a reply bounds its size.
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": CONCURRENT_STREAMS_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_INTERVAL_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.enable_channelz": 0,
  });
  gate.guard(server);
  const subscriptionTable = new SubscriptionTable(clock);
  server.addService(
    serviceDefinition,
    createService({
      store,
      logger,
      ...parts,
      encoder: new FrameEncoder(options),
      batches,
      subscriptions: subscriptionTable,
    }),
  );
  catchMalformedRequests(server);
  return {
    server,
    drain: () => drain.start(),
    endDrain: () => drain.end(),
    subscriptions: subscriptionTable,
    usage: () => ({
      callsInFlight: inFlight.usage().calls,
      bytesInFlight: inFlight.usage().bytes,
      readStreams: readStreams.used,
      subscriptionBytes: batches.used,
      auxiliaryCalls: auxiliaryCalls.used + auxiliaryStreams.used,
    }),
  };
}

/** The quota of each homeserver of one capacity; the store counts what it refuses. */
function homeserverQuotas({ store, quotas }: Pick<GrpcServerOptions, "store" | "quotas">) {
  return (limit: keyof Quota, refusal: Refusal): HomeserverQuota => ({
    homeserverMax: (homeserver) => quotas?.of(homeserver)[limit],
    // Only valid names are attributed.
    onHomeserverFull: (homeserver) => store.noteRefusal(homeserver as Homeserver, refusal),
  });
}
