import { createHash } from "node:crypto";
import type { Bounded, BoundedCache, Bounds, MakeBoundedCache } from "../../core/bounded-cache.js";
import { FrameSlab, type RangeOwner, type SlabRange, slabCost } from "../../core/frame-slab.js";
import { CACHE_SLOT_BYTES, MAP_SLOT_BYTES, residentBytes, stringBytes } from "../../core/heap-cost.js";
import { IncrementalMap } from "../../core/incremental-map.js";
import type { CacheStats } from "../../core/store.js";
import type { ByteRange } from "../../core/types.js";

/** The digest that names a body: 32 bytes, as latin1. */
export type Digest = string;

export function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/**
 * Bodies that this process holds, by their digest: what never changes needs no
 * invalidation. Whether a homeserver may have one is for its metadata to say,
 * which is always read from Redis.
 */
export class BodyCache {
  readonly #bodies = new IncrementalMap<Digest, CachedBody>();
  readonly #recency: BoundedCache<CachedBody>;
  readonly #slab: FrameSlab;
  readonly #ttlMs: number;
  #walk: Generator<CachedBody, void, undefined> | undefined;

  /** A body stays for `ttlMs` at the longest: then nobody may refer to it any more. */
  constructor(options: {
    readonly bounds: Bounds;
    readonly makeCache: MakeBoundedCache;
    readonly defer: (run: () => void) => void;
    readonly ttlMs: number;
  }) {
    this.#slab = new FrameSlab(options.defer);
    this.#recency = options.makeCache<CachedBody>(options.bounds, (body) => this.#unlink(body));
    this.#ttlMs = options.ttlMs;
  }

  /** The body, to be read until the turn of the event loop ends. */
  get(digest: Digest, nowMs: number): ByteRange | undefined {
    const body = this.#bodies.get(digest);
    if (body === undefined) return undefined;
    if (nowMs >= body.expiresAtMs) {
      this.#delete(body);
      return undefined;
    }
    this.#recency.touch(body);
    return body.frame;
  }

  /** Keeps a copy, and prolongs the life of one that is there. */
  add(digest: Digest, bytes: Uint8Array, nowMs: number): void {
    const known = this.#bodies.get(digest);
    if (known !== undefined) {
      known.expiresAtMs = nowMs + this.#ttlMs;
      this.#recency.touch(known);
      return;
    }
    const heapBytes = BODY_HEAP_BYTES + stringBytes(digest);
    const cost = { heapBytes, bytes: residentBytes(heapBytes) + slabCost(bytes.byteLength) };
    const body: CachedBody = {
      hash: hashOfDigest(digest),
      cost,
      lastUse: 0,
      digest,
      frame: undefined,
      expiresAtMs: nowMs + this.#ttlMs,
    };
    this.#recency.add(body, cost);
    const range = this.#slab.allocate(body, bytes.byteLength);
    range.bytes.set(bytes, range.start);
    this.#bodies.set(digest, body);
  }

  /** Goes on dropping bodies whose time is over, until `isOver` says to stop; whether work is left. */
  expire(nowMs: number, isOver: () => boolean): boolean {
    this.#walk ??= this.#bodies.values();
    for (;;) {
      const { value: body, done } = this.#walk.next();
      if (done) break;
      if (nowMs >= body.expiresAtMs) this.#delete(body);
      if (isOver()) return true;
    }
    this.#walk = undefined;
    return false;
  }

  stats(): CacheStats & { readonly heapBytes: number } {
    return this.#recency.stats();
  }

  #delete(body: CachedBody): void {
    this.#recency.delete(body);
    this.#unlink(body);
  }

  #unlink(body: CachedBody): void {
    this.#slab.free(body);
    this.#bodies.delete(body.digest);
  }
}

interface CachedBody extends Bounded, RangeOwner {
  readonly digest: Digest;
  frame: SlabRange | undefined;
  expiresAtMs: number;
}

const BODY_HEAP_BYTES = 120 + 80 + MAP_SLOT_BYTES + CACHE_SLOT_BYTES;

/** A digest is random already. */
function hashOfDigest(digest: Digest): number {
  return digest.charCodeAt(0) | (digest.charCodeAt(1) << 8) | (digest.charCodeAt(2) << 16);
}
