import type { CacheError } from "../../core/model/errors.js";
import { REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import { full } from "../calls/refusals.js";
import { ActiveParties } from "./active-parties.js";
import { Capacity, type CapacityOptions, type Holder } from "./capacity.js";

/** How much may be in flight at once. */
export interface InFlightLimits {
  readonly callsInFlightMax: number;
  readonly bytesInFlightMax: number;
}

/** What is in flight: calls, and bytes of requests and unsent replies. */
export interface InFlightUsage {
  readonly calls: number;
  readonly bytes: number;
}

/** Counts what is in flight against the limits, and what a connection or a homeserver has of it against its share. */
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

  /** A ticket for a call, or why there is none. */
  admitCall(holder: Holder): InFlightTicket | CacheError {
    const bound = this.calls.take(holder);
    return bound === undefined ? new InFlightTicket(this, 1, holder) : full(bound, "calls in flight");
  }

  /** A ticket for one message of a stream, which counts bytes alone. */
  admitMessage(holder: Holder): InFlightTicket {
    return new InFlightTicket(this, 0, holder);
  }
}

/** Every share has room for the largest call; a smaller one would refuse it for ever. */
const SHARE_BYTES_MIN = REQUEST_BYTES_MAX + REPLY_BYTES_MAX;

/**
 * The part of one call, or of one message of a stream. Once it was given back it
 * is inert: what is still reported of a call that has ended counts nothing.
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

  /** Takes bytes; or takes none and returns why. */
  addBytes(bytes: number): CacheError | undefined {
    if (this.#isReleased) return undefined;
    const bound = this.#inFlight.bytes.take(this.#holder, bytes);
    if (bound !== undefined) return full(bound, "bytes in flight");
    this.#bytes += bytes;
    return undefined;
  }

  /** Gives bytes back before the rest: at most what the ticket has. */
  removeBytes(bytes: number): void {
    const given = Math.min(bytes, this.#bytes);
    this.#inFlight.bytes.give(this.#holder, given);
    this.#bytes -= given;
  }

  /** Counts all that the ticket has taken and will take as one homeserver's, once; or returns why not. */
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

  /** Gives everything back; a second time does nothing. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#inFlight.calls.give(this.#holder, this.#calls);
    this.#inFlight.bytes.give(this.#holder, this.#bytes);
    this.#bytes = 0;
  }
}
