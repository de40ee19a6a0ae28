import type { CacheError } from "../../core/model/errors.js";
import type { Capacity, Holder } from "../admission/capacity.js";
import { Place } from "../admission/displaceable.js";
import type { Drain } from "../admission/drain.js";
import type { Gate } from "../admission/gate.js";
import type { InFlight } from "../admission/in-flight.js";
import type { Arrival } from "../admission/message-heads.js";
import type { AllowedHomeservers } from "../convert/request-check.js";
import type { CallLabels, CallObserver } from "./call-observer.js";
import { displaced, full } from "./refusals.js";
import type { TimeLimit } from "./time-limit.js";

/**
 * What one call may take: an object for each call, made by its kind. `TrackedCall`
 * asks it at each step and does the rest.
 */
export interface CallPolicy {
  /** The largest message that the call may send. */
  readonly requestBytesMax: number;
  /** Takes what the call needs from the start; returns why it cannot be served, or undefined. */
  admit(): CacheError | undefined;
  /** A part of a request has arrived; it may not be read for a while. Returns why the call cannot go on, or undefined. */
  receivedBytes(arrival: Arrival): CacheError | undefined;
  /** A request is complete; returns why it cannot be served, or undefined. */
  receivedMessage(message: unknown): CacheError | undefined;
  /** The client sends no more. Handlers of single requests start only now. */
  receivedHalfClose(): void;
  /** The handler asks for the next request. */
  startRead(): void;
  /** The handler replies; `callback` lets it send the next message. */
  sendMessage(message: unknown, callback: () => void): void;
  /** The call is over: gives back what it took. Comes once. */
  release(): void;
}

/** Makes the policy of a call. */
export type CallKind = new (call: PolicedCall, context: CallContext) => CallPolicy;

/** A call, as its policy sees it. */
export interface PolicedCall {
  readonly labels: CallLabels;
  /** Who takes what the call takes. It has no connection if grpc-js keeps the stream elsewhere. */
  readonly holder: Holder;
  /** Runs while a request is due; the policy says when that is. */
  readonly requestTimeLimit: TimeLimit;
  /** Whether the reply has begun. */
  readonly hasReplied: boolean;
  /** Reads the next request. */
  read(): void;
  /** Sends a message of the reply. */
  send(message: unknown, callback: () => void): void;
  /** Ends the call with a failure. */
  refuse(error: CacheError): void;
  /** Ends the call and drops what the client has not read. */
  reset(): void;
}

/** What all calls of a server share. */
export interface CallContext {
  readonly gate: Gate;
  readonly inFlight: InFlight;
  readonly drain: Drain;
  readonly readStreams: Capacity;
  /** Subscribe calls from their headers on, so also those that have not sent their request yet. */
  readonly subscriptions: Capacity;
  readonly auxiliaryCalls: Capacity;
  readonly auxiliaryStreams: Capacity;
  readonly allowedHomeservers: AllowedHomeservers;
  readonly observer: CallObserver;
  readonly callTimeLimitMs: number;
  readonly requestTimeLimitMs: number;
  /** A monotonic clock in milliseconds. */
  readonly clock: () => number;
}

/**
 * Takes the call's place in a capacity; another call may displace it while it is not
 * in use. Returns why there is none if it is full. `what` is in the plural.
 */
export function takePlace(call: PolicedCall, capacity: Capacity, what: string): Place | CacheError {
  const place = Place.take(capacity, call.holder, () => call.refuse(displaced(what)));
  return place instanceof Place ? place : full(place, what);
}
