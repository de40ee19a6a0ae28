import type { EventId, Homeserver, NewEvent, Position } from "../core/model/types.js";

/**
 * A shared tier keeps what one sidecar has stored for the next one that starts,
 * and bodies for all homeservers. It is never trusted for freshness: an entry is
 * a late fill, which the fence judges by `asOf` like a put. So a tier may lose,
 * evict or return to old data without harm, and every failure is a miss.
 *
 * To add a tier: implement this in a folder of its own, pass the contract suite
 * (test/contract), choose it in the composition root.
 */
export interface Tier {
  /**
   * The entries that the tier has of these events, in any order; those that it
   * lacks, cannot verify or cannot read in time are left out. Never rejects.
   * Undefined when there is nothing to wait for: the tier is known to be down.
   */
  get(homeserver: Homeserver, eventIds: readonly EventId[]): Promise<readonly TierEntry[]> | undefined;
  /**
   * Takes entries to store in the background; under pressure they are dropped.
   * Copies what it keeps before it returns: the bytes belong to the caller.
   */
  put(homeserver: Homeserver, entries: readonly TierEntry[]): void;
  /** Removes entries whose event IDs are known, in the background: hygiene, not safety. */
  drop(homeserver: Homeserver, eventIds: readonly EventId[]): void;
  /** What health and metrics see; cheap. */
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
  /** Entries asked for and found, and entries written and dropped under pressure. */
  readonly entries: Readonly<Record<"asked" | "found" | "written" | "dropped", number>>;
}

/** What a tier reports to the operator, as it happens; never events, rooms, users or secrets. */
export interface TierLog {
  /** The tier can be used, for the first time or again after a failure that was reported. */
  connected(target: string): void;
  /** The first failure of its cause after a minute without one, and what to do about it. */
  failed(cause: string, message: string, remedy: string): void;
}
