import type { CacheError } from "../../core/model/errors.js";
import { REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import { Place } from "../admission/displaceable.js";
import type { Arrival } from "../admission/message-heads.js";
import { READ_AHEAD_MAX, READ_STREAM_UNSENT_BYTES_MAX } from "../limits.js";
import { outgoingBytes } from "../wire/outgoing.js";
import type { Decoded } from "../wire/strict-decode.js";
import {
  assignPlace,
  type CallContext,
  type CallPolicy,
  type PolicedCall,
  takePlace,
} from "./call-policy.js";
import { QueuedRequests } from "./queued-requests.js";
import { denied, draining } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";

/**
 * A read stream. A request that has begun to arrive must end within a short limit,
 * whether or not those before it are read. A reply counts as written once few enough bytes are on their
 * way, so that small replies need not wait for one another; a reply that has not
 * left within the time limit ends the stream. It also ends when a reload takes the right to read away:
 * its requests would all fail, and the client reads its credentials again only for another call.
 */
export class ReadStreamPolicy implements CallPolicy {
  readonly requestBytesMax = REQUEST_BYTES_MAX;
  readonly #call: PolicedCall;
  readonly #context: CallContext;
  readonly #queue: QueuedRequests;
  #place: Place | undefined;
  /** Ends the listening for changes of rights. */
  #forgetChanges: (() => void) | undefined;
  /** Requests that have arrived and were not answered. */
  #unanswered = 0;
  #isInsideRequest = false;
  #unsentBytes = 0;
  #unsentMessages = 0;
  /** Requests that the handler has received and not answered. */
  #openRequests = 0;
  #isReadDue = false;
  readonly #replyTimeLimit: TimeLimit;

  constructor(call: PolicedCall, context: CallContext) {
    this.#call = call;
    this.#context = context;
    this.#queue = new QueuedRequests(call, context.inFlight);
    this.#replyTimeLimit = new TimeLimit(context.callTimeLimitMs, () => call.reset());
  }

  admit(): CacheError | undefined {
    const { drain, readStreams } = this.#context;
    if (drain.started) return draining();
    const place = takePlace(this.#call, readStreams, "read streams");
    if (!(place instanceof Place)) return place;
    this.#place = place;
    this.#forgetChanges = this.#context.access?.onChange(() => {
      const revoked = denied(this.#call.principal, this.#call.labels.path, "");
      if (revoked !== undefined) this.#call.refuse(revoked);
    });
    return undefined;
  }

  startRead(): void {
    this.#isReadDue = true;
    this.#readIfDue();
  }

  receivedBytes(arrival: Arrival): CacheError | undefined {
    const { requestTimeLimit } = this.#call;
    this.#place?.busy();
    this.#unanswered += arrival.messages;
    this.#isInsideRequest = arrival.isInside;
    if (!arrival.isInside) requestTimeLimit.disarm();
    else if (arrival.messages > 0) requestTimeLimit.rearm();
    else requestTimeLimit.arm();
    return this.#queue.add(arrival);
  }

  receivedMessage(message: unknown): CacheError | undefined {
    this.#openRequests += 1;
    this.#queue.remove(message);
    // The service's deserialisers make nothing else.
    const request = message as Decoded<{ request: { homeserver: string } | undefined }>;
    if (!request.ok) return undefined;
    const { allowedHomeservers: allowed } = this.#context;
    const homeserver = request.message.request?.homeserver ?? "";
    return assignPlace(this.#call, this.#place, homeserver, {
      allowed,
      what: "read streams",
      queue: this.#queue,
    });
  }

  receivedHalfClose(): undefined {}

  sendMessage(message: unknown, callback: () => void): void {
    const bytes = outgoingBytes(message);
    this.#unsentBytes += bytes;
    this.#unsentMessages += 1;
    this.#replyTimeLimit.arm();
    const isWritten = this.#unsentBytes <= READ_STREAM_UNSENT_BYTES_MAX;
    this.#call.send(message, () => {
      this.#sent(bytes);
      if (!isWritten) callback();
    });
    if (isWritten) callback();
    this.#openRequests -= 1;
    this.#unanswered -= 1;
    this.#readIfDue();
  }

  release(): void {
    this.#forgetChanges?.();
    this.#queue.release();
    this.#replyTimeLimit.disarm();
    this.#place?.give();
  }

  /** Each request has one reply, so that counting both bounds what the handler holds. */
  #readIfDue(): void {
    if (!this.#isReadDue || this.#openRequests >= READ_AHEAD_MAX) return;
    this.#isReadDue = false;
    this.#call.read();
  }

  #sent(bytes: number): void {
    this.#unsentBytes -= bytes;
    this.#unsentMessages -= 1;
    if (this.#unsentMessages > 0) this.#replyTimeLimit.rearm();
    else this.#replyTimeLimit.disarm();
    if (this.#unsentMessages === 0 && this.#unanswered === 0 && !this.#isInsideRequest) this.#place?.idle();
  }
}
