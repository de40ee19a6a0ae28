import { REDACT_SLICE_MS } from "../model/limits.js";
import type { NewEvent } from "../model/types.js";
import { redactEvent } from "./redaction.js";

/** The clock that bounds a step of work, and the turns in which steps run. */
export interface Pacing {
  readonly clock: () => number;
  /** Runs a step when it is its turn; steps of other calls share the turns. */
  readonly inTurn: (step: () => void) => Promise<void>;
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
  const { clock, inTurn } = pacing;
  const ready: NewEvent[] = [];
  const step = () => {
    const endMs = clock() + REDACT_SLICE_MS;
    do {
      const event = events[ready.length]!;
      ready.push(needsRedactedBody(event) ? redacted(event) : event);
    } while (ready.length < events.length && clock() < endMs);
  };
  while (ready.length < events.length) await inTurn(step);
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
