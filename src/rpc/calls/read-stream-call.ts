import type { CacheError } from "../../core/model/errors.js";
import { REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import { Place } from "../admission/displaceable.js";
import type { Arrival } from "../admission/message-heads.js";
import { READ_AHEAD_MAX, READ_STREAM_UNSENT_BYTES_MAX } from "../limits.js";
import { outgoingBytes } from "../wire/outgoing.js";
import { displaced, draining, full } from "./refusals.js";
import { StreamCall } from "./stream-call.js";
import { TimeLimit } from "./time-limit.js";

/**
 * A read stream. A request that has begun to arrive must end within a short limit,
 * whether or not those before it are read. A reply counts as written once few enough bytes are on their
 * way, so that small replies need not wait for one another; one that has not
 * left within the time limit ends the stream.
 */
export class ReadStreamCall extends StreamCall {
  protected override readonly requestBytesMax = REQUEST_BYTES_MAX;
  #place: Place | undefined;
  /** Requests that have arrived and are not answered. */
  #unanswered = 0;
  #isInsideRequest = false;
  #unsentBytes = 0;
  #unsentMessages = 0;
  /** Requests that the handler has and has not answered. */
  #openRequests = 0;
  #isReadDue = false;
  readonly #replyTimeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.reset());

  protected override admit(): CacheError | undefined {
    const { drain, readStreams } = this.context;
    if (drain.started) return draining();
    const end = () => this.refuse(displaced("read streams"));
    const place = Place.take(readStreams, this.holder, end);
    if (!(place instanceof Place)) return full(place, "read streams");
    this.#place = place;
    return undefined;
  }

  override startRead(): void {
    this.#isReadDue = true;
    this.#readIfDue();
  }

  protected override receivedBytes(arrival: Arrival): void {
    this.#place?.busy();
    this.#unanswered += arrival.messages;
    this.#isInsideRequest = arrival.isInside;
    if (!arrival.isInside) this.requestTimeLimit.disarm();
    else if (arrival.messages > 0) this.requestTimeLimit.rearm();
    else this.requestTimeLimit.arm();
    super.receivedBytes(arrival);
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    this.#openRequests += 1;
    return super.receivedMessage(message);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    const bytes = outgoingBytes(message);
    this.#unsentBytes += bytes;
    this.#unsentMessages += 1;
    this.#replyTimeLimit.arm();
    const isWritten = this.#unsentBytes <= READ_STREAM_UNSENT_BYTES_MAX;
    this.send(message, () => {
      this.#sent(bytes);
      if (!isWritten) callback();
    });
    if (isWritten) callback();
    this.#openRequests -= 1;
    this.#unanswered -= 1;
    this.#readIfDue();
  }

  protected override release(): void {
    super.release();
    this.#replyTimeLimit.disarm();
    this.#place?.give();
  }

  /** Each request has one reply, so that counting both bounds what the handler holds. */
  #readIfDue(): void {
    if (!this.#isReadDue || this.#openRequests >= READ_AHEAD_MAX) return;
    this.#isReadDue = false;
    this.call.startRead();
  }

  #sent(bytes: number): void {
    this.#unsentBytes -= bytes;
    this.#unsentMessages -= 1;
    if (this.#unsentMessages > 0) this.#replyTimeLimit.rearm();
    else this.#replyTimeLimit.disarm();
    if (this.#unsentMessages === 0 && this.#unanswered === 0 && !this.#isInsideRequest) this.#place?.idle();
  }
}
