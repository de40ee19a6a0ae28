import type { EventStore, ReadRequest, TakeEvents } from "../../../src/core/model/store.js";
import type { ReadResult } from "../../../src/core/model/types.js";

/** Reads events from a store and keeps them: the bytes are copied during the lookup. */
export async function readEvents(
  store: Pick<EventStore, "getEvents">,
  request: ReadRequest,
): Promise<ReadResult> {
  let kept: ReadResult | undefined;
  await store.getEvents(request, (result) => {
    kept = copyOf(result);
  });
  if (kept === undefined) throw new Error("the store did not lend its events");
  return kept;
}

/** Looks up events by a synchronous call and keeps them. */
export function lookUp(getEvents: (take: TakeEvents) => void): ReadResult {
  let kept: ReadResult | undefined;
  getEvents((result) => {
    kept = copyOf(result);
  });
  if (kept === undefined) throw new Error("no events were lent");
  return kept;
}

function copyOf({ position, events }: ReadResult): ReadResult {
  return {
    position,
    events: events.map((event) => {
      if (event === undefined) return undefined;
      const { bytes, start, end } = event.encoded;
      const copy = Buffer.from(bytes.subarray(start, end));
      return { ...event, encoded: { bytes: copy, start: 0, end: copy.length } };
    }),
  };
}
