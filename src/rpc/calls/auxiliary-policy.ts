import type { CacheError } from "../../core/model/errors.js";
import { Place } from "../admission/displaceable.js";
import type { Arrival } from "../admission/message-heads.js";
import { AUXILIARY_READ_AHEAD_MAX, AUXILIARY_REQUEST_BYTES_MAX } from "../limits.js";
import { MalformedRequest } from "./auxiliary-request.js";
import { type CallContext, type CallPolicy, type PolicedCall, takePlace } from "./call-policy.js";
import { exhausted, malformed, NOT_PROTOBUF } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";

/**
 * A call of an auxiliary service, health or reflection, which must answer while the
 * cache's capacities are full or the server drains. These calls have bounds of
 * their own, unary calls apart from streams, and a client that does not read their replies is not read either.
 */
export class AuxiliaryPolicy implements CallPolicy {
  readonly requestBytesMax = AUXILIARY_REQUEST_BYTES_MAX;
  readonly #call: PolicedCall;
  readonly #context: CallContext;
  #place: Place | undefined;
  /** Requests that have arrived and are not read. */
  #unread = 0;
  #unsentMessages = 0;
  #isReadDue = false;
  /** Runs while a reply is being sent. */
  readonly #timeLimit: TimeLimit;

  constructor(call: PolicedCall, context: CallContext) {
    this.#call = call;
    this.#context = context;
    this.#timeLimit = new TimeLimit(context.callTimeLimitMs, () => call.reset());
  }

  admit(): CacheError | undefined {
    const { auxiliaryCalls, auxiliaryStreams } = this.#context;
    const capacity = this.#call.labels.type === "unary" ? auxiliaryCalls : auxiliaryStreams;
    const place = takePlace(this.#call, capacity, "calls of health and reflection");
    if (!(place instanceof Place)) return place;
    this.#place = place;
    this.#call.requestTimeLimit.arm();
    return undefined;
  }

  receivedBytes({ messages, isInside }: Arrival): CacheError | undefined {
    this.#unread += messages;
    if (this.#unread > AUXILIARY_READ_AHEAD_MAX) return exhausted("too many requests before their replies");
    if (isInside) this.#call.requestTimeLimit.arm();
    // Handlers of single requests wait for the half-close.
    else if (this.#call.labels.type === "bidi_stream") this.#requestArrived();
    return undefined;
  }

  receivedMessage(message: unknown): CacheError | undefined {
    this.#unread -= 1;
    return message instanceof MalformedRequest ? malformed("request", NOT_PROTOBUF) : undefined;
  }

  receivedHalfClose(): void {
    this.#requestArrived();
  }

  startRead(): void {
    if (this.#unsentMessages > 0) this.#isReadDue = true;
    else this.#call.read();
  }

  sendMessage(message: unknown, callback: () => void): void {
    this.#unsentMessages += 1;
    this.#timeLimit.arm();
    this.#call.send(message, () => {
      this.#unsentMessages -= 1;
      callback();
      if (this.#unsentMessages > 0) return;
      this.#timeLimit.disarm();
      if (!this.#isReadDue) return;
      this.#isReadDue = false;
      this.#call.read();
    });
  }

  release(): void {
    this.#timeLimit.disarm();
    this.#place?.give();
  }

  #requestArrived(): void {
    this.#call.requestTimeLimit.disarm();
    this.#place?.busy();
  }
}
