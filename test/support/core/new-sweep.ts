import { HomeserverMetadata } from "../../../src/core/memory/metadata-cache.js";
import { Sweep } from "../../../src/core/rules/sweep.js";
import { newCaches, putBoth } from "./parts.js";

export const NEVER = (): boolean => false;

export function newSweep(...options: Parameters<typeof newCaches>) {
  const caches = newCaches(...options);
  const sweep = new Sweep(caches.metadata);
  const owner = new HomeserverMetadata();
  let walked = 0;
  const live = function* () {
    walked += 1;
    yield owner;
  };
  return {
    caches,
    sweep,
    owner,
    put: (id: string, changes: Parameters<typeof putBoth>[3] = {}) => {
      putBoth(caches, owner, id, changes);
      sweep.expectExpiry(changes.expiresAtMs ?? 1000);
    },
    /** One whole pass. */
    pass: (nowMs = 0) => {
      sweep.begin(live, nowMs);
      return sweep.slice(NEVER);
    },
    begin: (nowMs = 0) => sweep.begin(live, nowMs),
    get walked() {
      return walked;
    },
    counts: () => [caches.metadata.stats().entries, caches.events.stats().entries, sweep.swept],
  };
}
