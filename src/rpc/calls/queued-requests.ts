import type { CacheError } from "../../core/model/errors.js";
import type { InFlight, InFlightTicket } from "../admission/in-flight.js";
import { type Arrival, MESSAGE_HEAD_BYTES } from "../admission/message-heads.js";
import { QUEUED_REQUEST_BYTES } from "../limits.js";
import type { Decoded } from "../wire/strict-decode.js";
import type { PolicedCall } from "./call-policy.js";

/**
 * The requests of a cache stream that have arrived and that its handler has not received.
 * The stream is not a call in flight, but these bytes are in flight.
 */
export class QueuedRequests {
  readonly #ticket: InFlightTicket;

  constructor({ holder }: PolicedCall, inFlight: InFlight) {
    this.#ticket = inFlight.admitMessage(holder);
  }

  /** Counts arrived bytes. If there is no room, returns the reason. */
  add({ bytes, messages }: Arrival): CacheError | undefined {
    return this.#ticket.addBytes(bytes + messages * QUEUED_REQUEST_BYTES);
  }

  /** Attributes these bytes, and all later ones, to a homeserver, once. If it has no room, returns the reason. */
  assign(homeserver: string): CacheError | undefined {
    return this.#ticket.assign(homeserver);
  }

  /** The handler receives a request. */
  remove(message: unknown): void {
    // The service's deserialisers return nothing else.
    const { byteLength } = message as Decoded<unknown>;
    this.#ticket.removeBytes(byteLength + MESSAGE_HEAD_BYTES + QUEUED_REQUEST_BYTES);
  }

  /** The handler has received all counted requests, or the call is over. */
  release(): void {
    this.#ticket.release();
  }
}
