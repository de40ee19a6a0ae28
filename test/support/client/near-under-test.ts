import { NearCache } from "../../../src/client/near/near-cache.js";
import {
  type CachedEvent,
  type Notice,
  RedactionView,
} from "../../../src/gen/splitcache/v1/event_cache_service.js";

export const EPOCH_A = Buffer.alloc(16, 1);
export const EPOCH_B = Buffer.alloc(16, 2);
export const SILENCE_MS = 5000;
export const BYTES_MAX = 2 ** 20;

export const at = (sequence: number, epoch = EPOCH_A) => ({ epoch, sequence: BigInt(sequence) });

export function keptEvent(eventId: string, roomId = "!r", bodyBytes = 2): CachedEvent {
  return {
    eventId,
    roomId,
    roomVersion: "10",
    body: Buffer.alloc(bodyBytes, "x"),
    rejected: false,
    rejectedReason: "",
    redaction: undefined,
    internalMetadata: Buffer.alloc(0),
  };
}

/** A near cache with a clock and a gate that a test sets, and what a stream and replies give it. */
export class NearUnderTest {
  now = 1000;
  isOpen = true;
  registered = EPOCH_A;
  readonly detached: (readonly string[] | undefined)[] = [];
  readonly near = new NearCache(
    BYTES_MAX,
    () => this.now,
    { isOpen: () => this.isOpen, uses: (epoch) => epoch === this.registered.toString("hex") },
    (ids) => this.detached.push(ids),
  );

  ready(sequence: number, { resumed = false, epoch = EPOCH_A } = {}): void {
    this.near.follow({ kind: "ready", position: at(sequence, epoch), resumed, silenceMs: SILENCE_MS });
  }

  progress(sequence: number): void {
    this.near.follow({ kind: "progress", position: at(sequence) });
  }

  notice(sequence: number, change: Notice["change"]): void {
    this.near.follow({
      kind: "notice",
      position: at(sequence),
      notice: { sequence: BigInt(sequence), change },
    });
  }

  invalidated(sequence: number, ...eventIds: string[]): void {
    this.notice(sequence, { $case: "eventsInvalidated", value: { roomId: "!r", eventIds } });
  }

  purged(sequence: number, roomId: string): void {
    this.notice(sequence, { $case: "roomPurged", value: { roomId } });
  }

  reply(position: ReturnType<typeof at>, ...events: CachedEvent[]): void {
    this.near.received(this.near.sending(), position, events, RedactionView.REDACTED);
  }

  /** What a lookup would be served. */
  served(id: string, view: RedactionView = RedactionView.REDACTED): Readonly<CachedEvent> | undefined {
    return this.near.isUsable() ? this.near.get(id, view) : undefined;
  }
}
