import { SLAB_RESERVE_BYTES } from "../core/memory/byte-slab.js";
import {
  CACHE_ENTRIES_MAX,
  EVENTS_HEAP_SHARE_SIXTEENTHS,
  EVENTS_SHARE_EIGHTHS,
  LOG_HEAP_SHARE_SIXTEENTHS,
  LOG_SHARE_EIGHTHS,
  METADATA_HEAP_SHARE_SIXTEENTHS,
  METADATA_SHARE_EIGHTHS,
} from "../core/model/limits.js";

/** Splits a budget of bytes, and the part of it that may be in the heap, among the caches and logs. */
export function splitBudget(memoryBytes: number, heapBytesMax: number) {
  const share = (eighths: number): number => Math.floor((memoryBytes * eighths) / 8);
  const heapShare = (sixteenths: number): number => Math.floor((heapBytesMax * sixteenths) / 16);
  return {
    caches: {
      eventBytesMax: withoutReserve(share(EVENTS_SHARE_EIGHTHS)),
      metadataBytesMax: share(METADATA_SHARE_EIGHTHS),
      eventHeapBytesMax: heapShare(EVENTS_HEAP_SHARE_SIXTEENTHS),
      metadataHeapBytesMax: heapShare(METADATA_HEAP_SHARE_SIXTEENTHS),
      entriesMax: CACHE_ENTRIES_MAX,
    },
    // A log is entirely in the heap.
    logBytesMax: Math.min(share(LOG_SHARE_EIGHTHS), heapShare(LOG_HEAP_SHARE_SIXTEENTHS)),
  };
}

/** The bytes for events without the slab's reserve. If the budget is too small for the reserve, as in tests, half of it. */
function withoutReserve(bytes: number): number {
  return Math.max(bytes - SLAB_RESERVE_BYTES, Math.floor(bytes / 2));
}
