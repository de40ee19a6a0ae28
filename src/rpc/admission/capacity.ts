import { IN_FLIGHT_SHARE_OF_ONE } from "../../core/limits.js";
import type { ActiveHomeservers } from "./active-homeservers.js";
import type { Connection } from "./connection.js";

/**
 * Who uses a part of a capacity. Each of these parties has a share of its own, and
 * a part counts towards all of them. An identity joins them once calls carry
 * credentials.
 */
export interface Holder {
  /** Undefined: not known, so not bounded. */
  readonly connection: Connection | undefined;
  /** Undefined until the request that names it has arrived. */
  readonly homeserver?: string | undefined;
}

/** Which bound leaves no room: that of the capacity itself, or the share of a party. */
export type Full = "all" | keyof Holder;

export interface CapacityOptions {
  /** A party may always hold this much, as long as there is room at all: else the largest part would never fit. */
  readonly floor?: number;
  /** Whether a part that is larger than all there is may be taken while nothing else is. */
  readonly firstAlwaysFits?: boolean;
  /** Undefined: the capacity has no shares of homeservers. */
  readonly active?: ActiveHomeservers;
}

/**
 * Something of which there is only so much, shared by parties:
 *
 * - A connection holds at most as much as it leaves free. One alone has half, two
 *   have a third each, and so on. So there is always room for one more, whether or
 *   not others have been seen before, and nothing is set aside that nobody asks for.
 * - A homeserver holds at most a quarter once several are active.
 */
export class Capacity {
  readonly #max: number;
  readonly #floor: number;
  readonly #firstAlwaysFits: boolean;
  readonly #active: ActiveHomeservers | undefined;
  readonly #byConnection = new Map<Connection, number>();
  readonly #byHomeserver = new Map<string, number>();
  #used = 0;

  constructor(max: number, { floor = 1, firstAlwaysFits = false, active }: CapacityOptions = {}) {
    this.#max = max;
    this.#floor = floor;
    this.#firstAlwaysFits = firstAlwaysFits;
    this.#active = active;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes an amount; or takes nothing and returns what leaves no room for it. */
  take(holder: Holder, amount = 1): Full | undefined {
    const full = this.#fullFor(holder, amount);
    if (full === undefined) this.#add(holder, amount);
    return full;
  }

  give(holder: Holder, amount = 1): void {
    this.#add(holder, -amount);
  }

  /** Counts what was taken without a homeserver as this one's; or does not and returns "homeserver". */
  attribute(homeserver: string, amount: number): Full | undefined {
    if (!this.#fitsHomeserver(homeserver, amount)) return "homeserver";
    add(this.#byHomeserver, homeserver, amount);
    return undefined;
  }

  /** Takes back an attribution. */
  detach(homeserver: string, amount: number): void {
    add(this.#byHomeserver, homeserver, -amount);
  }

  #fullFor({ connection, homeserver }: Holder, amount: number): Full | undefined {
    // Also notes that the homeserver is active.
    const fitsHomeserver = homeserver === undefined || this.#fitsHomeserver(homeserver, amount);
    if (this.#used === 0 && this.#firstAlwaysFits) return undefined;
    const free = this.#max - this.#used - amount;
    if (free < 0) return "all";
    if (connection !== undefined) {
      const held = (this.#byConnection.get(connection) ?? 0) + amount;
      if (held > Math.max(this.#floor, free)) return "connection";
    }
    return fitsHomeserver ? undefined : "homeserver";
  }

  #fitsHomeserver(homeserver: string, amount: number): boolean {
    if (this.#active?.note(homeserver) !== true) return true;
    const held = (this.#byHomeserver.get(homeserver) ?? 0) + amount;
    return held <= Math.max(this.#floor, this.#max * IN_FLIGHT_SHARE_OF_ONE);
  }

  #add({ connection, homeserver }: Holder, amount: number): void {
    this.#used += amount;
    if (connection !== undefined) add(this.#byConnection, connection, amount);
    if (homeserver !== undefined && this.#active !== undefined) add(this.#byHomeserver, homeserver, amount);
  }
}

function add<Party>(held: Map<Party, number>, party: Party, amount: number): void {
  const now = (held.get(party) ?? 0) + amount;
  if (now === 0) held.delete(party);
  else held.set(party, now);
}
