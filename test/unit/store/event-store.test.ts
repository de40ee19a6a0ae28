import { describe, expect, it, vi } from "vitest";
import { SLAB_RESERVE_BYTES } from "../../../src/core/memory/byte-slab.js";
import { residentBytes } from "../../../src/core/memory/heap-cost.js";
import { LOG_SHARE_EIGHTHS } from "../../../src/core/model/limits.js";
import {
  ALPHA,
  asHomeserver,
  BETA,
  homeserver,
  makeMemoryStore,
  messageEvent,
} from "../../support/store/store-harness.js";
import { useStores } from "../../support/store/use-store.js";

const MIB = 2 ** 20;

describe("the store over a memory log", () => {
  const newStore = useStores(makeMemoryStore);

  it("splits its budget in eighths, and holds logs to their share of the heap", () => {
    const { store } = newStore({ memoryBytes: 32 * MIB, heapBytesMax: 16 * MIB });
    expect(store.stats()).toMatchObject({
      events: { bytesMax: 20 * MIB - SLAB_RESERVE_BYTES },
      metadata: { bytesMax: 8 * MIB },
      logBytesMax: 2 * MIB,
      heapBytes: 0,
      heapBytesMax: 16 * MIB,
      swept: 0,
    });
    expect(newStore({ heapBytesMax: 999 * MIB }).store.stats().logBytesMax).toBe(LOG_SHARE_EIGHTHS * 4 * MIB);
  });

  it("counts heap of both caches and of all logs", async () => {
    const { store } = newStore();
    const [alpha, beta] = [asHomeserver(store, ALPHA), asHomeserver(store, BETA)];
    await alpha.put([messageEvent("$a")]);
    const entries = store.stats().heapBytes;
    expect(entries).toBeGreaterThan(500);
    await alpha.invalidate(["$x"]);
    const one = store.stats().logBytes;
    await beta.invalidate(["$x"]);
    expect(store.stats().logBytes).toBe(2 * one);
    expect(store.stats().heapBytes).toBe(entries + 2 * one);
    expect([...store.stats().homeservers.keys()]).toEqual([ALPHA, BETA]);
  });

  it("evicts when the heap is used up, though bytes are left", async () => {
    const { store } = newStore({ heapBytesMax: 80_000, sweepIntervalMs: 1_000_000 });
    const alpha = asHomeserver(store, ALPHA);
    for (let n = 0; n < 300; n++) await alpha.put([messageEvent(`$${n}`)]);
    const { metadata, heapBytes } = store.stats();
    expect(metadata.evictions + metadata.entries).toBe(300);
    expect(metadata.entries).toBeLessThan(100);
    expect(metadata.bytes).toBeLessThanOrEqual(residentBytes(35_000) + metadata.entries);
    expect(metadata.bytes).toBeGreaterThan(15_000);
    expect(heapBytes).toBeLessThanOrEqual(80_000);
  });

  it("gives a reply the position of its lookup, even if changes come before the reply is read", async () => {
    const { store } = newStore();
    const alpha = asHomeserver(store, ALPHA);
    const before = await alpha.position();
    await alpha.put([messageEvent("$a")]);
    const reading = alpha.get(["$a"]);
    const changing = alpha.invalidate(["$a"]);
    const { events, position } = await reading;
    expect(events[0]).toBeDefined();
    expect(position).toEqual(before);
    await changing;
    expect(await alpha.put([messageEvent("$a")], position!)).toEqual(["fenced"]);
  });

  it("gives epochs of 16 unpredictable bytes, never the same", async () => {
    const { store } = newStore();
    const positions = [];
    for (const name of [ALPHA, BETA]) positions.push(await asHomeserver(store, name).position());
    positions.push(await asHomeserver(store, ALPHA).purge(true));
    for (const { epoch } of positions) expect(epoch).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(positions.map(({ epoch }) => epoch)).size).toBe(3);
  });

  it("notices by itself that a homeserver is idle", async () => {
    const { store, advance, logged } = newStore();
    await asHomeserver(store, BETA).position();
    await advance(10 * 60 * 1000);
    await vi.waitFor(() => expect(logged.at(-1)).toBe(`${BETA} forgotten`));
    expect(store.stats().homeservers.size).toBe(0);
  });

  it("refuses one homeserver more than it may know", async () => {
    const { store } = newStore({ homeserversMax: 2 });
    for (const name of [ALPHA, BETA]) await asHomeserver(store, name).position();
    await expect(asHomeserver(store, homeserver("gamma.example")).position()).rejects.toMatchObject({
      kind: "exhausted",
    });
  });

  it("counts the subscribers of all homeservers against its limit, and says when to come back", async () => {
    const { store } = newStore({ subscribersMax: 2 });
    const subscribers = [ALPHA, BETA].map((name) => asHomeserver(store, name).subscribe());
    for (const subscriber of subscribers) await subscriber.frame();
    await expect(asHomeserver(store, ALPHA).subscribe().frame()).rejects.toMatchObject({
      kind: "exhausted",
      message: expect.stringContaining("2"),
      retryDelayMs: 5000,
    });
    for (const subscriber of subscribers) await subscriber.close();
  });

  it("does no more work once it is closed", async () => {
    let reads = 0;
    const { store } = newStore({ clock: () => ++reads, sweepIntervalMs: 1, progressIntervalMs: 1 });
    const alpha = asHomeserver(store, ALPHA);
    await alpha.put(Array.from({ length: 500 }, (_, n) => messageEvent(`$${n}`)));
    await alpha.purge();
    await vi.waitFor(() => expect(store.stats().swept).toBeGreaterThan(0));
    await store.close();
    const [before, swept] = [reads, store.stats().swept];
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    expect([reads, store.stats().swept]).toEqual([before, swept]);
  });
});
