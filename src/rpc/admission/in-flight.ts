import type { CacheError } from "../../core/model/errors.js";
import { REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import { full } from "../calls/refusals.js";
import { ActiveParties } from "./active-parties.js";
import { Capacity, type CapacityOptions, type Holder } from "./capacity.js";

/** The limits of calls and bytes in flight. */
export interface InFlightLimits {
  readonly callsInFlightMax: number;
  readonly bytesInFlightMax: number;
}

/** The usage: calls in flight, and bytes of requests and unsent replies. */
export interface InFlightUsage {
  readonly calls: number;
  readonly bytes: number;
}

/** Counts calls and bytes in flight against the limits and against the shares of connections and homeservers. */
export class InFlight {
  readonly calls: Capacity;
  readonly bytes: Capacity;

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(
    { callsInFlightMax, bytesInFlightMax }: InFlightLimits,
    clock: () => number,
    shared: Pick<CapacityOptions, "activePeers" | "onFull"> = {},
  ) {
    const options = { ...shared, active: new ActiveParties(clock) };
    this.calls = new Capacity(callsInFlightMax, { ...options, name: "calls in flight" });
    const floor = SHARE_BYTES_MIN;
    this.bytes = new Capacity(bytesInFlightMax, { ...options, floor, name: "bytes in flight" });
  }

  usage(): InFlightUsage {
    return { calls: this.calls.used, bytes: this.bytes.used };
  }

  /** Returns a ticket for a call, or the reason why there is none. */
  admitCall(holder: Holder): InFlightTicket | CacheError {
    const bound = this.calls.take(holder);
    return bound === undefined ? new InFlightTicket(this, 1, holder) : full(bound, "calls in flight");
  }

  /** Returns a ticket for one message of a stream, which counts only bytes. */
  admitMessage(holder: Holder): InFlightTicket {
    return new InFlightTicket(this, 0, holder);
  }
}

/** Every share has room for the largest call. A smaller share would never accept it. */
const SHARE_BYTES_MIN = REQUEST_BYTES_MAX + REPLY_BYTES_MAX;

/**
 * The part of one call, or of one message of a stream. After its release it counts
 * nothing, so late reports about an ended call are harmless.
 */
export class InFlightTicket {
  readonly #inFlight: InFlight;
  readonly #calls: number;
  #holder: Holder;
  #bytes = 0;
  #isReleased = false;

  constructor(inFlight: InFlight, calls: number, holder: Holder) {
    this.#inFlight = inFlight;
    this.#calls = calls;
    this.#holder = holder;
  }

  /** Takes bytes. If they do not fit, takes none and returns the reason. */
  addBytes(bytes: number): CacheError | undefined {
    if (this.#isReleased) return undefined;
    const bound = this.#inFlight.bytes.take(this.#holder, bytes);
    if (bound !== undefined) return full(bound, "bytes in flight");
    this.#bytes += bytes;
    return undefined;
  }

  /** Releases some bytes early, at most the bytes of the ticket. */
  removeBytes(bytes: number): void {
    const given = Math.min(bytes, this.#bytes);
    this.#inFlight.bytes.give(this.#holder, given);
    this.#bytes -= given;
  }

  /** Attributes the ticket, with all that it takes later, to a homeserver, once. If there is no room, returns the reason. */
  assign(homeserver: string): CacheError | undefined {
    if (this.#isReleased || this.#holder.homeserver !== undefined) return undefined;
    const { calls, bytes } = this.#inFlight;
    if (calls.attribute(homeserver, this.#calls) !== undefined) return full("homeserver", "calls in flight");
    if (bytes.attribute(homeserver, this.#bytes) !== undefined) {
      calls.detach(homeserver, this.#calls);
      return full("homeserver", "bytes in flight");
    }
    this.#holder = { ...this.#holder, homeserver };
    return undefined;
  }

  /** Releases everything. A second call does nothing. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#inFlight.calls.give(this.#holder, this.#calls);
    this.#inFlight.bytes.give(this.#holder, this.#bytes);
    this.#bytes = 0;
  }
}
