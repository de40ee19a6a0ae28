import type { CacheError } from "../../core/model/errors.js";
import { Place } from "../admission/displaceable.js";
import { SUBSCRIBE_REQUEST_BYTES_MAX } from "../limits.js";
import { BatchMessage } from "../wire/batch-message.js";
import { displaced, draining, full } from "./refusals.js";
import { StreamCall } from "./stream-call.js";
import { TimeLimit } from "./time-limit.js";

/**
 * A subscription. Its handler starts when the client has half-closed; until then
 * its request counts as bytes in flight, and runs against the time limit of requests.
 *
 * A batch must leave within the time limit, else the stream is reset and the
 * client resumes from its last position: batches on their way share one capacity,
 * so a subscriber that kept one unread would keep it from all others for ever.
 * Other frames are tiny, and a client may leave them unread for as long as it likes.
 */
export class SubscriptionCall extends StreamCall {
  protected override readonly requestBytesMax = SUBSCRIBE_REQUEST_BYTES_MAX;
  #place: Place | undefined;
  readonly #batchTimeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.reset());

  protected override admit(): CacheError | undefined {
    if (this.context.drain.started) return draining();
    const end = () => this.refuse(displaced("subscribers"));
    const place = Place.take(this.context.subscriptions, this.holder, end);
    if (!(place instanceof Place)) return full(place, "subscribers");
    this.#place = place;
    this.requestTimeLimit.arm();
    return undefined;
  }

  protected override receivedMessage(): CacheError | undefined {
    return undefined;
  }

  protected override receivedHalfClose(): void {
    this.requestTimeLimit.disarm();
    this.#place?.busy();
    this.incoming.release();
  }

  override sendMessage(message: unknown, callback: () => void): void {
    if (message instanceof BatchMessage) this.#batchTimeLimit.arm();
    this.send(message, () => {
      this.#batchTimeLimit.disarm();
      callback();
    });
  }

  protected override release(): void {
    super.release();
    this.#batchTimeLimit.disarm();
    this.#place?.give();
  }
}
