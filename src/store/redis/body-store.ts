import { REPLY_BYTES_MAX } from "../../core/limits.js";
import type { ByteRange } from "../../core/types.js";
import { type BodyCache, type Digest, digestOf } from "./body-cache.js";
import { ByteGate } from "./byte-gate.js";
import type { BodyReference } from "./entry.js";
import { bodyKey } from "./keys.js";
import { type RedisLink, RedisTrouble } from "./link.js";
import { COMMAND_TIMEOUT_MS, FETCHED_BYTES_MAX } from "./redis-limits.js";

/** Bodies by their digest: in this process, else in Redis, where they are stored once for all homeservers. */
export class BodyStore {
  readonly #cache: BodyCache;
  readonly #link: RedisLink;
  readonly #prefix: string;
  readonly #ttlMs: number;
  readonly #clock: () => number;
  readonly #gate = new ByteGate(FETCHED_BYTES_MAX, COMMAND_TIMEOUT_MS);

  constructor(options: {
    readonly cache: BodyCache;
    readonly link: RedisLink;
    readonly keyPrefix: string;
    readonly ttlMs: number;
    readonly clock: () => number;
  }) {
    this.#cache = options.cache;
    this.#link = options.link;
    this.#prefix = options.keyPrefix;
    this.#ttlMs = options.ttlMs;
    this.#clock = options.clock;
  }

  /**
   * The bodies, in order of need and no more of them than a reply holds, if all of these
   * are here; they are to be read in this turn.
   */
  held(references: readonly BodyReference[]): LoadedBodies | undefined {
    const missing = new Set<Digest>();
    const bodies = this.#take(references, NONE, missing);
    return missing.size === 0 ? bodies : undefined;
  }

  /**
   * The same, with what is not here fetched in one round trip, or in more where some of it is nowhere any more and
   * leaves room for others; one that is nowhere is undefined. Rejects if it cannot be fetched in time.
   */
  async load(references: readonly BodyReference[]): Promise<LoadedBodies> {
    const bytes = this.#bytesToFetch(references);
    if (!(await this.#gate.enter(bytes)))
      throw new RedisTrouble("overload", "too many bytes are fetched from Redis at once");
    try {
      const fetched = new Map<Digest, ByteRange | undefined>();
      for (;;) {
        const missing = new Set<Digest>();
        const bodies = this.#take(references, fetched, missing);
        if (missing.size === 0) return bodies;
        await this.#fetch([...missing], fetched);
      }
    } finally {
      this.#gate.leave(bytes);
    }
  }

  /** Writes bodies that somebody is about to refer to. */
  async save(bodies: ReadonlyMap<Digest, Buffer>): Promise<void> {
    if (bodies.size === 0) return;
    const values = new Map([...bodies].map(([digest, bytes]) => [bodyKey(this.#prefix, digest), bytes]));
    await this.#link.setValues(values, this.#ttlMs);
  }

  /** Keeps copies here of what was saved. */
  keep(bodies: Iterable<readonly [Digest, Buffer]>): void {
    const nowMs = this.#clock();
    for (const [digest, bytes] of bodies) this.#cache.add(digest, bytes, nowMs);
  }

  /** At most: no more than a reply holds is fetched, and what is here is not. */
  #bytesToFetch(references: readonly BodyReference[]): number {
    const nowMs = this.#clock();
    let bytes = 0;
    for (const { digest, size } of references) {
      if (bytes > REPLY_BYTES_MAX) break;
      if (this.#cache.get(digest, nowMs) === undefined) bytes += size;
    }
    return bytes;
  }

  #take(
    references: readonly BodyReference[],
    fetched: ReadonlyMap<Digest, ByteRange | undefined>,
    missing: Set<Digest>,
  ): LoadedBodies {
    const nowMs = this.#clock();
    const bodies: (ByteRange | undefined)[] = [];
    let bytes = 0;
    for (const { digest, size } of references) {
      if (bytes > REPLY_BYTES_MAX) break;
      const body = fetched.get(digest) ?? this.#cache.get(digest, nowMs);
      bodies.push(body);
      // What was looked for and is nowhere takes no room.
      if (body === undefined && fetched.has(digest)) continue;
      bytes += size;
      if (body === undefined) missing.add(digest);
    }
    return bodies;
  }

  async #fetch(digests: readonly Digest[], into: Map<Digest, ByteRange | undefined>): Promise<void> {
    const values = await this.#link.getValues(digests.map((digest) => bodyKey(this.#prefix, digest)));
    const nowMs = this.#clock();
    for (const [at, digest] of digests.entries()) {
      const bytes = values[at];
      // What is not what its name says was damaged, or written by somebody else.
      if (bytes === undefined || digestOf(bytes).toString("latin1") !== digest) into.set(digest, undefined);
      else {
        into.set(digest, { bytes, start: 0, end: bytes.length });
        this.#cache.add(digest, bytes, nowMs);
      }
    }
  }
}

/** One for each of the references, from the first on, as far as they were loaded. */
export type LoadedBodies = readonly (ByteRange | undefined)[];

const NONE: ReadonlyMap<Digest, undefined> = new Map();
