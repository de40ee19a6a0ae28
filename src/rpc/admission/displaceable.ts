import type { Capacity, Full, Holder } from "./capacity.js";
import type { Connection } from "./connection.js";

/** A part of a capacity that a call loses if another call needs it. */
export interface Displaceable {
  readonly holder: Holder;
  /** Ends the call and releases its part before it returns. */
  displace(): void;
}

/** The place of one call in a capacity, until it is released. */
export class Place implements Displaceable {
  readonly holder: Holder;
  readonly #capacity: Capacity;
  readonly #end: () => void;
  #isHeld = true;

  private constructor(capacity: Capacity, holder: Holder, end: () => void) {
    this.#capacity = capacity;
    this.holder = holder;
    this.#end = end;
  }

  /** Takes a place that may be displaced until `busy` is called. If there is none, returns the limit that is reached. `end` ends the call. */
  static take(capacity: Capacity, holder: Holder, end: () => void): Place | Full {
    const full = capacity.take(holder);
    if (full !== undefined) return full;
    const place = new Place(capacity, holder, end);
    capacity.offer(place, "unused");
    return place;
  }

  /** The call is in use: it is not displaced. */
  busy(): void {
    this.#capacity.withdraw(this);
  }

  /** The call was in use and is idle now. */
  idle(): void {
    if (this.#isHeld) this.#capacity.offer(this, "idle");
  }

  displace(): void {
    this.#end();
    this.give();
  }

  /** Releases the place. A second call does nothing. */
  give(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#capacity.withdraw(this);
    this.#capacity.give(this.holder);
  }
}

/** The calls of one capacity that may be displaced, the longest waiting first. */
export class Displaceables {
  /** Calls whose request has not arrived. */
  readonly #unused = new Set<Displaceable>();
  /** Streams that had requests and have none now. */
  readonly #idle = new Set<Displaceable>();
  readonly #byConnection = new Map<Connection, number>();

  /** The number of these calls on other connections. */
  sizeOfOthers(connection: Connection | undefined): number {
    const own = connection === undefined ? 0 : (this.#byConnection.get(connection) ?? 0);
    return this.#unused.size + this.#idle.size - own;
  }

  offer(call: Displaceable, kind: "unused" | "idle"): void {
    this.withdraw(call);
    (kind === "unused" ? this.#unused : this.#idle).add(call);
    this.#count(call, 1);
  }

  withdraw(call: Displaceable): void {
    if (this.#unused.delete(call) || this.#idle.delete(call)) this.#count(call, -1);
  }

  #count({ holder: { connection } }: Displaceable, change: number): void {
    if (connection === undefined) return;
    const count = (this.#byConnection.get(connection) ?? 0) + change;
    if (count === 0) this.#byConnection.delete(connection);
    else this.#byConnection.set(connection, count);
  }

  /**
   * The call that makes room for one of `holder`: the oldest unused one of the
   * connection that holds most, at the peer that holds most; never one of the same
   * connection. Without any, the longest idle one of another peer that holds more than half.
   */
  choose({ connection }: Holder, held: HeldAmounts): Displaceable | undefined {
    let most: Displaceable | undefined;
    let mostHeld = { peer: -1, connection: -1 };
    for (const call of first(this.#unused)) {
      if (call.holder.connection === connection && connection !== undefined) continue;
      const its = held.of(call.holder);
      if (its.peer < mostHeld.peer) continue;
      if (its.peer === mostHeld.peer && its.connection <= mostHeld.connection) continue;
      most = call;
      mostHeld = its;
    }
    if (most !== undefined) return most;
    const peer = connection?.peer;
    if (peer === undefined) return undefined;
    for (const call of first(this.#idle)) {
      const other = call.holder.connection?.peer;
      if (other !== undefined && other !== peer && held.of(call.holder).peer > held.max / 2) return call;
    }
    return undefined;
  }
}

/** How much of a capacity the parties hold. */
export interface HeldAmounts {
  readonly max: number;
  of(holder: Holder): { readonly peer: number; readonly connection: number };
}

/** The number of calls that are compared, so that refusals are fast in a large capacity too. */
const COMPARED_MAX = 1000;

function* first(calls: Iterable<Displaceable>): Generator<Displaceable> {
  let left = COMPARED_MAX;
  for (const call of calls) {
    if (left-- === 0) return;
    yield call;
  }
}
