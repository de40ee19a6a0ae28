import type { EventStore } from "../../core/model/store.js";
import type { SubscriptionFrame } from "../../core/model/types.js";
import type { BatchCapacity, BatchRoom } from "../admission/batch-capacity.js";
import type { Holder } from "../admission/capacity.js";
import type { Drain } from "../admission/drain.js";
import type { CallTrace } from "../calls/call-trace.js";
import { draining } from "../calls/refusals.js";
import type { Subscribe } from "../convert/request.js";
import { OK, type RpcLogger } from "../status.js";
import { BatchMessage } from "../wire/outgoing.js";
import type { FrameEncoder } from "../wire/subscription-frames.js";
import type { Subscription, SubscriptionTable } from "./subscription-table.js";
import type { Caller } from "./unary-and-stream.js";

/** The state that all subscriptions of a server share. */
export interface SubscribeContext {
  readonly store: EventStore;
  readonly logger: RpcLogger;
  readonly drain: Drain;
  readonly encoder: FrameEncoder;
  /** Bytes of batches being sent to subscribers. */
  readonly batches: BatchCapacity;
  /** The subscriptions, for operators. */
  readonly subscriptions: SubscriptionTable;
}

/**
 * The frames of one subscription. The consumer requests a frame when the previous
 * frame was sent, so at most one frame per subscriber is being sent. Ends when the
 * client has gone. On a drain it yields GoingAway and fails with `unavailable`.
 */
export async function* subscriptionFrames(
  context: SubscribeContext,
  request: Subscribe,
  { connection, gone, trace }: Caller,
): AsyncIterable<Buffer | BatchMessage> {
  const { logger, drain, encoder, subscriptions } = context;
  const stop = new AbortController();
  const end = () => stop.abort();
  const forgetDrain = drain.onStart(end);
  gone.addEventListener("abort", end, { once: true });
  if (drain.started || gone.aborted) end();
  const fields = { homeserver: printable(request.homeserver), subscriber: printable(request.subscriber) };
  logger.debug("a subscriber connected", fields);
  const { homeserver, subscriber, resumeAfter } = request;
  trace?.note({ homeserver });
  const subscription = subscriptions.enter({
    homeserver,
    subscriber,
    peer: connection?.peer,
    cursor: resumeAfter,
  });
  try {
    yield* framesOfStore(context, subscription, { connection, homeserver }, stop.signal, trace);
    if (gone.aborted) return;
    yield encoder.goingAway();
    throw draining();
  } finally {
    subscriptions.leave(subscription);
    forgetDrain();
    logger.debug("a subscriber disconnected", fields);
  }
}

/**
 * The frames of the store; each batch is sent when there is room for it. A subscriber
 * without room keeps only its position: it releases the batch and its place in the
 * store, waits for its turn, and follows the log again from that position.
 */
async function* framesOfStore(
  { store, encoder, batches }: SubscribeContext,
  subscription: Subscription,
  holder: Holder,
  signal: AbortSignal,
  trace: CallTrace | undefined,
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
          trace?.note({ start: startOf(frame) });
          yield bytes;
          // The span is of the start: a subscription lasts for days, and its span would come too late.
          trace?.end(OK);
          subscription.cursor = frame.position;
        }
        subscription.state = "waitingForChange";
        room?.resize(0);
        room = undefined;
      }
      // The subscription may have ended before it used the room that it had waited for.
      room?.resize(0);
      subscription.state = "waitingForRoom";
      room = await batches.wait(holder, signal);
    } while (room !== undefined);
  } finally {
    room?.resize(0);
  }
}

/** How a subscription starts, as its first frame says. */
function startOf(frame: Exclude<SubscriptionFrame, { kind: "batch" }>): string {
  if (frame.kind !== "ready") return frame.kind;
  return frame.resumed ? "resumed" : "new";
}

/** The client's name in a form that is safe for the log. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
