import { LRUCache } from "lru-cache";
import { type CachedEvent, RedactionView } from "../../gen/splitcache/v1/event_cache_service.js";

/** What is kept of one event: its texts by view, and its room. */
interface Kept {
  readonly room: KeptRoom;
  readonly redacted: Readonly<CachedEvent> | undefined;
  readonly original: Readonly<CachedEvent> | undefined;
  readonly bytes: number;
  /** The interval in which it was last used. */
  usedIn: number;
}

interface KeptRoom {
  isPurged: boolean;
  readonly ids: Set<string>;
}

/** An upper bound of the heap's part of an entry: event, buffers, slot, list links, and its ID in the room's set. */
const ENTRY_BYTES = 850;
/**
 * A hit moves its entry to the front of the list once in this time: to do it for each hit would cost several
 * times the lookup.
 */
const INTERVAL_MS = 500;
/** IDs of a purged room that are removed in one turn of the event loop. */
const SWEPT_MAX = 500;

/** Events by ID, bounded by bytes, the least recently used go first. Knows nothing of freshness. */
export class KeptEvents {
  readonly #maxBytes: number;
  /** Bounds the entries and orders them by use. */
  #entries: LRUCache<string, Kept>;
  /** The same entries: a lookup needs no list. */
  #byId = new Map<string, Kept>();
  #rooms = new Map<string, KeptRoom>();
  #interval = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#entries = this.#newEntries();
  }

  get count(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  /** Tells the time, once for each batch. */
  tick(now: number): void {
    this.#interval = Math.floor(now / INTERVAL_MS);
  }

  get(id: string, view: RedactionView): Readonly<CachedEvent> | undefined {
    const kept = this.#byId.get(id);
    if (kept === undefined || kept.room.isPurged) return undefined;
    if (kept.usedIn !== this.#interval) {
      kept.usedIn = this.#interval;
      this.#entries.get(id);
    }
    return view === RedactionView.ORIGINAL ? kept.original : kept.redacted;
  }

  set(event: Readonly<CachedEvent>, view: RedactionView): void {
    const { eventId, roomId } = event;
    const room = this.#room(roomId);
    const before = this.#entries.peek(eventId);
    const other = before?.room === room ? before : undefined;
    const kept =
      view === RedactionView.ORIGINAL
        ? { redacted: other?.redacted, original: event }
        : { redacted: event, original: other?.original };
    const bytes = bytesOf(kept.redacted) + bytesOf(kept.original);
    // Before the set: disposing of the entry that is replaced takes the ID out of its room.
    this.#entries.delete(eventId);
    const entry = { room, ...kept, bytes, usedIn: this.#interval };
    this.#entries.set(eventId, entry);
    if (this.#entries.has(eventId)) {
      this.#byId.set(eventId, entry);
      room.ids.add(eventId);
    } else if (room.ids.size === 0) this.#rooms.delete(roomId);
  }

  delete(ids: Iterable<string>): void {
    for (const id of ids) this.#entries.delete(id);
  }

  /** In constant time: the entries are unreachable at once, and leave memory in small slices. */
  purgeRoom(roomId: string): void {
    const room = this.#rooms.get(roomId);
    if (room === undefined) return;
    room.isPurged = true;
    this.#rooms.delete(roomId);
    this.#sweep(room);
  }

  /** In constant time. */
  clear(): void {
    this.#entries = this.#newEntries();
    this.#byId = new Map();
    this.#rooms = new Map();
  }

  #sweep(room: KeptRoom): void {
    let swept = 0;
    for (const id of room.ids) {
      swept += 1;
      if (swept > SWEPT_MAX) {
        setImmediate(() => this.#sweep(room)).unref();
        return;
      }
      room.ids.delete(id);
      if (this.#entries.peek(id)?.room === room) this.#entries.delete(id);
    }
  }

  #room(roomId: string): KeptRoom {
    const known = this.#rooms.get(roomId);
    if (known !== undefined) return known;
    const room = { isPurged: false, ids: new Set<string>() };
    this.#rooms.set(roomId, room);
    return room;
  }

  #newEntries(): LRUCache<string, Kept> {
    return new LRUCache<string, Kept>({
      maxSize: this.#maxBytes,
      // One event may not empty the cache.
      maxEntrySize: Math.ceil(this.#maxBytes / 2),
      sizeCalculation: ({ bytes }) => bytes,
      dispose: ({ room, redacted, original }, id) => {
        this.#byId.delete(id);
        room.ids.delete(id);
        const roomId = (redacted ?? original)?.roomId;
        if (room.ids.size === 0 && roomId !== undefined && this.#rooms.get(roomId) === room)
          this.#rooms.delete(roomId);
      },
    });
  }
}

function bytesOf(event: Readonly<CachedEvent> | undefined): number {
  if (event === undefined) return 0;
  const { eventId, roomId, rejectedReason, body, redaction, internalMetadata } = event;
  const texts =
    2 * (eventId.length + roomId.length + rejectedReason.length + (redaction?.redactedBy.length ?? 0));
  return ENTRY_BYTES + texts + body.length + internalMetadata.length + (redaction?.redactedBody.length ?? 0);
}
