import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Bounds, MakeBoundedCache } from "../../../src/core/memory/bounded-cache.js";
import { EventCache } from "../../../src/core/memory/event-cache.js";
import { type HomeserverMetadata, MetadataCache } from "../../../src/core/memory/metadata-cache.js";
import { ShardedLru } from "../../../src/core/memory/sharded-lru.js";
import type { Epoch, EventState, NewEvent, Position } from "../../../src/core/model/types.js";
import { messageEvent } from "../store/store-harness.js";

/** The bounded cache of the memory store: of one shard at the sizes of these tests, so exact. */
export const makeCache: MakeBoundedCache = (bounds, onEvict) => new ShardedLru(bounds, onEvict);

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

/** An event cache and a metadata cache over it, with the orphans that they reported. */
export function newCaches(options: { events?: Partial<Bounds>; metadata?: Partial<Bounds> } = {}) {
  const orphans: number[] = [];
  const events = new EventCache({
    bounds: { ...ROOMY, ...options.events },
    makeCache,
    defer: (run) => void setImmediate(run),
    onOrphans: (count) => orphans.push(count),
  });
  const metadata = new MetadataCache({ ...ROOMY, ...options.metadata }, makeCache, events);
  return { events, metadata, orphans };
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
  const variant = events.acquire(event);
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
