import { IN_FLIGHT_SHARE_OF_ONE, REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from "../../core/limits.js";
import { ActiveHomeservers } from "./active-homeservers.js";

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

/**
 * Counts what is in flight against the limits and, once several homeservers are
 * active, what is one homeserver's against its share of them.
 */
export class InFlight {
  readonly #limits: InFlightLimits;
  readonly #active: ActiveHomeservers;
  readonly #total = { calls: 0, bytes: 0 };
  readonly #byHomeserver = new Map<string, { calls: number; bytes: number }>();

  /** `clock` is a monotonic clock in milliseconds. */
  constructor(limits: InFlightLimits, clock: () => number) {
    this.#limits = limits;
    this.#active = new ActiveHomeservers(clock);
  }

  usage(): InFlightUsage {
    return { ...this.#total };
  }

  /** A ticket for a call, or undefined if there are as many as may be. */
  admitCall(): InFlightTicket | undefined {
    if (this.#total.calls >= this.#limits.callsInFlightMax) return undefined;
    this.#total.calls += 1;
    return new InFlightTicket(this, 1);
  }

  /** A ticket for one message of a stream, which counts bytes alone. */
  admitMessage(): InFlightTicket {
    return new InFlightTicket(this, 0);
  }

  /** Takes bytes, some homeserver's or not yet known whose, or returns false and takes none. */
  takeBytes(homeserver: string | undefined, bytes: number): boolean {
    if (this.#total.bytes + bytes > this.#limits.bytesInFlightMax) return false;
    if (homeserver !== undefined && !this.attribute(homeserver, 0, bytes)) return false;
    this.#total.bytes += bytes;
    return true;
  }

  /** Counts what was taken before as a homeserver's, or returns false if that is above its share. */
  attribute(homeserver: string, calls: number, bytes: number): boolean {
    const own = this.#byHomeserver.get(homeserver) ?? { calls: 0, bytes: 0 };
    if (this.#active.note(homeserver)) {
      const { callsInFlightMax, bytesInFlightMax } = this.#limits;
      const callsMax = Math.max(1, callsInFlightMax * IN_FLIGHT_SHARE_OF_ONE);
      const bytesMax = Math.max(SHARE_BYTES_MIN, bytesInFlightMax * IN_FLIGHT_SHARE_OF_ONE);
      if (own.calls + calls > callsMax || own.bytes + bytes > bytesMax) return false;
    }
    own.calls += calls;
    own.bytes += bytes;
    this.#byHomeserver.set(homeserver, own);
    return true;
  }

  give(homeserver: string | undefined, calls: number, bytes: number): void {
    this.#total.calls -= calls;
    this.#total.bytes -= bytes;
    const own = homeserver === undefined ? undefined : this.#byHomeserver.get(homeserver);
    if (homeserver === undefined || own === undefined) return;
    own.calls -= calls;
    own.bytes -= bytes;
    if (own.calls === 0 && own.bytes === 0) this.#byHomeserver.delete(homeserver);
  }
}

/** Every share has room for the largest call; a smaller one would refuse it for ever. */
const SHARE_BYTES_MIN = REQUEST_BYTES_MAX + REPLY_BYTES_MAX;

/** The part of one call, or of one message of a stream. */
export class InFlightTicket {
  readonly #inFlight: InFlight;
  #calls: number;
  #bytes = 0;
  #homeserver: string | undefined;

  constructor(inFlight: InFlight, calls: number) {
    this.#inFlight = inFlight;
    this.#calls = calls;
  }

  /** Takes bytes, or returns false and takes none. */
  addBytes(bytes: number): boolean {
    if (!this.#inFlight.takeBytes(this.#homeserver, bytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Gives bytes back before the rest. */
  removeBytes(bytes: number): void {
    this.#inFlight.give(this.#homeserver, 0, bytes);
    this.#bytes -= bytes;
  }

  /** Counts all that the ticket has taken and will take as one homeserver's, or returns false. */
  assign(homeserver: string): boolean {
    if (!this.#inFlight.attribute(homeserver, this.#calls, this.#bytes)) return false;
    this.#homeserver = homeserver;
    return true;
  }

  /** Gives everything back; a second time does nothing. */
  release(): void {
    this.#inFlight.give(this.#homeserver, this.#calls, this.#bytes);
    this.#calls = 0;
    this.#bytes = 0;
    this.#homeserver = undefined;
  }
}
