import { describe, expect, it, vi } from "vitest";
import {
  ALPHA,
  asHomeserver,
  BETA,
  type MakeStore,
  messageEvent,
  ROOM,
  TTL_MS,
} from "../support/store/store-harness.js";
import { useStores } from "../support/store/use-store.js";

/** What a store that keeps everything in this process must do besides. */
export function describeInProcess(makeStore: MakeStore): void {
  describe("in this process", () => {
    const newStore = useStores(makeStore);
    const newAlpha = (...options: Parameters<MakeStore>) => {
      const harness = newStore(...options);
      return { ...harness, alpha: asHomeserver(harness.store, ALPHA) };
    };

    it("drops the body of a purged event with the read that finds it", async () => {
      const { store, alpha } = newAlpha({ sweepIntervalMs: 1_000_000 });
      await alpha.put([messageEvent("$a"), messageEvent("$b")]);
      await alpha.purgeRoom(ROOM);
      expect(await alpha.hits("$a")).toEqual([]);
      expect(alpha.stats().misses.orphaned).toBe(1);
      expect(store.stats().events.entries).toBe(1);
    });

    it("distinguishes an expired entry from an absent entry", async () => {
      const { alpha, advance } = newAlpha({ sweepIntervalMs: 1_000_000 });
      await alpha.put([messageEvent("$a")]);
      await advance(TTL_MS);
      expect(await alpha.hits("$a", "$x")).toEqual([]);
      expect(alpha.stats().misses).toMatchObject({ expired: 1, absent: 1 });
    });

    it("drops a variant with its last reference", async () => {
      const { store, alpha } = newAlpha();
      const beta = asHomeserver(store, BETA);
      await alpha.put([messageEvent("$a")]);
      for (const text of ["one", "two"]) {
        await beta.put([messageEvent("$a", { text })]);
        expect(store.stats().events.entries).toBe(2);
      }
    });

    it("loses the metadata with the body, and the body with the last metadata", async () => {
      const { store, alpha } = newAlpha();
      const body = Buffer.alloc(200_000, 32);
      const ids = Array.from({ length: 200 }, (_, at) => `$${at}`);
      for (const id of ids) await alpha.put([messageEvent(id, { body })]);
      const { events } = store.stats();
      expect(events.evictions).toBeGreaterThan(0);
      const hits = await alpha.hits(...ids);
      expect(hits).toHaveLength(events.entries);
      // None was read, so the oldest went first.
      expect(hits).toEqual(ids.slice(-hits.length));
      await alpha.invalidate(hits);
      expect(store.stats().events.entries).toBe(0);
      await vi.waitFor(() => expect(store.stats().metadata.entries).toBe(0));
    });

    it("keeps events that are read and evicts the others", async () => {
      const { alpha } = newAlpha();
      const body = Buffer.alloc(200_000, 32);
      await alpha.put([messageEvent("$kept", { body })]);
      for (let at = 0; at < 500; at++) {
        expect(await alpha.hits("$kept")).toEqual(["$kept"]);
        await alpha.put([messageEvent(`$${at}`, { body })]);
      }
      expect(await alpha.hits("$0", "$250")).toEqual([]);
    });

    it("removes unreachable data from memory: purged rooms, purged homeservers, expired entries", async () => {
      const { store, alpha, advance } = newAlpha();
      const ids = Array.from({ length: 500 }, (_, at) => `$${at}`);
      const emptied = () => {
        const { events, metadata } = store.stats();
        expect([events.entries, metadata.entries]).toEqual([0, 0]);
      };
      for (const clear of [() => alpha.purgeRoom(ROOM), () => alpha.purge(), async () => advance(TTL_MS)]) {
        await alpha.put(ids.map((id) => messageEvent(id)));
        expect(store.stats().events.entries).toBe(500);
        await clear();
        await vi.waitFor(emptied);
      }
      expect(store.stats().metadata.bytes).toBe(0);
      expect(store.stats().events.bytes).toBe(0);
    });
  });
}
