/**
 * Hit rates of eviction policies: the reads that a homeserver's own caches did not answer, played against
 * the two caches at several budgets, with LRU and with the policy of the product. "On demand": readers
 * store what they missed. "With puts": writers store what they persist, too. Deterministic.
 * SPLITCACHE_DATA names the folder of a larger recording than demo/.
 */
import { join } from "node:path";
import { EventCache } from "../src/core/memory/event-cache.js";
import type { EvictionQueue, MakeQueue, Queued } from "../src/core/memory/eviction-queue.js";
import { MemoryShares } from "../src/core/memory/memory-shares.js";
import { HomeserverMetadata, MetadataCache, type MetadataEntry } from "../src/core/memory/metadata-cache.js";
import { S3Fifo } from "../src/core/memory/s3-fifo.js";
import type { EventId, NewEvent, RoomId } from "../src/core/model/types.js";
import { readJsonLines } from "../test/support/shared-data.js";
import { printTable } from "./support/report.js";

const FOLDER = process.env["SPLITCACHE_DATA"] ?? "demo";
const SHARES = [0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8];

/** Of an operation, what a cache sees of it. An ID that is a text was not in the database then. */
interface TraceLine {
  readonly op: string;
  readonly n?: number;
  readonly ids?: readonly (number | string)[];
  readonly room_id?: string;
}

interface EventLine {
  readonly n: number;
  readonly event_id: string;
  readonly room_id: string;
  readonly room_version: string;
  readonly json: string;
  readonly internal_metadata: string;
}

/** Evicts what was used least recently: the policy to compare with. */
class Lru<T extends Queued> implements EvictionQueue<T> {
  readonly #order = new Set<T>();

  get size(): number {
    return this.#order.size;
  }

  add(item: T): void {
    this.#order.add(item);
  }

  touch(item: T): void {
    if (this.#order.delete(item)) this.#order.add(item);
  }

  delete(item: T): void {
    this.#order.delete(item);
  }

  pop(): T | undefined {
    const { value } = this.#order.values().next();
    if (value !== undefined) this.#order.delete(value);
    return value;
  }
}

const lru: MakeQueue = () => new Lru();
const s3Fifo: MakeQueue = (charge) => new S3Fifo(1, charge);

const events = new Map<number, EventLine>();
for await (const line of readJsonLines<EventLine>(join(FOLDER, "events.jsonl.gz"))) events.set(line.n, line);
const trace: TraceLine[] = [];
for await (const line of readJsonLines<TraceLine>(join(FOLDER, "trace.jsonl.gz"))) trace.push(line);

const rows: (string | number)[][] = [
  ["share of the bytes", ...SHARES.map((share) => `${Math.round(100 * share)} %`)],
];
for (const withPuts of [false, true]) {
  const all = play(lru, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, withPuts);
  const at = (makeQueue: MakeQueue) =>
    SHARES.map(
      (share) => play(makeQueue, all.eventBytes * share, all.metadataBytes * share, withPuts).hitRate,
    );
  const before = at(lru);
  const now = at(s3Fifo);
  const how = withPuts ? "with puts" : "on demand";
  rows.push([`${how}: LRU`, ...before.map(percent)]);
  rows.push([`${how}: S3-FIFO`, ...now.map(percent)]);
  rows.push([`${how}: points`, ...now.map((rate, n) => (100 * (rate - before[n]!)).toFixed(1))]);
  rows.push([`${how}: no bound`, ...SHARES.map(() => percent(all.hitRate))]);
}
console.log(`Hits of the fetches in ${FOLDER}/trace.jsonl.gz`);
printTable(rows);

function percent(rate: number): string {
  return `${(100 * rate).toFixed(1)} %`;
}

/** Plays the trace once. The bytes are those at its end. */
function play(makeQueue: MakeQueue, eventBytesMax: number, metadataBytesMax: number, withPuts: boolean) {
  const unbounded = { heapBytesMax: Number.MAX_SAFE_INTEGER, entriesMax: Number.MAX_SAFE_INTEGER };
  const shares = new MemoryShares<MetadataEntry>({
    bounds: {
      events: { bytesMax: eventBytesMax, ...unbounded },
      metadata: { bytesMax: metadataBytesMax, ...unbounded },
    },
    makeQueue,
    onEvict: (entry, mustFree) => metadata.evicted(entry, mustFree),
  });
  const bodies = new EventCache({ shares, defer: () => {}, onOrphans: () => {} });
  const metadata: MetadataCache = new MetadataCache(shares, bodies);
  const owner = new HomeserverMetadata(shares.newHolding());
  let reads = 0;
  let hits = 0;
  const drop = (id: string) => {
    const entry = owner.entries.get(id as EventId);
    if (entry !== undefined) metadata.drop(entry);
  };
  const isHit = (id: EventId): boolean => {
    const entry = owner.entries.get(id);
    if (entry === undefined) return false;
    if (metadata.deadBecause(entry, 0) !== undefined) {
      metadata.drop(entry);
      return false;
    }
    metadata.touch(entry);
    return true;
  };
  const put = (line: EventLine) => {
    const event = eventOf(line);
    metadata.put(owner, {
      variant: bodies.acquire(event, owner.holding),
      roomId: event.roomId,
      state: { rejected: false, rejectedReason: "", redaction: undefined },
      internalMetadata: line.internal_metadata,
      expiresAtMs: Number.POSITIVE_INFINITY,
      writeBackAtMs: Number.POSITIVE_INFINITY,
    });
  };
  /** Written, and not yet stored: a writer stores what it persisted after it has invalidated it. */
  let persisted: EventLine[] = [];
  for (const { op, n, ids = [], room_id } of trace) {
    if (op !== "persist" && op !== "invalidate") {
      for (const line of persisted) put(line);
      persisted = [];
    }
    const found = ids.flatMap((id) => (typeof id === "number" ? [events.get(id)!] : []));
    if (op === "persist" && withPuts) persisted.push(events.get(n!)!);
    else if (op === "purge_room") metadata.purgeRoom(owner, room_id as RoomId);
    else if (op === "invalidate" || op === "purge_history") for (const line of found) drop(line.event_id);
    else if (op === "fetch") {
      const missing = found.filter((line) => !isHit(line.event_id as EventId));
      reads += found.length;
      hits += found.length - missing.length;
      for (const line of missing) put(line);
    }
  }
  return { hitRate: hits / reads, eventBytes: bodies.stats().bytes, metadataBytes: metadata.stats().bytes };
}

function eventOf(line: EventLine): NewEvent {
  return {
    eventId: line.event_id as EventId,
    roomId: line.room_id as RoomId,
    roomVersion: line.room_version,
    body: Buffer.from(line.json),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.from(line.internal_metadata),
  };
}
