import type { CacheError } from "../../core/model/errors.js";
import { Place } from "../admission/displaceable.js";
import type { Arrival } from "../admission/message-heads.js";
import { SUBSCRIBE_REQUEST_BYTES_MAX } from "../limits.js";
import { BatchMessage } from "../wire/outgoing.js";
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
 * A subscription. Its handler starts when the client has half-closed; until then
 * its request counts as bytes in flight, and runs against the time limit of requests.
 *
 * A batch must be sent within the time limit. Otherwise the stream is reset and the
 * client resumes from its last position: batches share one capacity, so a subscriber
 * that does not read its batch would block all others. Other frames are small, and a
 * client may leave them unread.
 */
export class SubscriptionPolicy implements CallPolicy {
  readonly requestBytesMax = SUBSCRIBE_REQUEST_BYTES_MAX;
  readonly #call: PolicedCall;
  readonly #context: CallContext;
  readonly #queue: QueuedRequests;
  #place: Place | undefined;
  /** Of the request, once it has arrived. */
  #homeserver = "";
  /** Ends the listening for changes of rights. */
  #forgetChanges: (() => void) | undefined;
  readonly #batchTimeLimit: TimeLimit;

  constructor(call: PolicedCall, context: CallContext) {
    this.#call = call;
    this.#context = context;
    this.#queue = new QueuedRequests(call, context.inFlight);
    this.#batchTimeLimit = new TimeLimit(context.callTimeLimitMs, () => call.reset());
  }

  admit(): CacheError | undefined {
    const { drain, subscriptions } = this.#context;
    if (drain.started) return draining();
    const place = takePlace(this.#call, subscriptions, "subscribers");
    if (!(place instanceof Place)) return place;
    this.#place = place;
    this.#forgetChanges = this.#context.access?.onChange(() => {
      const revoked = this.#denial();
      if (revoked !== undefined) this.#call.refuse(revoked);
    });
    this.#call.requestTimeLimit.arm();
    return undefined;
  }

  receivedBytes(arrival: Arrival): CacheError | undefined {
    return this.#queue.add(arrival);
  }

  /** The request counts until the handler starts, which is at the half-close. */
  receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers make nothing else.
    const request = message as Decoded<{ homeserver: string }>;
    if (!request.ok) return undefined;
    const { homeserver } = request.message;
    this.#homeserver = homeserver;
    const { allowedHomeservers: allowed } = this.#context;
    return (
      this.#denial() ??
      assignPlace(this.#call, this.#place, homeserver, { allowed, what: "subscribers", queue: this.#queue })
    );
  }

  receivedHalfClose(): undefined {
    this.#call.requestTimeLimit.disarm();
    this.#place?.busy();
    this.#queue.release();
  }

  startRead(): void {
    this.#call.read();
  }

  sendMessage(message: unknown, callback: () => void): void {
    if (message instanceof BatchMessage) this.#batchTimeLimit.arm();
    this.#call.send(message, () => {
      this.#batchTimeLimit.disarm();
      callback();
    });
  }

  release(): void {
    this.#forgetChanges?.();
    this.#queue.release();
    this.#batchTimeLimit.disarm();
    this.#place?.give();
  }

  #denial(): CacheError | undefined {
    return denied(this.#call.principal, this.#call.labels.path, this.#homeserver);
  }
}
