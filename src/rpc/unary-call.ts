import { CacheError } from "../core/errors.js";
import type { InFlightTicket } from "./admission/in-flight.js";
import { outgoingBytes } from "./outgoing.js";
import { draining, exhausted } from "./refusals.js";
import { homeserverProblem } from "./request-check.js";
import type { Decoded } from "./strict-decode.js";
import { TimeLimit } from "./time-limit.js";
import { TrackedCall } from "./tracked-call.js";

/**
 * A unary call of the cache's service. It and its bytes are in flight from its
 * headers until its reply has left; it ends at the server's own time limit, even
 * if the client never reads.
 */
export class UnaryCall extends TrackedCall {
  #ticket: InFlightTicket | undefined;
  #receivedBytes = 0;
  readonly #timeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.#expire());

  protected override admit(): CacheError | undefined {
    if (this.context.drain.started) return draining();
    this.#ticket = this.context.inFlight.admitCall();
    if (this.#ticket === undefined) return exhausted("too many calls in flight");
    this.#timeLimit.arm();
    return undefined;
  }

  protected override receivedBytes(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#ticket?.addBytes(bytes) === false) this.refuse(exhausted("too many bytes in flight"));
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers make nothing else.
    const request = message as Decoded<{ homeserver: string }>;
    const inflatedBytes = Math.max(0, request.byteLength - this.#receivedBytes);
    if (this.#ticket?.addBytes(inflatedBytes) === false) return exhausted("too many bytes in flight");
    if (!request.ok) return undefined;
    const { homeserver } = request.message;
    // The handler refuses a bad name; here it would only count as one more homeserver.
    if (homeserverProblem(homeserver, this.context.allowedHomeservers) !== undefined) return undefined;
    if (this.#ticket?.assign(homeserver) !== false) return undefined;
    return exhausted("the homeserver has its share of calls or bytes in flight");
  }

  override sendMessage(message: unknown, callback: () => void): void {
    if (this.#ticket?.addBytes(outgoingBytes(message)) === false) {
      this.refuse(exhausted("too many bytes in flight"));
    } else {
      this.call.sendMessage(message, callback);
    }
  }

  protected override release(): void {
    this.#timeLimit.disarm();
    this.#ticket?.release();
  }

  #expire(): void {
    if (this.stream?.headersSent === true) this.reset();
    else this.refuse(new CacheError("deadlineExceeded", "the server's time limit for a call has passed"));
  }
}
