import { REDACT_SLICE_MS } from "../model/limits.js";
import type { NewEvent } from "../model/types.js";
import { redactEvent } from "./redaction.js";

/** The clock that bounds a slice of work, and a way to yield to the event loop. */
export interface Pacing {
  readonly clock: () => number;
  readonly defer: (run: () => void) => void;
}

/**
 * Computes the redacted bodies that redacted events come without, before any event
 * is judged or stored. A batch of the largest bodies takes long, and other calls
 * must not wait for it. An event that cannot be redacted gets none.
 */
export async function withRedactedBodies(
  events: readonly NewEvent[],
  pacing: Pacing,
): Promise<readonly NewEvent[]> {
  if (!events.some(needsRedactedBody)) return events;
  const { clock, defer } = pacing;
  let sliceEndMs = clock() + REDACT_SLICE_MS;
  const ready: NewEvent[] = [];
  for (const event of events) {
    ready.push(needsRedactedBody(event) ? redacted(event) : event);
    if (clock() < sliceEndMs) continue;
    await new Promise<void>(defer);
    sliceEndMs = clock() + REDACT_SLICE_MS;
  }
  return ready;
}

function needsRedactedBody({ redaction }: NewEvent): boolean {
  return redaction !== undefined && redaction.redactedBody === undefined;
}

function redacted(event: NewEvent): NewEvent {
  const { redactedBy } = event.redaction!;
  const redactedBody = redactEvent(event.body, event.roomVersion);
  return { ...event, redaction: { redactedBy, redactedBody } };
}
