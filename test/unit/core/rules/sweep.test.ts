import { describe, expect, it } from "vitest";
import { HomeserverMetadata } from "../../../../src/core/memory/metadata-cache.js";
import { NEVER, newSweep } from "../../../support/core/new-sweep.js";
import { OTHER_ROOM, ROOM } from "../../../support/store/store-harness.js";

const AT_ONCE = (): boolean => true;

describe("Sweep", () => {
  it("does nothing while nothing can be dead", () => {
    const swept = newSweep();
    expect(swept.pass()).toBe(false);
    swept.put("$a");
    swept.sweep.expectDead(0);
    swept.sweep.discard(new HomeserverMetadata());
    expect(swept.pass(999)).toBe(false);
    expect(swept.walked).toBe(0);
    expect(swept.counts()).toEqual([1, 1, 0]);
  });

  it("removes entries whose time is over, and knows when the next ones expire", () => {
    const swept = newSweep();
    swept.put("$a");
    swept.put("$b", { expiresAtMs: 3000 });
    swept.put("$c", { expiresAtMs: 2000 });
    swept.pass(1000);
    expect(swept.counts()).toEqual([2, 2, 1]);
    swept.pass(1999);
    expect(swept.walked).toBe(1);
    swept.pass(2000);
    expect(swept.counts()).toEqual([1, 1, 2]);
    swept.pass(2999);
    expect(swept.walked).toBe(2);
    swept.pass(3000);
    expect(swept.counts()).toEqual([0, 0, 3]);
    swept.pass(1e9);
    expect(swept.walked).toBe(3);
  });

  it("removes what a purged room left behind, and nothing else, once", () => {
    const swept = newSweep();
    for (let n = 0; n < 200; n++) swept.put(`$${n}`, { roomId: n % 2 === 0 ? ROOM : OTHER_ROOM });
    swept.sweep.expectDead(swept.caches.metadata.purgeRoom(swept.owner, ROOM));
    swept.pass();
    expect(swept.counts()).toEqual([100, 100, 100]);
    swept.pass();
    expect(swept.walked).toBe(1);
  });

  it("removes entries whose bodies were evicted", () => {
    const swept = newSweep({ events: { entriesMax: 3 } });
    for (let n = 0; n < 10; n++) swept.put(`$${n}`);
    for (const count of swept.caches.orphans) swept.sweep.expectDead(count);
    swept.pass();
    expect(swept.counts()).toEqual([3, 3, 7]);
  });

  it("drops a little discarded metadata at once, and much of it in slices", () => {
    const swept = newSweep();
    for (let n = 0; n < 64; n++) swept.put(`$${n}`);
    swept.sweep.discard(swept.owner);
    expect(swept.counts()).toEqual([0, 0, 64]);
    expect(swept.pass(999)).toBe(false);
    expect(swept.walked).toBe(0);
    for (let n = 0; n < 65; n++) swept.put(`$${n}`);
    swept.sweep.discard(swept.owner);
    expect(swept.counts()).toEqual([65, 65, 64]);
    swept.pass();
    expect(swept.counts()).toEqual([0, 0, 129]);
  });

  it("works in small steps, asks after each whether its time is over, and says whether work is left", () => {
    const swept = newSweep();
    for (let n = 0; n < 1000; n++) swept.put(`$${n}`);
    expect(swept.sweep.slice(AT_ONCE)).toBe(false);
    swept.begin(1000);
    let slices = 0;
    let before = 1000;
    while (swept.sweep.slice(AT_ONCE)) {
      slices += 1;
      const [left] = swept.counts();
      expect(before - left!).toBe(32);
      before = left!;
    }
    expect(slices).toBe(31);
    expect(swept.counts()).toEqual([0, 0, 1000]);
    expect(swept.sweep.slice(AT_ONCE)).toBe(false);
  });

  it("works through discarded metadata in small steps as well", () => {
    const swept = newSweep();
    for (let n = 0; n < 100; n++) swept.put(`$${n}`);
    swept.sweep.discard(swept.owner);
    swept.begin();
    expect(swept.sweep.slice(AT_ONCE)).toBe(true);
    expect(swept.counts()).toEqual([68, 68, 32]);
    let asked = 0;
    expect(swept.sweep.slice(() => ++asked === 2)).toBe(true);
    expect(swept.counts()).toEqual([4, 4, 96]);
  });

  it("begins no second pass while one is under way", () => {
    const swept = newSweep();
    for (let n = 0; n < 100; n++) swept.put(`$${n}`);
    swept.begin(1000);
    swept.sweep.slice(AT_ONCE);
    swept.sweep.expectDead(1);
    swept.begin(1000);
    expect(swept.sweep.slice(NEVER)).toBe(false);
    expect(swept.walked).toBe(1);
    expect(swept.counts()).toEqual([0, 0, 100]);
    swept.pass(1000);
    expect(swept.walked).toBe(2);
  });

  it("finds in the next pass what died, expired or was discarded during one", () => {
    const swept = newSweep();
    for (let n = 0; n < 100; n++) swept.put(`$${n}`, { expiresAtMs: n < 50 ? 1000 : 5000 });
    swept.begin(1000);
    swept.sweep.slice(AT_ONCE);
    // These died behind the sweep's back, or before it: the next pass must come.
    swept.put("$late", { roomId: OTHER_ROOM, expiresAtMs: 2000 });
    swept.sweep.expectDead(swept.caches.metadata.purgeRoom(swept.owner, ROOM));
    swept.sweep.slice(NEVER);
    swept.pass(1000);
    expect([...swept.owner.entries.values()].map(({ eventId: id }) => id)).toEqual(["$late"]);
    swept.pass(2000);
    expect(swept.counts()).toEqual([0, 0, 101]);
  });
});
