/** The limits of one homeserver. An absent limit is the default of its kind. */
export interface Quota {
  /** Bytes of --memory that are protected for it. */
  readonly memoryMin?: number;
  /** Bytes of --memory that it may use at most. */
  readonly memoryMax?: number;
  readonly callsInFlightMax?: number;
  readonly bytesInFlightMax?: number;
  readonly subscribersMax?: number;
  readonly readStreamsMax?: number;
  /** Set…, Invalidate… and Purge… calls a second. */
  readonly changesPerSecond?: number;
}

/** One limit of one homeserver, or of each homeserver: `*`. */
export interface QuotaSetting {
  readonly homeserver: string;
  readonly limit: keyof Quota;
  readonly value: number;
}

/** The name in place of a homeserver's for the limits of all. */
export const EVERY_HOMESERVER = "*";

/** The limits of all homeservers. What is set for a homeserver overrides what is set for all. */
export class Quotas {
  readonly #every: Quota = {};
  readonly #byName = new Map<string, Quota>();
  /** The bytes of --memory that are protected for all homeservers together. */
  readonly memoryMinTotal: number;

  constructor(settings: readonly QuotaSetting[] = []) {
    let memoryMinTotal = 0;
    for (const { homeserver, limit, value } of settings) {
      if (homeserver === EVERY_HOMESERVER) this.#every = { ...this.#every, [limit]: value };
    }
    for (const { homeserver, limit, value } of settings) {
      if (homeserver === EVERY_HOMESERVER) continue;
      this.#byName.set(homeserver, { ...this.of(homeserver), [limit]: value });
      if (limit === "memoryMin") memoryMinTotal += value;
    }
    this.memoryMinTotal = memoryMinTotal;
  }

  /** The memory of a homeserver as parts of a budget. */
  memoryOf(homeserver: string, budgetBytes: number): { min: number | undefined; max: number | undefined } {
    const { memoryMin, memoryMax } = this.of(homeserver);
    const partOf = (bytes: number | undefined) => bytes && bytes / budgetBytes;
    return { min: partOf(memoryMin), max: partOf(memoryMax) };
  }

  of(homeserver: string): Quota {
    return this.#byName.get(homeserver) ?? this.#every;
  }
}

/** What a quota may refuse. */
export type Refusal = "calls" | "bytes" | "subscribers" | "readStreams" | "changes";
