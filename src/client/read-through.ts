import type { CachedEvent } from "../gen/splitcache/v1/event_cache_service.js";
import type { EventToPut } from "./events.js";
import { type Fills, viewOf } from "./fills.js";
import type { Lookup } from "./flight.js";
import type { GetOptions, Lookups } from "./lookups.js";
import type { Position } from "./position.js";
import type { ReadRules } from "./read-rules.js";

/** Reads what is missing. Open the database snapshot now, not before. Events that do not exist are left out. */
export type Fetch = (
  missing: readonly string[],
  asOf: Position | undefined,
) => Promise<Iterable<EventToPut>> | Iterable<EventToPut>;

/** Lookups that read the database for what is missing, and fill the cache with it. */
export class ReadThrough {
  readonly #lookups: Lookups;
  readonly #fills: Fills;
  readonly #rules: ReadRules;

  constructor(lookups: Lookups, fills: Fills, rules: ReadRules) {
    this.#lookups = lookups;
    this.#fills = fills;
    this.#rules = rules;
  }

  async getOrFetch(
    ids: readonly string[],
    fetch: Fetch,
    options: GetOptions = {},
  ): Promise<ReadonlyMap<string, Readonly<CachedEvent>>> {
    const unique = [...new Set(ids)];
    const { events, missing, asOf } = await this.#lookups
      .getMany(unique, options)
      .catch((error: unknown): Lookup => {
        if (options.signal?.aborted || error instanceof TypeError || error instanceof RangeError) throw error;
        return { events: [], missing: unique, asOf: undefined };
      });
    const found = new Map(events.map((event) => [event.eventId, event]));
    if (missing.length === 0) return found;
    const wanted = new Set(missing);
    const fetched = [...(await fetch(missing, asOf))].filter(({ eventId }) => wanted.has(eventId));
    for (const event of fetched) found.set(event.eventId, viewOf(event, options.view ?? "redacted"));
    if (this.#rules.mayRead) this.#fills.start(fetched, asOf);
    return found;
  }
}
