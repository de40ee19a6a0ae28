import { CacheError } from "../core/errors.js";
import type { InFlightTicket } from "./admission/in-flight.js";
import { exhausted } from "./refusals.js";
import type { Decoded } from "./strict-decode.js";
import { TimeLimit } from "./time-limit.js";
import { TrackedCall } from "./tracked-call.js";

/** The head that gRPC puts before each message. */
const MESSAGE_HEAD_BYTES = 5;

/**
 * A streaming call of the cache's service. It does not count as a call in flight,
 * but what has arrived of a request counts as bytes in flight until the handler
 * has it, and must be complete within the time limit.
 */
export abstract class StreamCall extends TrackedCall {
  protected readonly incoming: InFlightTicket = this.context.inFlight.admitMessage();
  /** Bytes that have arrived and are not the handler's yet. */
  protected incomingBytes = 0;
  /** Runs while a request is due. */
  protected readonly requestTimeLimit = new TimeLimit(this.context.callTimeLimitMs, () =>
    this.refuse(new CacheError("deadlineExceeded", "a request took too long to arrive")),
  );

  protected override receivedBytes(bytes: number): void {
    if (!this.incoming.addBytes(bytes)) {
      this.refuse(exhausted("too many bytes in flight"));
      return;
    }
    this.incomingBytes += bytes;
    this.requestTimeLimit.arm();
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers make nothing else; a compressed request has arrived in fewer bytes.
    const { byteLength } = message as Decoded<unknown>;
    const bytes = Math.min(byteLength + MESSAGE_HEAD_BYTES, this.incomingBytes);
    this.incomingBytes -= bytes;
    this.incoming.removeBytes(bytes);
    if (this.incomingBytes > 0) this.requestTimeLimit.rearm();
    else this.requestTimeLimit.disarm();
    return undefined;
  }

  protected override release(): void {
    this.requestTimeLimit.disarm();
    this.incoming.release();
  }
}
