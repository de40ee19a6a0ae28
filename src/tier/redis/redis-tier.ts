import type { EventId, Homeserver } from "../../core/model/types.js";
import type { Tier, TierEntry, TierObserver, TierStatus } from "../port.js";
import { Breaker } from "./breaker.js";
import { Failures } from "./failures.js";
import { Fills } from "./fills.js";
import { KeyNames } from "./keys.js";
import { READ_MS_MAX } from "./limits.js";
import { MetadataCodec } from "./metadata.js";
import { createConnection, nameOf } from "./redis-connection.js";
import { type LinkObserver, type OpenConnection, RedisLink } from "./redis-link.js";
import type { RedisTarget } from "./target.js";
import { TierReads } from "./tier-reads.js";

export interface RedisTierOptions {
  readonly target: RedisTarget;
  /** The prefix of all keys. Sidecars with the same prefix and secret share the tier. */
  readonly keyPrefix: string;
  /** The secret that authenticates entries: at least 32 random bytes. */
  readonly secret: Uint8Array;
  /** How long an entry stays after it was last written. */
  readonly ttlMs: number;
  /** How long a read may take, in milliseconds; READ_MS_MAX unless given. */
  readonly readMsMax?: number;
  /** Milliseconds, monotonic. */
  readonly clock: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly observer: TierObserver;
}

/** Connects to Redis in the background. Until Redis is available reads miss and writes are dropped. */
export function createRedisTier(options: RedisTierOptions): Tier {
  return new RedisTier(options);
}

class RedisTier implements Tier {
  readonly #options: RedisTierOptions;
  readonly #failures: Failures;
  readonly #breaker: Breaker;
  /** One connection for reads, one for fills: a read never queues behind a bulk fill. */
  readonly #readLink: RedisLink;
  readonly #fillLink: RedisLink;
  readonly #reads: TierReads;
  readonly #fills: Fills;
  /** Whether the next connection must be reported. */
  #isUnreported = true;
  #requested = 0;
  #found = 0;

  constructor(options: RedisTierOptions) {
    this.#options = options;
    const { target, clock, wallClock, ttlMs } = options;
    const failures = new Failures(options.observer, clock);
    this.#failures = failures;
    this.#breaker = new Breaker(clock);
    const open: OpenConnection = (onLost) => createConnection(target, onLost);
    this.#readLink = new RedisLink(
      open,
      clock,
      this.#observer(() => this.#reportConnected()),
    );
    this.#fillLink = new RedisLink(
      open,
      clock,
      this.#observer(() => {}),
    );
    const names = new KeyNames(options.keyPrefix);
    const codec = new MetadataCodec(options.secret);
    const common = { names, codec, failures, wallClock };
    this.#reads = new TierReads({
      ...common,
      link: this.#readLink,
      breaker: this.#breaker,
      readMsMax: options.readMsMax ?? READ_MS_MAX,
    });
    this.#fills = new Fills({ ...common, link: this.#fillLink, ttlMs });
  }

  get(homeserver: Homeserver, eventIds: readonly EventId[]): Promise<readonly TierEntry[]> | undefined {
    if (!this.#readLink.isUp || eventIds.length === 0) return undefined;
    if (this.#breaker.isOpen) {
      // No caller waits for the probe.
      if (this.#breaker.takesProbe()) void this.#reads.find(homeserver, eventIds);
      return undefined;
    }
    return this.#get(homeserver, eventIds);
  }

  put(homeserver: Homeserver, entries: readonly TierEntry[]): void {
    this.#fills.put(homeserver, entries);
  }

  drop(homeserver: Homeserver, eventIds: readonly EventId[]): void {
    this.#fills.drop(homeserver, eventIds);
  }

  status(): TierStatus {
    return {
      isUp: this.#readLink.isUp && !this.#breaker.isOpen,
      errors: this.#failures.counts,
      entries: {
        requested: this.#requested,
        found: this.#found,
        written: this.#fills.written,
        dropped: this.#fills.dropped,
      },
    };
  }

  async close(): Promise<void> {
    this.#readLink.close();
    this.#fillLink.close();
  }

  async #get(homeserver: Homeserver, eventIds: readonly EventId[]): Promise<readonly TierEntry[]> {
    this.#requested += eventIds.length;
    const entries = await this.#reads.find(homeserver, eventIds);
    this.#found += entries.length;
    return entries;
  }

  #observer(connected: () => void): LinkObserver {
    const note = (error: unknown) => {
      if (this.#failures.noteError(error)) this.#isUnreported = true;
    };
    return { connected, disconnected: note, failed: note };
  }

  #reportConnected(): void {
    if (!this.#isUnreported) return;
    this.#isUnreported = false;
    this.#options.observer.connected(nameOf(this.#options.target));
  }
}
