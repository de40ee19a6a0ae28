import type { CacheError } from "../../core/model/errors.js";
import type { InFlightTicket } from "../admission/in-flight.js";
import { type Arrival, MESSAGE_HEAD_BYTES } from "../admission/message-heads.js";
import { QUEUED_REQUEST_BYTES } from "../limits.js";
import type { Decoded } from "../wire/strict-decode.js";
import { TrackedCall } from "./tracked-call.js";

/**
 * A streaming call of the cache's service. It does not count as a call in flight,
 * but what has arrived of its requests counts as bytes in flight until the handler
 * has it.
 */
export abstract class StreamCall extends TrackedCall {
  /** What has arrived and is not the handler's yet. */
  protected readonly incoming: InFlightTicket = this.context.inFlight.admitMessage(this.holder);

  protected override receivedBytes({ bytes, messages }: Arrival): void {
    const refusal = this.incoming.addBytes(bytes + messages * QUEUED_REQUEST_BYTES);
    if (refusal !== undefined) this.refuse(refusal);
  }

  protected override receivedMessage(message: unknown): CacheError | undefined {
    // The service's deserialisers make nothing else.
    const { byteLength } = message as Decoded<unknown>;
    this.incoming.removeBytes(byteLength + MESSAGE_HEAD_BYTES + QUEUED_REQUEST_BYTES);
    return undefined;
  }

  protected override release(): void {
    this.incoming.release();
  }
}
