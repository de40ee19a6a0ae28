import { IN_FLIGHT_SHARE_OF_ONE } from "../../core/model/limits.js";
import type { ActiveParties } from "./active-parties.js";
import type { Connection } from "./connection.js";
import { type Displaceable, Displaceables } from "./displaceable.js";

/**
 * The parties that use a part of a capacity. Each of them, and the connection's peer,
 * has its own share, and a part counts towards all of these shares.
 */
export interface Holder {
  /** Undefined: unknown, so it has no share. */
  readonly connection: Connection | undefined;
  /** Undefined until the request that names it has arrived. */
  readonly homeserver?: string | undefined;
}

/** The limit that is reached: the capacity itself (`all`), or the share of a party. */
export type Full = "all" | "peer" | keyof Holder;

/** A capacity was found full. */
export interface FullCapacity {
  /** The name of the capacity, in the plural. */
  readonly capacity: string;
  readonly max: number;
  /** The peer address that holds the most. Undefined if only Unix sockets hold a part. */
  largestPeer(): string | undefined;
}

export type FullObserver = (full: FullCapacity) => void;

export interface CapacityOptions {
  /** A party may hold this much regardless of its share, if there is room: otherwise the largest part would never fit. */
  readonly floor?: number;
  /** Whether a part that is larger than the capacity may be taken while nothing else is taken. */
  readonly firstAlwaysFits?: boolean;
  /** Undefined: the capacity has no shares of homeservers. */
  readonly active?: ActiveParties;
  /** Undefined: the capacity has no shares of peers. */
  readonly activePeers?: ActiveParties;
  /** Called whenever a part does not fit. The implementation limits the rate of its log lines. */
  readonly onFull?: FullObserver;
  /** The name of the capacity for `onFull`. */
  readonly name?: string;
}

/**
 * Something of which there is only so much, shared by parties:
 *
 * - A connection holds at most as much as it leaves free. One alone has half, two
 *   have a third each, and so on. So there is always room for one more, whether or
 *   not others have been seen before, and nothing is set aside that nobody asks for.
 * - A peer address holds at most as much as it leaves free, once several are active. Unix
 *   sockets have no peer address, and on a single host all connections may have the same.
 * - A homeserver holds at most a quarter once several are active.
 *
 * Calls that do not use what they hold may be offered. When the capacity is full they are
 * displaced for a connection that holds nothing, and for any other while they hold more
 * than half: so requests that never arrive cannot hold it all.
 */
export class Capacity {
  readonly #max: number;
  readonly #floor: number;
  readonly #firstAlwaysFits: boolean;
  readonly #active: ActiveParties | undefined;
  readonly #activePeers: ActiveParties | undefined;
  readonly #onFull: FullObserver | undefined;
  readonly #name: string;
  readonly #displaceables = new Displaceables();
  readonly #byConnection = new Map<Connection, number>();
  readonly #byPeer = new Map<string, number>();
  readonly #byHomeserver = new Map<string, number>();
  #used = 0;

  constructor(max: number, options: CapacityOptions = {}) {
    const { floor = 1, firstAlwaysFits = false, active, activePeers, onFull, name = "" } = options;
    this.#max = max;
    this.#floor = floor;
    this.#firstAlwaysFits = firstAlwaysFits;
    this.#active = active;
    this.#activePeers = activePeers;
    this.#onFull = onFull;
    this.#name = name;
  }

  get used(): number {
    return this.#used;
  }

  /** Takes an amount. If it does not fit, takes nothing and returns the limit that is reached. */
  take(holder: Holder, amount = 1): Full | undefined {
    let full = this.#fullFor(holder, amount);
    if (full === "all") this.#reportFull();
    while (full !== undefined && this.#makeRoom(full, holder)) full = this.#fullFor(holder, amount);
    if (full === undefined) this.#add(holder, amount);
    return full;
  }

  /** Allows a call that holds a part to be displaced. */
  offer(call: Displaceable, kind: "unused" | "idle"): void {
    this.#displaceables.offer(call, kind);
  }

  /** Withdraws the permission to displace a call. */
  withdraw(call: Displaceable): void {
    this.#displaceables.withdraw(call);
  }

  give(holder: Holder, amount = 1): void {
    this.#add(holder, -amount);
  }

  /** Attributes a part that was taken without a homeserver to this one. If its share is full, returns "homeserver". */
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
    // Also records that the homeserver is active.
    const fitsHomeserver = homeserver === undefined || this.#fitsHomeserver(homeserver, amount);
    const peer = connection?.peer;
    // Also records that the peer is active, whether or not there is room.
    const hasPeerShare = peer !== undefined && this.#activePeers?.note(peer) === true;
    if (this.#used === 0 && this.#firstAlwaysFits) return undefined;
    const free = this.#max - this.#used - amount;
    if (free < 0) return "all";
    const share = Math.max(this.#floor, free);
    if (hasPeerShare && (this.#byPeer.get(peer) ?? 0) + amount > share) return "peer";
    if (connection !== undefined && (this.#byConnection.get(connection) ?? 0) + amount > share) {
      return "connection";
    }
    return fitsHomeserver ? undefined : "homeserver";
  }

  #makeRoom(full: Full, holder: Holder): boolean {
    if (full !== "all" && full !== "connection") return false;
    const { connection } = holder;
    const isFirst = connection === undefined || !this.#byConnection.has(connection);
    const mayDisplace = full === "all" && isFirst;
    if (!mayDisplace && this.#displaceables.sizeOfOthers(connection) <= this.#max / 2) return false;
    const call = this.#displaceables.choose(holder, { max: this.#max, of: (its) => this.#heldBy(its) });
    call?.displace();
    return call !== undefined;
  }

  #heldBy({ connection }: Holder): { peer: number; connection: number } {
    if (connection === undefined) return { peer: 0, connection: 0 };
    const held = this.#byConnection.get(connection) ?? 0;
    const peer = connection.peer === undefined ? held : (this.#byPeer.get(connection.peer) ?? 0);
    return { peer, connection: held };
  }

  #reportFull(): void {
    this.#onFull?.({
      capacity: this.#name,
      max: this.#max,
      largestPeer: () => {
        let largest: [peer: string, held: number] | undefined;
        for (const entry of this.#byPeer) if (entry[1] > (largest?.[1] ?? 0)) largest = entry;
        return largest?.[0];
      },
    });
  }

  #fitsHomeserver(homeserver: string, amount: number): boolean {
    if (this.#active?.note(homeserver) !== true) return true;
    const held = (this.#byHomeserver.get(homeserver) ?? 0) + amount;
    return held <= Math.max(this.#floor, this.#max * IN_FLIGHT_SHARE_OF_ONE);
  }

  #add({ connection, homeserver }: Holder, amount: number): void {
    this.#used += amount;
    if (connection !== undefined) add(this.#byConnection, connection, amount);
    if (connection?.peer !== undefined) add(this.#byPeer, connection.peer, amount);
    if (homeserver !== undefined && this.#active !== undefined) add(this.#byHomeserver, homeserver, amount);
  }
}

function add<Party>(held: Map<Party, number>, party: Party, amount: number): void {
  const now = (held.get(party) ?? 0) + amount;
  if (now === 0) held.delete(party);
  else held.set(party, now);
}
