import type { CacheError } from "../../core/model/errors.js";
import { Place } from "../admission/displaceable.js";
import type { Arrival } from "../admission/message-heads.js";
import { AUXILIARY_READ_AHEAD_MAX, AUXILIARY_REQUEST_BYTES_MAX } from "../limits.js";
import { MalformedRequest } from "./auxiliary-request.js";
import { displaced, exhausted, full, malformed, NOT_PROTOBUF } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";
import { TrackedCall } from "./tracked-call.js";

/**
 * A call of another service on the same server: health or reflection, which must
 * answer while the cache is at its capacities or drains. They have bounds of
 * their own, unary calls apart from streams, and a client that does not read their replies is not read either.
 */
export class AuxiliaryCall extends TrackedCall {
  protected override readonly requestBytesMax = AUXILIARY_REQUEST_BYTES_MAX;
  #place: Place | undefined;
  /** Requests that have arrived and were not read. */
  #unread = 0;
  #unsentMessages = 0;
  #isReadDue = false;
  /** Runs while a reply is on its way. */
  readonly #timeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.reset());

  protected override admit(): CacheError | undefined {
    const { auxiliaryCalls, auxiliaryStreams } = this.context;
    const capacity = this.labels.type === "unary" ? auxiliaryCalls : auxiliaryStreams;
    const end = () => this.refuse(displaced("calls of health and reflection"));
    const place = Place.take(capacity, this.holder, end);
    if (!(place instanceof Place)) return full(place, "calls of health and reflection");
    this.#place = place;
    this.requestTimeLimit.arm();
    return undefined;
  }

  protected override receivedBytes({ messages, isInside }: Arrival): void {
    this.#unread += messages;
    if (this.#unread > AUXILIARY_READ_AHEAD_MAX)
      this.refuse(exhausted("too many requests before their replies"));
    else if (isInside) this.requestTimeLimit.arm();
    // Handlers of single requests wait for the half-close.
    else if (this.labels.type === "bidi_stream") this.#requestArrived();
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    this.#unread -= 1;
    return message instanceof MalformedRequest ? malformed("request", NOT_PROTOBUF) : undefined;
  }

  protected override receivedHalfClose(): void {
    this.#requestArrived();
  }

  #requestArrived(): void {
    this.requestTimeLimit.disarm();
    this.#place?.busy();
  }

  override startRead(): void {
    if (this.#unsentMessages > 0) this.#isReadDue = true;
    else this.call.startRead();
  }

  override sendMessage(message: unknown, callback: () => void): void {
    this.#unsentMessages += 1;
    this.#timeLimit.arm();
    this.send(message, () => {
      this.#unsentMessages -= 1;
      callback();
      if (this.#unsentMessages > 0) return;
      this.#timeLimit.disarm();
      if (!this.#isReadDue) return;
      this.#isReadDue = false;
      this.call.startRead();
    });
  }

  protected override release(): void {
    this.#timeLimit.disarm();
    this.#place?.give();
  }
}
