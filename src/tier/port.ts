import type { EventId, Homeserver, NewEvent, Position } from "../core/model/types.js";

/**
 * A shared tier keeps entries for sidecars that start later, and bodies for all
 * homeservers. It is never trusted for freshness: an entry is a late fill, which
 * the fence judges by `asOf` like a put. So a tier may lose or evict data or
 * return to an older state without harm, and every failure is a miss.
 *
 * To add a tier: implement this in a folder of its own, pass the contract suite
 * (test/contract), and select it in the composition root.
 */
export interface Tier {
  /**
   * The tier's entries of these events, in any order. Entries that it lacks, cannot
   * verify or cannot read in time are omitted. Never rejects. Undefined if waiting
   * is pointless: the tier is known to be down.
   */
  get(homeserver: Homeserver, eventIds: readonly EventId[]): Promise<readonly TierEntry[]> | undefined;
  /**
   * Takes entries to store in the background; under pressure they are dropped.
   * Copies what it keeps before it returns: the bytes belong to the caller.
   */
  put(homeserver: Homeserver, entries: readonly TierEntry[]): void;
  /** Removes entries of known event IDs in the background, to free memory; safety does not depend on it. */
  drop(homeserver: Homeserver, eventIds: readonly EventId[]): void;
  /** The state for health and metrics. Cheap. */
  status(): TierStatus;
  close(): Promise<void>;
}

export interface TierEntry {
  readonly event: NewEvent;
  /** The position as of which the entry was true. */
  readonly asOf: Position;
  /** When the metadata's time to live ends: milliseconds since 1970. Neither a read nor a write-back changes it. */
  readonly expiresAtMs: number;
}

export interface TierStatus {
  /** Whether the tier answers. Readiness does not depend on it. */
  readonly isUp: boolean;
  /** Failed operations and rejected entries, by cause; the causes are a fixed, small set. */
  readonly errors: Readonly<Record<string, number>>;
  /** Entries requested and found by reads, and entries written and dropped under pressure. */
  readonly entries: Readonly<Record<"requested" | "found" | "written" | "dropped", number>>;
}

/** Receives a tier's reports for the operator. They never contain events, rooms, users or secrets. */
export interface TierObserver {
  /** The tier became available, for the first time or after a reported failure. */
  connected(target: string): void;
  /** The first failure of its cause after a minute without one, and the remedy. */
  failed(cause: string, message: string, remedy: string): void;
}
