import { describe, expect, it } from "vitest";
import type { EventId } from "../../../src/core/model/types.js";
import { ALPHA, asHomeserver, makeMemoryStore, messageEvent } from "../../support/store/store-harness.js";
import { useStores } from "../../support/store/use-store.js";

describe("the store over a memory log", () => {
  const newStore = useStores(makeMemoryStore);

  it("sweeps in slices of its own clock, one at a time, until a pass is over", async () => {
    // A clock that goes on whenever it is read: every slice is over after its first step.
    let nowMs = 1;
    const { store } = newStore({ clock: () => nowMs++, sweepIntervalMs: 1, metadataTtlMs: 1e9 });
    const alpha = asHomeserver(store, ALPHA);
    const ids = Array.from({ length: 5000 }, (_, n) => `$${n}` as EventId);
    for (let n = 0; n < 5000; n += 500) {
      await alpha.put(ids.slice(n, n + 500).map((id) => messageEvent(id)));
    }
    await alpha.purge();
    // In one turn of the event loop there is one slice, however many passes fell due meanwhile.
    let before = store.stats().swept;
    let most = 0;
    while (before < 5000) {
      await new Promise(setImmediate);
      const { swept } = store.stats();
      most = Math.max(most, swept - before);
      before = swept;
    }
    expect(most).toBeLessThanOrEqual(64);
    expect(store.stats().metadata.entries).toBe(0);
  });
});
