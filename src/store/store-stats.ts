import type { StoreStats } from "../core/model/store.js";
import type { Homeservers } from "../core/rules/homeservers.js";
import type { SplitCache } from "../core/rules/split-cache.js";
import type { ServedHomeserver } from "./served-homeserver.js";

/** What the caches, the logs and each homeserver hold and have done. */
export function storeStats(
  cache: SplitCache,
  homeservers: Homeservers<ServedHomeserver>,
  bounds: Pick<StoreStats, "logBytesMax" | "heapBytesMax">,
): StoreStats {
  const { events, metadata } = cache.stats();
  let logBytes = 0;
  for (const { state } of homeservers.all()) logBytes += state.log.size.bytes;
  return {
    events,
    metadata,
    logBytes,
    heapBytes: events.heapBytes + metadata.heapBytes + logBytes,
    ...bounds,
    swept: cache.sweep.swept,
    homeservers: homeservers.stats(),
  };
}
