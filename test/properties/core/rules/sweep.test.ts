import { describe, expect, it } from "vitest";
import { newSweep } from "../../../support/core/new-sweep.js";
import { eventId, OTHER_ROOM, ROOM } from "../../../support/store/store-harness.js";

const AT_ONCE = (): boolean => true;

describe("Sweep", () => {
  it("misses nothing that had died when a pass began, although maps are split meanwhile", () => {
    const swept = newSweep({ events: { bytesMax: 2 ** 26 } });
    for (let n = 0; n < 6000; n++) swept.put(`$${n}`, { roomId: n % 2 === 0 ? ROOM : OTHER_ROOM });
    swept.sweep.expectDead(swept.caches.metadata.purgeRoom(swept.owner, ROOM));
    swept.begin();
    let added = 0;
    while (swept.sweep.slice(AT_ONCE)) {
      for (let n = 0; n < 150 && added < 15_000; n++) swept.put(`$new${added++}`, { roomId: OTHER_ROOM });
    }
    const dead = [...swept.owner.entries.values()].filter(({ room }) => room.purged);
    expect(dead).toEqual([]);
    expect(swept.owner.entries.size).toBe(18_000);
    expect(swept.owner.entries.get(eventId("$1"))).toBeDefined();
    expect(swept.owner.entries.get(eventId("$2"))).toBeUndefined();
  });
});
