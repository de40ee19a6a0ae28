import { describe, expect, it } from "vitest";
import { BodyCache, type Digest, digestOf } from "../../../../src/store/redis/body-cache.js";
import { BodyStore } from "../../../../src/store/redis/body-store.js";
import type { BodyReference } from "../../../../src/store/redis/entry.js";
import { bodyKey } from "../../../../src/store/redis/keys.js";
import type { RedisLink } from "../../../../src/store/redis/link.js";
import { FETCHED_BYTES_MAX } from "../../../../src/store/redis/redis-limits.js";
import { ShardedLru } from "../../../../src/store/sharded-lru.js";

const MIB = 1024 * 1024;

describe("bodies that are fetched", () => {
  it("are bounded together, however many reads want them at once, and all come", async () => {
    const values = new Map<string, Buffer>();
    let [underWay, most] = [0, 0];
    const link: Pick<RedisLink, "getValues"> = {
      getValues: async (keys) => {
        const found = keys.map((key) => values.get(key));
        const bytes = found.reduce((sum, value) => sum + (value?.length ?? 0), 0);
        underWay += bytes;
        most = Math.max(most, underWay);
        await new Promise(setImmediate);
        underWay -= bytes;
        return found;
      },
    };
    // Too small to keep more than a few of them.
    const bounds = { bytesMax: 4 * MIB, heapBytesMax: 4 * MIB, entriesMax: 1000 };
    const cache = new BodyCache({
      bounds,
      makeCache: (bounds, onEvict) => new ShardedLru(bounds, onEvict),
      defer: setImmediate,
      ttlMs: 60_000,
    });
    const store = new BodyStore({
      cache,
      link: link as RedisLink,
      keyPrefix: "p",
      ttlMs: 60_000,
      clock: () => performance.now(),
    });
    const reads = Array.from({ length: 60 }, (_, read) =>
      Array.from({ length: 30 }, (_, n): BodyReference => {
        const body = Buffer.alloc(64_000, `${read} ${n}`);
        const digest = digestOf(body).toString("latin1") as Digest;
        values.set(bodyKey("p", digest), body);
        return { digest, size: body.length };
      }),
    );
    const loaded = await Promise.all(reads.map((references) => store.load(references)));
    for (const bodies of loaded) expect(bodies.filter((body) => body !== undefined)).toHaveLength(30);
    expect(most).toBeLessThanOrEqual(FETCHED_BYTES_MAX);
    expect(most).toBeGreaterThan(FETCHED_BYTES_MAX / 2);
  });
});
