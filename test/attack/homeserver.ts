import type * as wire from "../../src/gen/splitcache/v1/event_cache_service.js";
import type { Random } from "./random.js";

/** The name of a homeserver stands in whatever it puts, between these. */
const MARK_START = "~hs-";
const MARK_START_BYTES = Buffer.from(MARK_START);
const MARK_NAME_BYTES = 16;

const EVENTS = 4000;
const ROOMS = 40;
const ROOM_VERSIONS = ["1", "3", "6", "10", "11", "12", "org.example.unknown"];
/** Bodies without a mark, which all homeservers put: what is identical is stored once. */
const SHARED_BODIES = Array.from({ length: 64 }, (_, index) =>
  Buffer.from(JSON.stringify({ type: "m.room.message", content: { body: `shared ${index}` } })),
);

/** What one homeserver may send; it is valid unless a mutator changes it. */
export class Homeserver {
  readonly name: string;
  readonly mark: string;
  readonly #markName: Buffer;
  /** The last position that the server gave; requests that need one are refused without. */
  position: wire.Position | undefined;

  /** Names are far apart: no flipped bit makes one of another. */
  constructor(random: Random) {
    const digits = random.bytes(MARK_NAME_BYTES / 2).toString("hex");
    this.name = `${digits}.attack.example`;
    this.mark = `${MARK_START}${digits}~`;
    this.#markName = Buffer.from(digits);
  }

  /** The first mark in a reply that is another homeserver's, if there is one. */
  markOfAnother(reply: Buffer): string | undefined {
    for (let at = reply.indexOf(MARK_START_BYTES); at >= 0; at = reply.indexOf(MARK_START_BYTES, at + 1)) {
      const start = at + MARK_START_BYTES.length;
      const end = start + MARK_NAME_BYTES;
      if (reply.compare(this.#markName, 0, MARK_NAME_BYTES, start, end) === 0) continue;
      const name = reply.toString("latin1", start, end);
      // A mutator may have damaged a mark of our own.
      if (NAMES.has(name)) return name;
    }
    return undefined;
  }
}

/** The marks of all homeservers there are. */
const NAMES = new Set<string>();

export function newHomeserver(random: Random): Homeserver {
  const homeserver = new Homeserver(random);
  NAMES.add(homeserver.name.slice(0, MARK_NAME_BYTES));
  return homeserver;
}

export function eventId(random: Random): string {
  return `$event-${random.below(EVENTS)}`;
}

export function roomId(random: Random): string {
  return `!room-${random.below(ROOMS)}:attack.example`;
}

export function eventIds(random: Random, most: number): string[] {
  return Array.from({ length: random.between(1, most) }, () => eventId(random));
}

export function body(random: Random, { mark }: Homeserver): Buffer {
  if (random.chance(0.2)) return random.pick(SHARED_BODIES);
  const size = random.chance(0.02) ? random.below(60_000) : random.below(600);
  const content = { body: mark, filler: "x".repeat(size) };
  return Buffer.from(JSON.stringify({ type: "m.room.message", room_id: "!r", content, sender: "@a:b" }));
}

export function redaction(random: Random, homeserver: Homeserver): wire.Redaction {
  return {
    redactedBy: `$redaction-${homeserver.mark}`,
    redactedBody: random.chance(0.3) ? body(random, homeserver) : Buffer.alloc(0),
  };
}

export function cachedEvent(random: Random, homeserver: Homeserver): wire.CachedEvent {
  const isRejected = random.chance(0.05);
  return {
    eventId: eventId(random),
    roomId: roomId(random),
    roomVersion: random.pick(ROOM_VERSIONS),
    body: body(random, homeserver),
    rejected: isRejected,
    rejectedReason: isRejected ? homeserver.mark : "",
    redaction: random.chance(0.1) ? redaction(random, homeserver) : undefined,
    internalMetadata: Buffer.from(homeserver.mark),
  };
}
