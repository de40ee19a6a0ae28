import { CacheError } from "../../core/model/errors.js";
import { REQUEST_BYTES_MAX } from "../../core/model/limits.js";
import type { Displaceable } from "../admission/displaceable.js";
import { InFlightTicket } from "../admission/in-flight.js";
import type { Arrival } from "../admission/message-heads.js";
import { homeserverProblem } from "../convert/request-check.js";
import { outgoingBytes } from "../wire/outgoing.js";
import type { Decoded } from "../wire/strict-decode.js";
import type { CallContext, CallPolicy, PolicedCall } from "./call-policy.js";
import { denied, displaced, draining } from "./refusals.js";
import { TimeLimit } from "./time-limit.js";

/**
 * A unary call of the cache's service. The call and its bytes are in flight from its
 * headers until its reply was sent. Its request must arrive within a short limit. The
 * call ends at the server's own time limit, even if the client does not read.
 */
export class UnaryPolicy implements CallPolicy {
  readonly requestBytesMax = REQUEST_BYTES_MAX;
  readonly #call: PolicedCall;
  readonly #context: CallContext;
  #ticket: InFlightTicket | undefined;
  /** The call until its request has arrived. */
  readonly #unfinished: Displaceable;
  readonly #timeLimit: TimeLimit;

  constructor(call: PolicedCall, context: CallContext) {
    this.#call = call;
    this.#context = context;
    this.#unfinished = {
      holder: call.holder,
      displace: () => {
        call.refuse(displaced("calls in flight"));
        this.release();
      },
    };
    this.#timeLimit = new TimeLimit(context.callTimeLimitMs, () => this.#expire());
  }

  admit(): CacheError | undefined {
    const { drain, inFlight } = this.#context;
    if (drain.started) return draining();
    const admitted = inFlight.admitCall(this.#call.holder);
    if (!(admitted instanceof InFlightTicket)) return admitted;
    this.#ticket = admitted;
    inFlight.calls.offer(this.#unfinished, "unused");
    this.#call.requestTimeLimit.arm();
    this.#timeLimit.arm();
    return undefined;
  }

  receivedBytes({ bytes }: Arrival): CacheError | undefined {
    return this.#ticket?.addBytes(bytes);
  }

  receivedHalfClose(): void {
    this.#call.requestTimeLimit.disarm();
    this.#context.inFlight.calls.withdraw(this.#unfinished);
  }

  receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers return nothing else.
    const request = message as Decoded<{ homeserver: string }>;
    if (!request.ok) return undefined;
    const { homeserver } = request.message;
    const denial = denied(this.#call.principal, homeserver);
    if (denial !== undefined) return denial;
    // The handler refuses an invalid name. Here it would count as another homeserver.
    if (homeserverProblem(homeserver, this.#context.allowedHomeservers) !== undefined) return undefined;
    return this.#ticket?.assign(homeserver);
  }

  startRead(): void {
    this.#call.read();
  }

  sendMessage(message: unknown, callback: () => void): void {
    const refusal = this.#ticket?.addBytes(outgoingBytes(message));
    if (refusal !== undefined) this.#call.refuse(refusal);
    else this.#call.send(message, callback);
  }

  release(): void {
    this.#timeLimit.disarm();
    this.#context.inFlight.calls.withdraw(this.#unfinished);
    this.#ticket?.release();
  }

  #expire(): void {
    if (this.#call.hasReplied) this.#call.reset();
    else
      this.#call.refuse(new CacheError("deadlineExceeded", "the server's time limit for a call has passed"));
  }
}
