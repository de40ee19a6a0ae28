import type { EventStore } from "../core/store.js";
import type { Capacity } from "./capacity.js";
import type { Subscribe } from "./convert-request.js";
import type { Drain } from "./drain.js";
import { draining } from "./refusals.js";
import type { RpcLog } from "./rpc-log.js";
import type { FrameEncoder } from "./subscription-frames.js";

/** What all subscriptions of a server share. */
export interface SubscribeContext {
  readonly store: EventStore;
  readonly log: RpcLog;
  readonly drain: Drain;
  readonly encoder: FrameEncoder;
  /** Bytes of batches that are on their way to subscribers. */
  readonly unsentBytes: Capacity;
}

/**
 * The frames of one subscription. The consumer asks for the next one when the
 * one before has left, so each subscriber has at most one frame on its way; when
 * all of them together are too many bytes, a Reset takes the place of a batch.
 * Ends when the client has gone; on a drain says so and fails `unavailable`.
 */
export async function* subscriptionFrames(
  { store, log, drain, encoder, unsentBytes }: SubscribeContext,
  { homeserver, resumeAfter, subscriber }: Subscribe,
  gone: AbortSignal,
): AsyncIterable<Buffer> {
  const stop = new AbortController();
  const end = () => stop.abort();
  const forgetDrain = drain.onStart(end);
  gone.addEventListener("abort", end, { once: true });
  if (drain.started || gone.aborted) end();
  const fields = { homeserver: printable(homeserver), subscriber: printable(subscriber) };
  log.debug("a subscriber came", fields);
  try {
    for await (const frame of store.subscribe({ homeserver, resumeAfter, signal: stop.signal })) {
      const bytes = encoder.encode(frame);
      if (frame.kind !== "batch") {
        yield bytes;
      } else if (unsentBytes.take(bytes.byteLength)) {
        try {
          yield bytes;
        } finally {
          unsentBytes.give(bytes.byteLength);
        }
      } else {
        yield encoder.reset(frame.to, "tooOld");
      }
    }
    if (gone.aborted) return;
    yield encoder.goingAway();
    throw draining();
  } finally {
    forgetDrain();
    log.debug("a subscriber left", fields);
  }
}

/** For the log, whatever a client chose to call itself. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
