import type { CachedEvent } from "../gen/splitcache/v1/event_cache_service.js";
import { type EventToPut, sharedEvent, wireEvent } from "./events.js";
import { FILLS_MAX } from "./limits.js";
import type { Position } from "./position.js";
import type { PutOutcomeName } from "./writer.js";

/** Puts what a database showed, in the background: a reader does not wait for it, and a failure costs only a miss. */
export class Fills {
  readonly counters = { stored: 0, refused: 0, failed: 0, skipped: 0 };
  readonly #put: (events: readonly EventToPut[], asOf: Position) => Promise<PutOutcomeName[]>;
  readonly #running = new Set<Promise<void>>();

  constructor(put: (events: readonly EventToPut[], asOf: Position) => Promise<PutOutcomeName[]>) {
    this.#put = put;
  }

  start(events: readonly EventToPut[], asOf: Position | undefined): void {
    if (events.length === 0) return;
    if (asOf === undefined || this.#running.size >= FILLS_MAX) {
      this.counters.skipped += events.length;
      return;
    }
    const running = this.#fill(events, asOf).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when the fills that run now have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #fill(events: readonly EventToPut[], asOf: Position): Promise<void> {
    try {
      const outcomes = await this.#put(events, asOf);
      const stored = outcomes.filter((outcome) => outcome === "stored").length;
      this.counters.stored += stored;
      this.counters.refused += outcomes.length - stored;
    } catch {
      this.counters.failed += events.length;
    }
  }
}

/** An event of the database as a lookup of this view shows it. Throws a TypeError if it cannot. */
export function viewOf(event: EventToPut, view: "redacted" | "original"): Readonly<CachedEvent> {
  const wire = wireEvent(event);
  if (wire.redaction === undefined || view === "original") return sharedEvent(wire);
  const { redactedBy, redactedBody } = wire.redaction;
  // Nothing falls back to the original.
  if (redactedBody.length === 0)
    throw new TypeError(`redaction.redactedBody: is required for the redacted view of ${event.eventId}`);
  return sharedEvent({
    ...wire,
    body: redactedBody,
    redaction: { redactedBy, redactedBody: Buffer.alloc(0) },
  });
}
