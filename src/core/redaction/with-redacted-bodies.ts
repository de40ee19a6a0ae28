import { REDACT_SLICE_MS } from "../model/limits.js";
import type { NewEvent } from "../model/types.js";
import { redactEvent } from "./redaction.js";

/** How long work takes, and how to let others have a turn of the event loop. */
export interface Pacing {
  readonly clock: () => number;
  readonly defer: (run: () => void) => void;
}

/**
 * Makes the redacted bodies that events need and do not bring, before anything is
 * judged or stored: a batch of the largest bodies takes long, and other calls
 * must not wait for it. What cannot be redacted stays without.
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
