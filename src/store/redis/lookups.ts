import type { EventId } from "../../core/types.js";
import type { Entry, NoEntry } from "./entry.js";
import { SCRIPT_IDS_MAX } from "./redis-limits.js";
import type { RemoteState } from "./reply.js";

/** What one look at Redis found: the homeserver's state, and for each ID its metadata. */
export interface Found {
  readonly state: RemoteState;
  readonly entries: readonly (Entry | NoEntry)[];
}

interface Lookup {
  readonly eventIds: readonly EventId[];
  readonly resolve: (found: Found) => void;
  readonly reject: (error: unknown) => void;
}

/** Lets the lookups of one turn of the event loop go to Redis as one. */
export class Lookups {
  readonly #lookUp: (eventIds: readonly EventId[]) => Promise<Found>;
  #waiting: Lookup[] = [];
  #waitingIds = 0;

  constructor(lookUp: (eventIds: readonly EventId[]) => Promise<Found>) {
    this.#lookUp = lookUp;
  }

  find(eventIds: readonly EventId[]): Promise<Found> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#send());
      else if (this.#waitingIds + eventIds.length > SCRIPT_IDS_MAX) this.#send();
      this.#waiting.push({ eventIds, resolve, reject });
      this.#waitingIds += eventIds.length;
    });
  }

  #send(): void {
    const lookups = this.#waiting;
    if (lookups.length === 0) return;
    this.#waiting = [];
    this.#waitingIds = 0;
    this.#lookUp(lookups.flatMap(({ eventIds }) => eventIds)).then(
      ({ state, entries }) => {
        let at = 0;
        for (const { eventIds, resolve } of lookups) {
          resolve({ state, entries: entries.slice(at, at + eventIds.length) });
          at += eventIds.length;
        }
      },
      (error: unknown) => {
        for (const { reject } of lookups) reject(error);
      },
    );
  }
}
