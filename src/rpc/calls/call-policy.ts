import type { Principal } from "../../auth/principal.js";
import type { CacheError } from "../../core/model/errors.js";
import type { Capacity, Holder } from "../admission/capacity.js";
import { Place } from "../admission/displaceable.js";
import type { Drain } from "../admission/drain.js";
import type { Access, Gate } from "../admission/gate.js";
import type { InFlight } from "../admission/in-flight.js";
import type { Arrival } from "../admission/message-heads.js";
import { type AllowedHomeservers, homeserverProblem } from "../convert/request-check.js";
import type { CallLabels, CallObserver } from "./call-observer.js";
import type { CallTrace, CallTracer } from "./call-trace.js";
import type { QueuedRequests } from "./queued-requests.js";
import { denied, displaced, full } from "./refusals.js";
import type { TimeLimit } from "./time-limit.js";

/**
 * Decides what one call may use. Each call has its own policy, created by its kind.
 * `TrackedCall` calls the policy at each step.
 */
export interface CallPolicy {
  /** The largest message that the call may send. */
  readonly requestBytesMax: number;
  /** Reserves what the call needs from its start. Returns the reason if it cannot be served. */
  admit(): CacheError | undefined;
  /** A part of a request has arrived; it may be read later. Returns the reason if the call cannot continue. */
  receivedBytes(arrival: Arrival): CacheError | undefined;
  /** A request is complete. Returns the reason if it cannot be served. */
  receivedMessage(message: unknown): CacheError | undefined;
  /** The client has half-closed. Handlers of single requests start only now. Returns the reason if the call cannot be served. */
  receivedHalfClose(): CacheError | undefined;
  /** The handler requests the next message. */
  startRead(): void;
  /** The handler sends a message; `callback` allows it to send the next message. */
  sendMessage(message: unknown, callback: () => void): void;
  /** The call is over: releases its reservations. May be called more than once. */
  release(): void;
}

/** Creates the policy of a call. */
export type CallKind = new (call: PolicedCall, context: CallContext) => CallPolicy;

/** The interface of a call for its policy. */
export interface PolicedCall {
  readonly labels: CallLabels;
  /** Who takes what the call takes. It has no connection if grpc-js keeps the stream elsewhere. */
  readonly holder: Holder;
  /** The caller; undefined if calls need no credentials. */
  readonly principal: Principal | undefined;
  /** Undefined if the call is not traced. */
  readonly trace: CallTrace | undefined;
  /** Runs while a request is due. The policy arms and disarms it. */
  readonly requestTimeLimit: TimeLimit;
  /** Whether the reply has started. */
  readonly hasReplied: boolean;
  /** Reads the next request. */
  read(): void;
  /** Sends a message of the reply. */
  send(message: unknown, callback: () => void): void;
  /** Ends the call with a failure. */
  refuse(error: CacheError): void;
  /** Ends the call and drops the data that the client has not read. */
  reset(): void;
}

/** The state that all calls of a server share. */
export interface CallContext {
  readonly gate: Gate;
  readonly access: Access | undefined;
  readonly inFlight: InFlight;
  readonly drain: Drain;
  readonly readStreams: Capacity;
  /** Subscribe calls from their headers on, including calls whose request has not arrived. */
  readonly subscriptions: Capacity;
  readonly auxiliaryCalls: Capacity;
  readonly auxiliaryStreams: Capacity;
  readonly allowedHomeservers: AllowedHomeservers;
  readonly observer: CallObserver;
  /** Undefined if traces are off. */
  readonly tracer: CallTracer | undefined;
  readonly callTimeLimitMs: number;
  readonly requestTimeLimitMs: number;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
}

/**
 * Attributes a call's place, and its bytes that wait, to the homeserver that its request names. If the homeserver has
 * no room, returns the reason. A name that is refused later counts for nobody.
 */
export function assignPlace(
  { principal, labels }: PolicedCall,
  place: Place | undefined,
  homeserver: string,
  { allowed, what, queue }: { allowed: AllowedHomeservers; what: string; queue: QueuedRequests },
): CacheError | undefined {
  if (homeserverProblem(homeserver, allowed) !== undefined) return undefined;
  if (denied(principal, labels.path, homeserver) !== undefined) return undefined;
  const bound = place?.assign(homeserver);
  return bound === undefined ? queue.assign(homeserver) : full(bound, what);
}

/**
 * Takes the call's place in a capacity. Another call may displace it while it is not in
 * use. If the capacity is full, returns the reason. `what` is in the plural.
 */
export function takePlace(call: PolicedCall, capacity: Capacity, what: string): Place | CacheError {
  const place = Place.take(capacity, call.holder, () => call.refuse(displaced(what)));
  return place instanceof Place ? place : full(place, what);
}
