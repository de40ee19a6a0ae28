import type { EventStore } from "../../core/model/store.js";
import type { BatchCapacity, BatchRoom } from "../admission/batch-capacity.js";
import type { Holder } from "../admission/capacity.js";
import type { Drain } from "../admission/drain.js";
import { draining } from "../calls/refusals.js";
import type { Subscribe } from "../convert/request.js";
import type { RpcLog } from "../status.js";
import { BatchMessage } from "../wire/outgoing.js";
import type { FrameEncoder } from "../wire/subscription-frames.js";
import type { Subscription, SubscriptionTable } from "./subscription-table.js";
import type { Caller } from "./unary-and-stream.js";

/** What all subscriptions of a server share. */
export interface SubscribeContext {
  readonly store: EventStore;
  readonly log: RpcLog;
  readonly drain: Drain;
  readonly encoder: FrameEncoder;
  /** Bytes of batches that are on their way to subscribers. */
  readonly batches: BatchCapacity;
  /** Shows the subscriptions to administrators. */
  readonly subscriptions: SubscriptionTable;
}

/**
 * The frames of one subscription. The consumer asks for the next one when the
 * one before has left, so each subscriber has at most one frame on its way.
 * Ends when the client has gone; on a drain says so and fails `unavailable`.
 */
export async function* subscriptionFrames(
  context: SubscribeContext,
  request: Subscribe,
  { connection, gone }: Caller,
): AsyncIterable<Buffer | BatchMessage> {
  const { log, drain, encoder, subscriptions } = context;
  const stop = new AbortController();
  const end = () => stop.abort();
  const forgetDrain = drain.onStart(end);
  gone.addEventListener("abort", end, { once: true });
  if (drain.started || gone.aborted) end();
  const fields = { homeserver: printable(request.homeserver), subscriber: printable(request.subscriber) };
  log.debug("a subscriber came", fields);
  const { homeserver, subscriber, resumeAfter } = request;
  const subscription = subscriptions.enter({
    homeserver,
    subscriber,
    peer: connection?.peer,
    cursor: resumeAfter,
  });
  try {
    yield* framesOfStore(context, subscription, { connection, homeserver }, stop.signal);
    if (gone.aborted) return;
    yield encoder.goingAway();
    throw draining();
  } finally {
    subscriptions.leave(subscription);
    forgetDrain();
    log.debug("a subscriber left", fields);
  }
}

/**
 * What the store says, batch by batch as there is room for them. A subscriber
 * without room keeps its position alone: it lets go of the batch and of its place
 * in the store, waits its turn, and follows the log again from where it was.
 */
async function* framesOfStore(
  { store, encoder, batches }: SubscribeContext,
  subscription: Subscription,
  holder: Holder,
  signal: AbortSignal,
): AsyncIterable<Buffer | BatchMessage> {
  const { homeserver } = subscription;
  let room: BatchRoom | undefined;
  try {
    do {
      const isContinued = room !== undefined;
      for await (const frame of store.subscribe({ homeserver, resumeAfter: subscription.cursor, signal })) {
        const bytes = encoder.encode(frame);
        if (frame.kind === "batch") {
          room ??= batches.take(holder, bytes.byteLength);
          if (room === undefined) break;
          room.resize(bytes.byteLength);
          subscription.state = "sending";
          yield new BatchMessage(bytes);
          subscription.cursor = frame.to;
        } else if (frame.kind === "ready" && isContinued) {
          // The client has its Ready frame, and a batch follows at once.
          continue;
        } else {
          room?.resize(0);
          room = undefined;
          subscription.state = "sending";
          yield bytes;
          subscription.cursor = frame.position;
        }
        subscription.state = "waitingForChange";
        room?.resize(0);
        room = undefined;
      }
      subscription.state = "waitingForRoom";
      room = await batches.wait(holder, signal);
    } while (room !== undefined);
  } finally {
    room?.resize(0);
  }
}

/** For the log, whatever a client chose to call itself. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
