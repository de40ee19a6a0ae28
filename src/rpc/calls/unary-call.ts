import { CacheError } from "../../core/model/errors.js";
import { REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import type { Displaceable } from "../admission/displaceable.js";
import { InFlightTicket } from "../admission/in-flight.js";
import type { Arrival } from "../admission/message-heads.js";
import { homeserverProblem } from "../convert/request-check.js";
import { outgoingBytes } from "../wire/outgoing.js";
import type { Decoded } from "../wire/strict-decode.js";
import { displaced, draining } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";
import { TrackedCall } from "./tracked-call.js";

/**
 * A unary call of the cache's service. It and its bytes are in flight from its
 * headers until its reply has left. Its request must arrive within a short limit;
 * the call ends at the server's own time limit, even if the client never reads.
 */
export class UnaryCall extends TrackedCall {
  #ticket: InFlightTicket | undefined;
  /** The call until its request has arrived. */
  readonly #unfinished: Displaceable = {
    holder: this.holder,
    displace: () => {
      this.refuse(displaced("calls in flight"));
      this.release();
    },
  };
  protected override readonly requestBytesMax = REQUEST_BYTES_MAX;
  readonly #timeLimit = new TimeLimit(this.context.callTimeLimitMs, () => this.#expire());

  protected override admit(): CacheError | undefined {
    if (this.context.drain.started) return draining();
    const admitted = this.context.inFlight.admitCall(this.holder);
    if (!(admitted instanceof InFlightTicket)) return admitted;
    this.#ticket = admitted;
    this.context.inFlight.calls.offer(this.#unfinished, "unused");
    this.requestTimeLimit.arm();
    this.#timeLimit.arm();
    return undefined;
  }

  protected override receivedBytes({ bytes }: Arrival): void {
    const refusal = this.#ticket?.addBytes(bytes);
    if (refusal !== undefined) this.refuse(refusal);
  }

  protected override receivedHalfClose(): void {
    this.requestTimeLimit.disarm();
    this.context.inFlight.calls.withdraw(this.#unfinished);
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers make nothing else.
    const request = message as Decoded<{ homeserver: string }>;
    if (!request.ok) return undefined;
    const { homeserver } = request.message;
    // The handler refuses a bad name; here it would only count as one more homeserver.
    if (homeserverProblem(homeserver, this.context.allowedHomeservers) !== undefined) return undefined;
    return this.#ticket?.assign(homeserver);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    const refusal = this.#ticket?.addBytes(outgoingBytes(message));
    if (refusal !== undefined) this.refuse(refusal);
    else this.send(message, callback);
  }

  protected override release(): void {
    this.#timeLimit.disarm();
    this.context.inFlight.calls.withdraw(this.#unfinished);
    this.#ticket?.release();
  }

  #expire(): void {
    if (this.stream?.headersSent === true) this.reset();
    else this.refuse(new CacheError("deadlineExceeded", "the server's time limit for a call has passed"));
  }
}
