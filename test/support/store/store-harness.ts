import { randomBytes } from "node:crypto";
import type { EventStore, StoreObserver } from "../../../src/core/model/store.js";
import type {
  Epoch,
  EventId,
  Homeserver,
  NewEvent,
  Position,
  RoomId,
  SubscriptionFrame,
} from "../../../src/core/model/types.js";
import { createMemoryLog } from "../../../src/log/memory/memory-log.js";
import { createEventStore, type EventStoreOptions } from "../../../src/store/event-store.js";
import { readEvents } from "./read-events.js";

/** A store under test, with the clock that it lives by. */
export interface StoreHarness {
  readonly store: EventStore;
  /** Lets the store's clock go on. */
  advance(ms: number): Promise<void>;
  /** How exactly the store keeps an entry's time to live. */
  readonly ttlPrecisionMs: number;
  readonly logged: readonly string[];
}

/** What the suite sets of any store. */
export type StoreOptions = Pick<
  Partial<EventStoreOptions>,
  "progressIntervalMs" | "sweepIntervalMs" | "homeserversMax" | "subscribersMax" | "memoryBytes"
>;

export type MakeStore = (options?: StoreOptions) => StoreHarness;

export const TTL_MS = 60_000;

/** New epochs, as the product makes them. */
export const newEpoch = (): Epoch => randomBytes(16).toString("hex") as Epoch;

/** A store of a small size over a memory log, whose background work is frequent. */
export const makeMemoryStore = (options: Partial<EventStoreOptions> = {}): StoreHarness => {
  let nowMs = 1;
  const logged: string[] = [];
  const store = createEventStore({
    invalidationLog: createMemoryLog(newEpoch),
    memoryBytes: 32 * 1024 * 1024,
    heapBytesMax: 512 * 1024 * 1024,
    metadataTtlMs: TTL_MS,
    progressIntervalMs: 5,
    sweepIntervalMs: 5,
    clock: () => nowMs,
    wallClock: () => nowMs,
    observer: recordStore(logged),
    ...options,
  });
  return {
    store,
    advance: async (ms) => {
      nowMs += ms;
    },
    ttlPrecisionMs: 1,
    logged,
  };
};

/** Writes what a store tells the operator to a list. */
export function recordStore(logged: string[]): StoreObserver {
  return {
    logRestarted: (homeserver, _epoch, reason) => logged.push(`${homeserver} ${reason}`),
    homeserverForgotten: (homeserver) => logged.push(`${homeserver} forgotten`),
  };
}

export const homeserver = (name: string): Homeserver => name as Homeserver;
export const eventId = (id: string): EventId => id as EventId;
export const roomId = (id: string): RoomId => id as RoomId;

export const ALPHA = homeserver("alpha.example");
export const BETA = homeserver("beta.example");
export const ROOM = roomId("!room:alpha.example");
export const OTHER_ROOM = roomId("!other:alpha.example");

/** A message event of room version 10, whose body can be redacted. */
export function messageEvent(id: string, changes: Partial<NewEvent> & { text?: string } = {}): NewEvent {
  const { text = "hello", ...rest } = changes;
  const json = {
    type: "m.room.message",
    room_id: ROOM,
    sender: "@user:alpha.example",
    content: { msgtype: "m.text", body: text },
    origin_server_ts: 1,
  };
  return {
    eventId: eventId(id),
    roomId: ROOM,
    roomVersion: "10",
    body: Buffer.from(JSON.stringify(json)),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: new Uint8Array(),
    ...rest,
  };
}

/** One caller of a store, as one homeserver: calls in few words. */
export function asHomeserver(store: EventStore, name: Homeserver) {
  const position = async (): Promise<Position> => {
    const request = { homeserver: name, eventIds: [], view: "redacted", minPosition: undefined } as const;
    return (await readEvents(store, request)).position!;
  };
  return {
    position,
    get: (ids: readonly string[], options: { view?: "redacted" | "original"; minPosition?: Position } = {}) =>
      readEvents(store, {
        homeserver: name,
        eventIds: ids.map(eventId),
        view: options.view ?? "redacted",
        minPosition: options.minPosition,
      }),
    /** Which of the events are hits. */
    async hits(...ids: string[]): Promise<string[]> {
      const { events } = await readEvents(store, {
        homeserver: name,
        eventIds: ids.map(eventId),
        view: "redacted",
        minPosition: undefined,
      });
      return ids.filter((_, at) => events[at] !== undefined);
    },
    put: async (events: readonly NewEvent[], asOf?: Position) =>
      (await store.putEvents({ homeserver: name, events, asOf: asOf ?? (await position()) })).outcomes,
    redact: (
      id: string,
      by: string,
      options: { asOf?: Position; room?: RoomId; redactedBody?: Uint8Array } = {},
    ) =>
      store.setRedaction({
        homeserver: name,
        roomId: options.room,
        eventId: eventId(id),
        redaction: { redactedBy: eventId(by), redactedBody: options.redactedBody },
        asOf: options.asOf,
      }),
    reject: (
      id: string,
      rejected: boolean,
      options: { asOf?: Position; room?: RoomId; reason?: string } = {},
    ) =>
      store.setRejected({
        homeserver: name,
        roomId: options.room,
        eventId: eventId(id),
        rejected,
        rejectedReason: options.reason ?? "",
        asOf: options.asOf,
      }),
    invalidate: (ids: readonly string[], room?: RoomId) =>
      store.invalidateEvents(name, room, ids.map(eventId)),
    purgeRoom: (room: RoomId) => store.purgeRoom(name, room),
    purge: (newEpoch = false) => store.purgeHomeserver(name, newEpoch),
    subscribe: (resumeAfter?: Position) => new TestSubscriber(store, name, resumeAfter),
    stats: () => store.stats().homeservers.get(name)!,
  };
}

/** A subscriber that asks for one frame at a time. */
export class TestSubscriber {
  readonly #abort = new AbortController();
  readonly #frames: AsyncIterator<SubscriptionFrame>;

  constructor(store: EventStore, name: Homeserver, resumeAfter: Position | undefined) {
    this.#frames = store
      .subscribe({ homeserver: name, resumeAfter, signal: this.#abort.signal })
      [Symbol.asyncIterator]();
  }

  async frame(): Promise<SubscriptionFrame> {
    const { done, value } = await this.#frames.next();
    if (done === true) throw new Error("the subscription ended");
    return value;
  }

  /** The next frame that is not a sign of life. */
  async change(): Promise<SubscriptionFrame> {
    for (;;) {
      const frame = await this.frame();
      if (frame.kind !== "progress") return frame;
    }
  }

  /** Ends it, and says whether a call for the next frame says so too. */
  async close(): Promise<boolean> {
    this.#abort.abort();
    for (;;) {
      const { done } = await this.#frames.next();
      if (done === true) return true;
    }
  }
}
