import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Bounds } from "../../../src/core/memory/cost.js";
import { EventCache } from "../../../src/core/memory/event-cache.js";
import type { MakeQueue } from "../../../src/core/memory/eviction-queue.js";
import { type MemoryQuota, MemoryShares } from "../../../src/core/memory/memory-shares.js";
import {
  HomeserverMetadata,
  MetadataCache,
  type MetadataEntry,
} from "../../../src/core/memory/metadata-cache.js";
import { S3Fifo } from "../../../src/core/memory/s3-fifo.js";
import type { Epoch, EventState, NewEvent, Position } from "../../../src/core/model/types.js";
import { messageEvent } from "../store/store-harness.js";

/** The queue of the memory store: of one shard at the sizes of these tests, so exact. */
export const makeQueue: MakeQueue = (charge) => new S3Fifo(1, charge);

export const ROOMY: Bounds = { bytesMax: 20 * 2 ** 20, heapBytesMax: 20 * 2 ** 20, entriesMax: 2 ** 20 };

/** Functions that were put off to a later turn, run when a test says so. */
export function laterTurns() {
  let queue: (() => void)[] = [];
  return {
    defer: (run: () => void): void => void queue.push(run),
    get pending(): number {
      return queue.length;
    },
    /** Begins the next turn of the event loop. */
    next: (): void => {
      const due = queue;
      queue = [];
      for (const run of due) run();
    },
  };
}

/** An event cache and a metadata cache over it, with what they told of orphans. */
export function newCaches(
  options: { events?: Partial<Bounds>; metadata?: Partial<Bounds>; promised?: number } = {},
) {
  const orphans: number[] = [];
  const shares = new MemoryShares<MetadataEntry>({
    bounds: { events: { ...ROOMY, ...options.events }, metadata: { ...ROOMY, ...options.metadata } },
    makeQueue,
    promised: options.promised,
    onEvict: (entry, mustFree) => metadata.evicted(entry, mustFree),
  });
  const events = new EventCache({
    shares,
    defer: (run) => void setImmediate(run),
    onOrphans: (count) => orphans.push(count),
  });
  const metadata = new MetadataCache(shares, events);
  /** The metadata of a new homeserver. */
  const newOwner = (quota?: MemoryQuota) => new HomeserverMetadata(shares.newHolding(quota));
  return { shares, events, metadata, orphans, newOwner };
}

export const PLAIN: EventState = { rejected: false, rejectedReason: "", redaction: undefined };

/** Puts an event as the rules do: the body, then what a homeserver says of it. */
export function putBoth(
  { events, metadata }: ReturnType<typeof newCaches>,
  owner: HomeserverMetadata,
  id: string,
  changes: Partial<NewEvent> & {
    text?: string;
    expiresAtMs?: number;
    state?: EventState;
    meta?: string;
  } = {},
): void {
  const { expiresAtMs = 1000, state = PLAIN, meta = "", ...rest } = changes;
  const event = messageEvent(id, rest);
  const variant = events.acquire(event, owner.holding);
  metadata.put(owner, {
    variant,
    roomId: event.roomId,
    state,
    internalMetadata: meta,
    expiresAtMs,
    writeBackAtMs: Infinity,
  });
}

export const epoch = (digit: string): Epoch => digit.repeat(32) as Epoch;
export const EPOCH = epoch("a");
export const at = (sequence: number, of: Epoch = EPOCH): Position => ({ epoch: of, sequence });

/** What is garbage by now is gone when this resolves: weak references outlive the turn that made them. */
export async function collectGarbage(): Promise<void> {
  await new Promise(setImmediate);
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}
