import { CacheError } from "../core/errors.js";
import { BatchMessage } from "./batch-message.js";
import { draining, exhausted } from "./refusals.js";
import { SUBSCRIBE_REQUEST_BYTES_MAX } from "./rpc-limits.js";
import { StreamCall } from "./stream-call.js";
import type { Decoded } from "./strict-decode.js";
import { TimeLimit } from "./time-limit.js";

/**
 * A subscription. Its handler starts when the client has half-closed; until then
 * its request counts as bytes in flight, and runs against the time limit.
 *
 * A batch must leave within the time limit, else the stream is reset and the
 * client resumes from its last position: batches on their way share one capacity,
 * so a subscriber that kept one unread would keep it from all others for ever.
 * Other frames are tiny, and a client may leave them unread for as long as it likes.
 */
export class SubscriptionCall extends StreamCall {
  #isCounted = false;
  readonly #batchTimeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.reset());

  protected override admit(): CacheError | undefined {
    if (this.context.drain.started) return draining();
    if (!this.context.subscriptions.take()) return exhausted("too many subscribers");
    this.#isCounted = true;
    this.requestTimeLimit.arm();
    return undefined;
  }

  protected override receivedBytes(bytes: number): void {
    super.receivedBytes(bytes);
    if (this.incomingBytes > SUBSCRIBE_REQUEST_BYTES_MAX) this.refuse(tooLarge());
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers make nothing else; a compressed request has arrived in fewer bytes.
    const { byteLength } = message as Decoded<unknown>;
    return byteLength > SUBSCRIBE_REQUEST_BYTES_MAX ? tooLarge() : undefined;
  }

  protected override receivedHalfClose(): void {
    this.requestTimeLimit.disarm();
    this.incoming.release();
  }

  override sendMessage(message: unknown, callback: () => void): void {
    if (message instanceof BatchMessage) this.#batchTimeLimit.arm();
    this.call.sendMessage(message, () => {
      this.#batchTimeLimit.disarm();
      callback();
    });
  }

  protected override release(): void {
    super.release();
    this.#batchTimeLimit.disarm();
    if (this.#isCounted) this.context.subscriptions.give();
  }
}

function tooLarge(): CacheError {
  return new CacheError(
    "tooLarge",
    `a request to subscribe has at most ${SUBSCRIBE_REQUEST_BYTES_MAX} bytes`,
  );
}
